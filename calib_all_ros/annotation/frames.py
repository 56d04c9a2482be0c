# SPDX-License-Identifier: Apache-2.0
"""Annotations of the frames of a recording: what a calibrated camera sees of the robot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.end_effector import EndEffector, find_end_effector
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import EndEffectorView, FrameAnnotation
from calib_all_ros.annotation.occlusion import Occluders
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.pictures.overlay import estimate_of
from calib_all_ros.recording.frame_selection import JointsAtFrames, joints_at_frames
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.raw_view import RawView
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.motion import NS_PER_S, RobotMotion
from calib_all_ros.solving.observations import match_joints

# Frames of a batch are drawn side by side, one on each core.
_MOST_AT_ONCE = 8
_MOST_PIXELS_AT_ONCE = 8_000_000
# States that are recorded with the images, a few a second, are no gaps.
_LONGEST_GAP_STATES = 1.5


@dataclass(frozen=True, eq=False)
class AnnotatedRecording:
    """A recording that can be annotated, and how; frames are drawn when they are asked for.

    Attributes:
        recording: The recording.
        camera: Its camera, with the focal scale of the calibration.
        estimate: Camera pose, time lag and joint offsets of the calibration.
        motion: The robot at all stamps of the recording.
        surface: The robot less the links whose joints were not recorded.
        end_effector: The end-effector and the gripper.
        frames: (N,) numbers of the frames that have joint states, ascending.
        notes: What is left out, and other things worth knowing, one sentence each.
    """

    recording: Recording
    camera: Camera
    estimate: Estimate
    motion: RobotMotion
    surface: RobotSurface
    end_effector: EndEffector
    frames: NDArray[np.intp]
    notes: tuple[str, ...]

    @property
    def link_names(self) -> tuple[str, ...]:
        """All links of the robot; the pixels of `FrameAnnotation.links` count in them."""
        return self.surface.link_names

    @property
    def drawn_links(self) -> tuple[str, ...]:
        """The links that have a surface and a known pose."""
        drawn = np.unique(self.surface.link_of_face)
        return tuple(self.link_names[int(link)] for link in drawn)

    def every(self, step: int) -> AnnotatedRecording:
        """Return the recording with only those frames whose number is a multiple of ``step``."""
        return replace(self, frames=self.frames[self.frames % step == 0])

    def annotations(self, frames: Sequence[int] | None = None) -> Iterator[FrameAnnotation]:
        """Yield annotations.

        Args:
            frames: Which of `frames`, in any order; None takes all in their order.
        """
        numbers = self.frames if frames is None else np.asarray(frames, dtype=np.intp)
        canvas = self._view.canvas
        fitting = _MOST_PIXELS_AT_ONCE // (canvas.width * canvas.height)
        batch = max(1, min(_MOST_AT_ONCE, fitting))
        for start in range(0, len(numbers), batch):
            some = numbers[start : start + batch]
            T_base_link = self.estimate.link_poses(self.motion.subset(some))
            T_camera_link = self.estimate.T_camera_base @ T_base_link
            links, depth = self._view.links_and_depth(self.surface, T_camera_link)
            for row, number in enumerate(some):
                depth_m = np.where(links[row] >= 0, depth[row], np.float32(0.0))
                yield FrameAnnotation(
                    index=int(number),
                    stamp_ns=int(self.motion.stamps_ns[number]),
                    links=links[row],
                    depth_m=depth_m.astype(np.float32, copy=False),
                    gripper=np.isin(links[row], self._gripper),
                    eef=self._end_effector(T_base_link[row], T_camera_link[row]),
                )

    def eef_poses(
        self, instants_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the end-effector at any instants of the images' clock, the lag applied.

        Args:
            instants_ns: (N,) stamps that images of these instants would have.

        Returns:
            (N, 4, 4) ``T_base_eef``, and (N,) whether there are joint states then.
        """
        joints = self.motion.kinematics.moving_joints(self.end_effector.link)
        start, end = self.recording.joints.span(joints)
        taken = instants_ns - round(self.estimate.lag_s * NS_PER_S)
        poses = self.estimate.link_poses(replace(self.motion, stamps_ns=instants_ns))
        link = self.link_names.index(self.end_effector.link)
        return poses[:, link], (taken >= start) & (taken <= end)

    @cached_property
    def _view(self) -> RawView:
        return RawView(self.camera)

    @cached_property
    def _gripper(self) -> list[int]:
        return [self.link_names.index(name) for name in self.end_effector.gripper_links]

    @cached_property
    def _occluders(self) -> Occluders:
        return Occluders.of(self.surface, self.end_effector.own_links)

    def _end_effector(
        self, T_base_link: NDArray[np.float64], T_camera_link: NDArray[np.float64]
    ) -> EndEffectorView:
        link = self.link_names.index(self.end_effector.link)
        origin = T_camera_link[link, :3, 3]
        pixel = self.camera.project(origin)
        return EndEffectorView(
            T_base_eef=T_base_link[link],
            T_camera_eef=T_camera_link[link],
            pixel=pixel,
            depth_m=float(origin[2]),
            in_image=bool(in_image(self.camera, pixel)),
            hidden_by=self._occluders.in_front_of(origin[None], T_camera_link)[0],
        )


def annotated_recording(
    recording: Recording,
    robot: Robot,
    calibration: Calibration,
    *,
    eef_link: str | None = None,
    gripper_links: Sequence[str] | None = None,
) -> AnnotatedRecording:
    """Bring recording, robot and calibration together (CalibAll, section 4.7).

    An image stamped t shows the robot as it was at t less the calibration's time lag; the joint
    offsets and the focal scale of the calibration are applied.

    Args:
        recording: Any recording of the calibrated camera.
        robot: The robot, with the base frame of the calibration.
        calibration: The calibration.
        eef_link: The end-effector; None finds it.
        gripper_links: The links of the gripper mask; None finds them.

    Raises:
        AnnotationError: The calibration is of another base frame or image size.
        RobotError: There is no such link.
        RecordingError: The joints do not match, or no frame has joint states.
    """
    if robot.kinematics.base_frame != calibration.robot.base_frame:
        raise AnnotationError(
            f"the calibration speaks of the base frame '{calibration.robot.base_frame}', the robot "
            f"was loaded with '{robot.kinematics.base_frame}': load it with the former"
        )
    size = recording.camera.width, recording.camera.height
    calibrated = calibration.camera.width, calibration.camera.height
    if size != calibrated:
        raise AnnotationError(
            f"the images of {recording.source} are {size[0]}x{size[1]}, the calibration is of a "
            f"camera with {calibrated[0]}x{calibrated[1]}: give the calibration of this camera"
        )
    estimate = estimate_of(calibration, robot.kinematics)
    matched = match_joints(robot.kinematics, recording.joints)
    covered = covered_frames(recording, matched.recorded, estimate.lag_s)
    end_effector = find_end_effector(robot, eef_link, gripper_links)
    if end_effector.link in matched.unknown_links:
        raise AnnotationError(
            f"the joints that move {end_effector.link} were not recorded: name another "
            "end-effector link"
        )
    return AnnotatedRecording(
        recording=recording,
        camera=estimate.camera(recording.camera),
        estimate=estimate,
        motion=RobotMotion(
            robot.kinematics, recording.joints, recording.image_stamps_ns, matched.assumed
        ),
        surface=robot.surface.without_links(matched.unknown_links),
        end_effector=end_effector,
        frames=np.flatnonzero(covered.valid),
        notes=(*covered.warnings, *covered.notes, *matched.notes, end_effector.why),
    )


def in_image(camera: Camera, pixels: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which of (..., 2) pixels belong to the image, the outer pixels' edges included."""
    size = np.array([camera.width, camera.height])
    return np.asarray(((pixels >= -0.5) & (pixels < size - 0.5)).all(axis=-1))


def covered_frames(recording: Recording, joints: Sequence[str], lag_s: float) -> JointsAtFrames:
    """Find the joint states of all frames.

    A gap is what is longer than the calibration's default and than one and a half of the usual
    distance of two states. A lag takes frames at the ends of a recording out of its joint states;
    those that are out by no more than that distance get the first or the last state.

    Args:
        recording: The recording.
        joints: Joints that are needed.
        lag_s: How much later than its light an image was stamped.

    Raises:
        RecordingError: No frame has joint states.
    """
    distances = [np.diff(recording.joints.series(name)[0]) for name in joints]
    usual_ns = max(float(np.median(d)) if len(d) else 0.0 for d in distances)
    gap_ns = max(FrameSettings().max_joint_gap_s * NS_PER_S, _LONGEST_GAP_STATES * usual_ns)
    instants = recording.image_stamps_ns - round(lag_s * NS_PER_S)
    first, last = recording.joints.span(joints)
    inside = np.clip(instants, first, last)
    beside = (inside != instants) & (np.abs(inside - instants) <= usual_ns)
    covered = joints_at_frames(
        np.where(beside, inside, instants), recording.joints, joints, max_gap_ns=round(gap_ns)
    )
    if not beside.any():
        return covered
    farthest_ms = np.abs(inside - instants)[beside].max() / 1e6
    note = (
        f"{int(beside.sum())} image(s) at the ends of the recording lie up to {farthest_ms:.0f} ms "
        "outside of its joint states: the nearest state is taken"
    )
    return replace(covered, notes=(*covered.notes, note))
