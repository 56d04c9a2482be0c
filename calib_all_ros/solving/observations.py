# SPDX-License-Identifier: Apache-2.0
"""Observations: a recording and a robot as the solve works on them.

Joints are matched by name, frames chosen, images rectified to a pinhole camera and reduced to
the working size.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.geometry.rectification import Rectification, shrink, shrink_mask
from calib_all_ros.recording.frame_selection import (
    joints_at_frames,
    require_motion,
    select_frames,
    sharpness,
)
from calib_all_ros.recording.recording import Recording, RecordingError
from calib_all_ros.rendering.rasteriser import render
from calib_all_ros.rendering.renderer import Renderer
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.motion import NS_PER_S, RobotMotion

logger = logging.getLogger(__name__)

# Judging sharpness means decoding; of a long recording so many images are looked at.
MAX_EXAMINED_FRAMES = 150
MIN_FRAMES = 2
MAX_HELD_OUT_FRAMES = 8
# No driver counts turns so far beyond the limits of a joint, nor is a slide so long; a tenth of the
# samples tells, for a gripper in percent is closed most of the time.
BEYOND_TURNS_RAD = 2.0 * np.pi
BEYOND_M = 1.0
BEYOND_SHARE = 0.1


@dataclass(frozen=True)
class MatchedJoints:
    """Which joints of the robot were recorded.

    Attributes:
        recorded: Names of the robot's joints that were.
        assumed: Positions of those that were not; only joints that move no recorded joint.
        unknown_links: Links whose pose is therefore unknown.
        notes: What was not recorded, and what was recorded but is not the robot's.
    """

    recorded: tuple[str, ...]
    assumed: dict[str, float]
    unknown_links: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """How the recording's images become the pinhole images of the solve.

    Attributes:
        rectification: Removes lens distortion.
        camera: The pinhole camera of the solve.
    """

    rectification: Rectification
    camera: Camera

    def image(self, raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image of the recording as the solve sees it."""
        return np.asarray(shrink(self.rectification.image(raw), self._scale), dtype=np.uint8)

    def mask(self, raw: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of the recording as the solve sees it."""
        return shrink_mask(self.rectification.mask(raw), self._scale)

    def pixels(self, raw: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (N, 2) pixels of the recording in the images of the solve."""
        return self._scale * (self.rectification.pixels(raw) + 0.5) - 0.5

    @property
    def _scale(self) -> float:
        return self.camera.width / self.rectification.camera.width


@dataclass(frozen=True)
class Observations:
    """Frames ready to be compared with the robot.

    Attributes:
        frames: (N,) their indices in the recording, ascending.
        solve: (M,) positions in ``frames`` of those the pose is fitted to.
        images: (N, H, W, 3) rectified RGB images.
        masks: (N, H, W) recorded masks, or None.
        motion: The robot's motion at the N frames.
        surface: The robot less the links whose pose is unknown.
        view: How raw pixels map to these images.
        first_stamp_ns: Stamp of the recording's first image, from which people count its seconds.
        warnings: What casts doubt on a result from this recording.
        notes: What else users may want to know about it.
        renderer: What draws the silhouettes that are fitted to masks.
    """

    frames: NDArray[np.intp]
    solve: NDArray[np.intp]
    images: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None
    motion: RobotMotion
    surface: RobotSurface
    view: View
    first_stamp_ns: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    renderer: Renderer = render

    @property
    def camera(self) -> Camera:
        """The pinhole camera of the images."""
        return self.view.camera

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(N,) when the frames were taken, seconds after the recording's first image."""
        return (self.motion.stamps_ns - self.first_stamp_ns) / NS_PER_S

    def spread(self, count: int) -> NDArray[np.intp]:
        """Return at most ``count`` positions in ``frames``, poses as different as can be."""
        chosen = self.solve
        positions = self.motion.subset(chosen).positions()
        return chosen[select_frames(positions, np.ones(len(chosen)), count)]

    def held_out(self) -> NDArray[np.intp]:
        """Return positions in ``frames`` of frames that the pose is not fitted to."""
        others = np.setdiff1d(np.arange(len(self.frames)), self.solve)
        count = min(len(others), MAX_HELD_OUT_FRAMES)
        return others[np.unique(np.linspace(0, len(others) - 1, count).astype(np.intp))]


def match_joints(
    kinematics: Kinematics, recorded: JointTrajectory | tuple[str, ...]
) -> MatchedJoints:
    """Match recorded joints to the robot's by name.

    A gripper that does not report its joints is left out of the comparison; an arm that misses a
    joint in its middle cannot be used. Positions that no such joint can have (percent, encoder
    units, degrees, millimetres) count as not recorded.

    Args:
        kinematics: The robot.
        recorded: What was recorded, or the names alone.

    Raises:
        RecordingError: A joint is missing between recorded ones, or nothing matches.
    """
    impossible: dict[str, str] = {}
    if isinstance(recorded, JointTrajectory):
        impossible = _impossible_positions(kinematics, recorded)
        recorded = tuple(name for name in recorded.names if name not in impossible)
    missing = [name for name in kinematics.joint_names if name not in recorded]
    matched = tuple(name for name in kinematics.joint_names if name in recorded)
    listing = (
        f"the recording has {', '.join(recorded) or 'none'}; "
        f"the URDF has {', '.join(kinematics.joint_names) or 'none'}"
    )
    if impossible and not matched:
        raise RecordingError(f"{next(iter(impossible.values()))}: convert them")
    if not matched:
        raise RecordingError(f"no recorded joint is a joint of the URDF: {listing}")
    moved_by = {link: kinematics.moving_joints(link) for link in kinematics.link_names}
    for joints in moved_by.values():
        states = [name in recorded for name in joints]
        if True in states and False in states[: len(states) - states[::-1].index(True)]:
            gap = joints[states.index(False)]
            if gap in impossible:
                raise RecordingError(f"{impossible[gap]}: convert them")
            raise RecordingError(
                f"joint '{gap}' of the URDF, which moves recorded joints, was not recorded: "
                f"{listing}"
            )
    unknown = tuple(link for link, joints in moved_by.items() if set(joints) & set(missing))
    notes = [f"{why}; they are not used" for why in impossible.values()]
    if missing:
        notes.append(
            f"joints {', '.join(missing)} were not recorded: links {', '.join(unknown)} are left "
            "out of the comparison"
        )
    extra = [name for name in recorded if name not in kinematics.joint_names]
    if extra and missing:
        notes.append(f"recorded joints {', '.join(extra)} are not in the URDF")
    assumed = {}
    for name in missing:
        column = kinematics.joint_names.index(name)
        low, high = kinematics.lower[column], kinematics.upper[column]
        assumed[name] = float(np.clip(0.0, low, high))
    return MatchedJoints(matched, assumed, unknown, tuple(notes))


def _impossible_positions(kinematics: Kinematics, recorded: JointTrajectory) -> dict[str, str]:
    """Return the robot's joints whose positions are beyond belief, and what is said of each."""
    found = {}
    limits = zip(kinematics.lower, kinematics.upper, kinematics.turning, strict=True)
    for name, (low, high, turning) in zip(kinematics.joint_names, limits, strict=True):
        if name not in recorded.names:
            continue
        positions = recorded.series(name)[1]
        beyond = np.maximum(low - positions, positions - high)
        if np.mean(beyond > (BEYOND_TURNS_RAD if turning else BEYOND_M)) < BEYOND_SHARE:
            continue
        unit, other = ("rad", "degrees, percent") if turning else ("m", "millimetres, percent")
        found[name] = (
            f"joint '{name}' reads {positions.min():.4g} to {positions.max():.4g}, but its limits "
            f"are {low:.4g} to {high:.4g} {unit}: its positions are in another unit ({other} or "
            "encoder steps)"
        )
    return found


def make_view(camera: Camera, working_width_px: int) -> View:
    """Choose the pinhole camera of the solve."""
    rectification = Rectification(camera)
    pinhole = rectification.camera
    if pinhole.width > working_width_px:
        pinhole = pinhole.scaled(working_width_px / pinhole.width)
    return View(rectification, pinhole)


def prepare(
    recording: Recording, robot: Robot, settings: FrameSettings, renderer: Renderer = render
) -> Observations:
    """Choose and load the frames of a calibration.

    Args:
        recording: Images, camera, joint states and perhaps masks.
        robot: The robot.
        settings: How many frames, and of what size.
        renderer: What draws the silhouettes that are fitted to masks.

    Raises:
        RecordingError: Joints do not match, no image is covered by joint states, the robot does
            not move, or too few frames are left.
    """
    matched = match_joints(robot.kinematics, recording.joints)
    covered = joints_at_frames(
        recording.image_stamps_ns,
        recording.joints,
        matched.recorded,
        max_gap_ns=int(settings.max_joint_gap_s * NS_PER_S),
    )
    usable = np.flatnonzero(covered.valid)
    mask_notes: tuple[str, ...] = ()
    if recording.masks is not None:
        usable, mask_notes = _with_robot_in_mask(recording, usable)
    # A mask shows the robot in a single image; without masks only motion does.
    if len(usable) < (MIN_FRAMES if recording.masks is None else 1):
        raise RecordingError(
            f"only {len(usable)} image(s) of {recording.source} can be used, at least {MIN_FRAMES} "
            "are needed: record the robot in several poses"
        )
    if recording.masks is None or len(usable) > 1:
        require_motion(covered.positions[usable], matched.recorded)
    frames, solve = _choose(recording, covered.positions, usable, settings)
    logger.info("using %d images for the pose: %s", len(solve), frames[solve].tolist())
    view = make_view(recording.camera, settings.working_width_px)
    images = np.stack([view.image(recording.images[int(i)]) for i in frames])
    masks = None
    if recording.masks is not None:
        loaded = [recording.masks[int(i)] for i in frames]
        masks = np.stack([view.mask(mask) for mask in loaded if mask is not None])
    motion = RobotMotion(
        robot.kinematics, recording.joints, recording.image_stamps_ns[frames], matched.assumed
    )
    surface = robot.surface.without_links(matched.unknown_links)
    if len(surface.faces) == 0:
        raise RecordingError(
            f"no link of robot '{robot.name}' has both a visual mesh and recorded joints"
        )
    warnings = (*recording.warnings, *covered.warnings)
    notes = (
        *recording.notes,
        *robot.notes,
        *matched.notes,
        *covered.notes,
        *mask_notes,
    )
    first_ns = int(recording.image_stamps_ns[0])
    return Observations(
        frames, solve, images, masks, motion, surface, view, first_ns, warnings, notes, renderer
    )


def _with_robot_in_mask(
    recording: Recording, usable: NDArray[np.intp]
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Return those of the usable frames whose mask shows a robot, and how many show none."""
    assert recording.masks is not None
    masks = ((i, recording.masks[int(i)]) for i in usable)
    shown = {int(i): bool(mask.any()) for i, mask in masks if mask is not None}
    if not any(shown.values()):
        raise RecordingError(
            f"no image of {recording.source} has both joint states and a mask with a robot in it"
        )
    kept = np.array([i for i, robot_in_it in shown.items() if robot_in_it], dtype=np.intp)
    if len(kept) == len(shown):
        return kept, ()
    return kept, (
        f"{len(shown) - len(kept)} of {len(shown)} masks show no robot; their images are left out",
    )


def _choose(
    recording: Recording,
    positions: NDArray[np.float64],
    usable: NDArray[np.intp],
    settings: FrameSettings,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the frames to load and, among them, the positions of those to fit."""
    step = -(-len(usable) // MAX_EXAMINED_FRAMES)
    examined = usable[::step]
    sharp = np.array([sharpness(recording.images[int(i)]) for i in examined])
    solve = examined[select_frames(positions[examined], sharp, settings.count)]
    others = np.setdiff1d(examined, solve)
    if recording.masks is not None:
        wanted = MAX_HELD_OUT_FRAMES
    else:
        wanted = max(settings.background_count - len(solve), MAX_HELD_OUT_FRAMES)
    extra = others[np.unique(np.linspace(0, len(others) - 1, min(wanted, len(others))).astype(int))]
    frames = np.union1d(solve, extra)
    return frames, np.searchsorted(frames, solve)
