# SPDX-License-Identifier: Apache-2.0
"""The image that `calib_all trajectory` draws on, and what is known of the robot in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.action_paths import ActionPath, SeenPath, executed_path, seen_path
from calib_all_ros.annotation.end_effector import find_end_effector
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frames import AnnotatedRecording, annotated_recording
from calib_all_ros.annotation.occlusion import Occluders
from calib_all_ros.commands.annotate_options import TrajectoryOptions
from calib_all_ros.commands.calibrated_inputs import load_calibrated, usable_calibration
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.folder import read_bytes
from calib_all_ros.recording.image_coding import decode_compressed
from calib_all_ros.robot.description import load_robot
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.second_arm import joined_description
from calib_all_ros.solving.estimate import Estimate

_IMAGES = (".png", ".jpg", ".jpeg")
_FEWEST_EXECUTED_HZ = 10.0


@dataclass(frozen=True, eq=False)
class Scene:
    """What the ways are drawn on.

    Attributes:
        image: (H, W, 3) RGB.
        camera: Its camera.
        T_camera_base: (4, 4).
        rate_hz: Steps per second of tables without times.
        kinematics: The robot, None where it is not known.
        eef_link: Its end-effector.
        joint_offsets: Of the calibration, by joint.
        annotated: The recording, None for a single image.
        frame: Number of the image in it.
        notes: What the user may want to know, one sentence each.
    """

    image: NDArray[np.uint8]
    camera: Camera
    T_camera_base: NDArray[np.float64]
    rate_hz: float
    kinematics: Kinematics | None
    eef_link: str | None
    joint_offsets: dict[str, float]
    annotated: AnnotatedRecording | None
    frame: int
    notes: tuple[str, ...]

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the image, None where it has none."""
        if self.annotated is None:
            return None
        return int(self.annotated.motion.stamps_ns[self.frame])

    def executed(self, paths: Sequence[ActionPath]) -> list[ActionPath]:
        """Return what the robot did while the longest of some ways lasts, if that is known."""
        if self.annotated is None:
            return []
        last_s = max(float(path.times_s[-1]) for path in paths)
        rate_hz = max(self.rate_hz, _FEWEST_EXECUTED_HZ)
        times_s = np.append(np.arange(0.0, last_s, 1.0 / rate_hz), last_s)
        return [executed_path(self.annotated, self.frame, times_s)]

    def seen(self, paths: Sequence[ActionPath]) -> list[SeenPath]:
        """Return ways as the camera sees them, the robot standing as it does in the image."""
        occluders, T_camera_link = None, None
        if self.annotated is not None:
            annotated = self.annotated
            # The gripper hides nothing: the ways begin in it.
            occluders = Occluders.of(annotated.surface, annotated.end_effector.own_links)
            here = annotated.motion.subset(np.array([self.frame]))
            T_camera_link = self.T_camera_base @ annotated.estimate.link_poses(here)[0]
        return [
            seen_path(path, self.camera, self.T_camera_base, occluders, T_camera_link)
            for path in paths
        ]


def load_scene(options: TrajectoryOptions) -> Scene:
    """Read a recording, or a single image.

    Raises:
        CalibAllError: It cannot be read, or does not go with the calibration.
    """
    is_image = options.recording is not None and options.recording.suffix.lower() in _IMAGES
    return _scene_of_image(options) if is_image else _scene_of_recording(options)


def _scene_of_image(options: TrajectoryOptions) -> Scene:
    assert options.recording is not None
    given, calibration = usable_calibration(options)
    image = decode_compressed(read_bytes(options.recording), str(options.recording))
    camera = calibration.camera
    if image.shape[:2] != (camera.height, camera.width):
        raise AnnotationError(
            f"{options.recording} is {image.shape[1]}x{image.shape[0]}, {given.source} is of a "
            f"camera with {camera.width}x{camera.height}: give an image of this camera"
        )
    kinematics, link = None, None
    notes = ["a single image: there is no executed trajectory, and nothing is hidden"]
    description = joined_description(options, None)
    if description is not None:
        robot = load_robot(
            description,
            base_frame=options.base_frame or calibration.robot.base_frame,
            mesh_paths=options.mesh_paths,
        )
        kinematics = robot.kinematics
        end_effector = find_end_effector(robot, options.eef_link)
        link = end_effector.link
        notes.append(end_effector.why)
    return Scene(
        image=image,
        camera=Estimate(
            calibration.T_camera_base, focal_scale=calibration.focal_scale or 1.0
        ).camera(camera),
        T_camera_base=calibration.T_camera_base,
        rate_hz=options.rate_hz or 1.0,
        kinematics=kinematics,
        eef_link=link,
        joint_offsets=calibration.joint_offsets or {},
        annotated=None,
        frame=0,
        notes=tuple(notes),
    )


def _scene_of_recording(options: TrajectoryOptions) -> Scene:
    inputs = load_calibrated(options)
    recording = inputs.recording
    if options.frame >= len(recording):
        raise AnnotationError(
            f"{recording.source} has {len(recording)} images, there is no image {options.frame} "
            "(they count from 0)"
        )
    annotated = annotated_recording(
        recording, inputs.robot, inputs.calibration, eef_link=options.eef_link
    )
    if options.frame not in annotated.frames:
        raise AnnotationError(
            f"image {options.frame} of {recording.source} has no joint states: name another one "
            f"(--frame), e.g. {annotated.frames[0]}"
        )
    images_hz = 1e9 / float(np.median(np.diff(recording.image_stamps_ns)))
    return Scene(
        image=recording.images[options.frame],
        camera=annotated.camera,
        T_camera_base=annotated.estimate.T_camera_base,
        rate_hz=options.rate_hz or images_hz,
        kinematics=inputs.robot.kinematics,
        eef_link=annotated.end_effector.link,
        joint_offsets=inputs.calibration.joint_offsets or {},
        annotated=annotated,
        frame=options.frame,
        notes=(*inputs.notes, annotated.end_effector.why),
    )
