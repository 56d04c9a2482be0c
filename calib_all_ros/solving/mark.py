# SPDX-License-Identifier: Apache-2.0
"""Start from one mark on a link: the paper's coarse stage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.marks.references import MarkError
from calib_all_ros.recording.frame_selection import joints_at_frames
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import MarkSettings
from calib_all_ros.solving.motion import NS_PER_S, RobotMotion
from calib_all_ros.solving.observations import Observations, View
from calib_all_ros.solving.pipeline import Start
from calib_all_ros.solving.temporal_pnp import TemporalPnpError, solve_epnp, solve_temporal_pnp
from calib_all_ros.tracking.lucas_kanade import LucasKanade
from calib_all_ros.tracking.track import Tracker


@dataclass(frozen=True)
class Mark:
    """A point on a link, as a person marks it in one image.

    Attributes:
        pixel: (u, v) in the recording's image.
        frame: Number of that image in the recording.
        link: Name of the link it is on.
    """

    pixel: tuple[float, float]
    frame: int
    link: str


@dataclass(frozen=True, eq=False)
class MarkTrack:
    """Where a mark was followed to.

    Attributes:
        mark: What was followed.
        frames: (T,) numbers of the images in the recording, an evenly spaced stretch that has the
            mark's own.
        pixels: (T, 2) in the images of the solve, NaN where the mark was lost.
    """

    mark: Mark
    frames: NDArray[np.intp]
    pixels: NDArray[np.float64]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) images in which the mark was followed."""
        return np.asarray(np.isfinite(self.pixels).all(axis=1))


@dataclass(frozen=True)
class MarkOutcome:
    """What a mark led to.

    Attributes:
        start: A pose to start from, or None where the track gave none.
        point_in_link: (3,) the mark in the frame of its link, None without a pose.
        track: What the pose was to come from.
        motion: The robot at the track's images.
        summary: One sentence on what happened.
    """

    start: Start | None
    point_in_link: NDArray[np.float64] | None
    track: MarkTrack
    motion: RobotMotion
    summary: str


@dataclass(frozen=True, eq=False)
class TrackedImages:
    """The images of a stretch of the recording, as the solve sees them.

    Attributes:
        recording: What has them.
        view: How they become those of the solve.
        frames: (T,) their numbers in the recording.
    """

    recording: Recording
    view: View
    frames: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        return self.view.image(self.recording.images[int(self.frames[index])])


def check_mark(mark: Mark, recording: Recording, robot: Robot) -> None:
    """Check that a mark can be one.

    Raises:
        MarkError: It is outside the image, the recording has no such image, or the robot no such
            link, or the link does not move.
    """
    u, v = mark.pixel
    width, height = recording.camera.width, recording.camera.height
    if not (0 <= u <= width - 1 and 0 <= v <= height - 1):
        raise MarkError(
            f"the mark {u:g},{v:g} is outside the image of {width}x{height} pixels: give u from 0 "
            f"to {width - 1} and v from 0 to {height - 1}"
        )
    if not 0 <= mark.frame < len(recording):
        raise MarkError(
            f"the mark is in image {mark.frame}, but {recording.source} has images 0 to "
            f"{len(recording) - 1}"
        )
    check_mark_link(mark.link, robot)


def check_mark_link(link: str, robot: Robot) -> None:
    """Check that a link can carry a mark.

    Raises:
        MarkError: The robot has no such link, or it does not move.
    """
    links = robot.kinematics.link_names
    if link not in links:
        raise MarkError(f"no link '{link}' to carry the mark; there are: {', '.join(links)}")
    if not robot.kinematics.moving_joints(link):
        raise MarkError(
            f"link '{link}' does not move relative to {robot.kinematics.base_frame}: put the "
            "mark on a moving link, best on the end-effector"
        )


def start_from_mark(
    mark: Mark,
    recording: Recording,
    observations: Observations,
    settings: MarkSettings,
    tracker: Tracker | None = None,
) -> MarkOutcome:
    """Track a mark and solve for the camera pose.

    A track that is lost or a pose that is not well determined is no error: the outcome says so,
    and the calibration goes on without the mark.

    Args:
        mark: What to follow.
        recording: Its images, of which the tracker gets as many around the mark's own as it takes,
            thinned as far as it bears that.
        observations: How the solve sees images and robot.
        settings: How to solve for the pose.
        tracker: Lucas-Kanade where None.

    Raises:
        TrackingError: The mark lies outside the rectified image.
    """
    tracker = tracker or LucasKanade()
    frames = _stretch(mark.frame, recording.image_stamps_ns, tracker)
    images = TrackedImages(recording, observations.view, frames)
    pixel = observations.view.pixels(np.array([mark.pixel]))[0]
    track = tracker(images, pixel, int(np.searchsorted(frames, mark.frame)))
    shown = MarkTrack(mark, frames, np.where(track.visible[:, None], track.pixels, np.nan))
    motion = RobotMotion(
        observations.motion.kinematics,
        recording.joints,
        recording.image_stamps_ns[frames],
        observations.motion.assumed_positions,
    )
    link = motion.kinematics.link_names.index(mark.link)
    recorded = [n for n in motion.kinematics.joint_names if n not in motion.assumed_positions]
    known = joints_at_frames(motion.stamps_ns, recording.joints, recorded).valid

    def link_poses(lag_s: float) -> NDArray[np.float64]:
        poses: NDArray[np.float64] = motion.link_poses(lag_s)[:, link].copy()
        poses[~known] = np.nan
        return poses

    seen = track.visible & known
    followed = f"{np.count_nonzero(track.visible)} of {len(track.visible)} images"
    tracked = f"followed through {followed} by {tracker.name}"
    K = observations.camera.K
    try:
        if settings.method == "epnp":
            origins = link_poses(0.0)[seen, :3, 3]
            T_camera_base = solve_epnp(origins, track.pixels[seen], K)
            epnp = Start(T_camera_base, "mark")
            return MarkOutcome(epnp, np.zeros(3), shown, motion, f"{tracked}, EPnP")
        solved = solve_temporal_pnp(track.pixels, track.visible, link_poses, K)
    except TemporalPnpError as error:
        return MarkOutcome(None, None, shown, motion, f"{tracked}; not used: {error}")
    return MarkOutcome(
        Start(solved.T_camera_base, "mark"),
        solved.point_in_link,
        shown,
        motion,
        f"{tracked}; {solved.termination}, {solved.reprojection_rms_px:.1f} px rms",
    )


def _stretch(frame: int, stamps_ns: NDArray[np.int64], tracker: Tracker) -> NDArray[np.intp]:
    """Return the numbers of the images to follow a mark through, evenly spaced."""
    most = tracker.most_images
    step = 1
    if len(stamps_ns) > most:
        # What the tracker bears, but no more than it takes to cover the whole recording.
        between_s = float(np.median(np.diff(stamps_ns))) / NS_PER_S
        borne = int(tracker.longest_step_s / between_s + 1e-6) if between_s > 0 else 1
        step = max(1, min(borne, math.ceil(len(stamps_ns) / most)))
    spaced = np.arange(frame % step, len(stamps_ns), step)
    first = max(0, min(frame // step - most // 2, len(spaced) - most))
    return spaced[first : first + most]
