# SPDX-License-Identifier: Apache-2.0
"""Choice of the frames to calibrate from: sharp ones, in poses that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import RecordingError

SMALLEST_MOTION_RAD = 0.02
# When so few of the images have joint states, something is wrong with the recording.
_FEW = 0.5
_SECOND_NS = 1e9
_SMALLEST_RANGE = 0.05
_BLURRED = 0.5


@dataclass(frozen=True, eq=False)
class JointsAtFrames:
    """Joint positions at the stamps of the images.

    Attributes:
        positions: (N, J), NaN where not known.
        valid: (N,) whether every joint is known.
        notes: How many frames are lost and why.
        warnings: The same, when it is most of them.
    """

    positions: NDArray[np.float64]
    valid: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def joints_at_frames(
    image_stamps_ns: ArrayLike,
    joints: JointTrajectory,
    names: Sequence[str],
    *,
    max_gap_ns: int = 200_000_000,
) -> JointsAtFrames:
    """Interpolate the joints at the images' stamps, and say which frames they do not cover.

    Args:
        image_stamps_ns: (N,) stamps.
        joints: The trajectory.
        names: (J,) joints that are needed.
        max_gap_ns: See `JointTrajectory.at`.

    Raises:
        JointTrajectoryError: A joint is not in the trajectory.
        RecordingError: No frame is covered.
    """
    stamps = np.asarray(image_stamps_ns, dtype=np.int64)
    positions, valid = joints.at(stamps, names, max_gap_ns=max_gap_ns)
    if valid.all() and stamps.size:
        return JointsAtFrames(positions, valid)
    start_ns, end_ns = joints.span(names)
    first, last = int(stamps.min(initial=start_ns)), int(stamps.max(initial=start_ns))
    if not valid.any():
        raise RecordingError(
            "no image has joint states at its stamp: the images are from "
            f"{first} to {last} ns, the joint states of {', '.join(names)} from {start_ns} to "
            f"{end_ns} ns; let camera and robot use the same clock, and record them together"
        )
    reasons = []
    early, late = int((stamps < start_ns).sum()), int((stamps > end_ns).sum())
    gaps = int((~valid).sum()) - early - late
    if early:
        reasons.append(f"{early} before the first joint state at {start_ns} ns")
    if late:
        ends_s = (end_ns - first) / _SECOND_NS
        reasons.append(f"{late} after the last joint state, {ends_s:.2f} s after the first image")
    if gaps > 0:
        reasons.append(f"{gaps} in gaps of more than {max_gap_ns / 1e6:.0f} ms")
    lost = f"{int((~valid).sum())} of {stamps.size} images are left out: {', '.join(reasons)}"
    if valid.mean() < _FEW:
        return JointsAtFrames(positions, valid, warnings=(lost,))
    return JointsAtFrames(positions, valid, notes=(lost,))


def require_motion(positions: ArrayLike, names: Sequence[str]) -> None:
    """Raise RecordingError if no joint moves by more than 0.02 rad.

    Args:
        positions: (N, J) positions of the valid frames, in radians.
        names: (J,) joints.
    """
    ranges = np.ptp(np.asarray(positions, dtype=np.float64), axis=0)
    largest = float(ranges.max(initial=0.0))
    if largest < SMALLEST_MOTION_RAD:
        joint = f"'{names[int(np.argmax(ranges))]}'" if ranges.size else "none"
        raise RecordingError(
            "the robot does not move, so there is nothing to calibrate from (the joint that moves "
            f"most, {joint}, moves by {largest:.4f} rad): record it in different poses"
        )


def sharpness(image: NDArray[np.uint8]) -> float:
    """Return how sharp an image is: the variance of its Laplacian, over its own variance.

    At half resolution, where sensor noise and JPEG blocks weigh less; divided by the variance of
    the grey values, so that a change of exposure does not count as blur. See Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", ICPR 2000.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        A number to compare frames of one camera by; 0 for a uniform image.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    half = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    laplacian = np.asarray(cv2.Laplacian(half, cv2.CV_32F))
    one_grey_value = 1.0
    return float(laplacian.var() / (half.var() + one_grey_value))


def select_frames(
    positions: ArrayLike,
    sharpness: ArrayLike,
    count: int,
    valid: ArrayLike | None = None,
) -> NDArray[np.intp]:
    """Choose frames whose robot poses are as different as can be.

    Greedy farthest-point selection (Gonzalez 1985) in joint space, each joint divided by its
    range over the valid frames (or 0.05 rad, so that the noise of a joint at rest does not count).
    It begins with the pose farthest from the mean. Frames with less than half the median sharpness
    are skipped, unless that leaves fewer than `count`; then the sharpest are kept.

    Args:
        positions: (N, J) joint positions.
        sharpness: (N,) of each frame.
        count: How many frames to choose.
        valid: (N,) whether a frame can be used; all if None.

    Returns:
        At most `count` indices, increasing. The same input gives the same answer.
    """
    poses = np.asarray(positions, dtype=np.float64)
    sharp = np.asarray(sharpness, dtype=np.float64)
    usable = np.ones(len(poses), dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    frames = np.flatnonzero(usable)
    if len(frames) <= count or count <= 0:
        return frames[: max(count, 0)]
    in_focus = frames[sharp[frames] >= _BLURRED * np.median(sharp[frames])]
    if len(in_focus) < count:
        in_focus = np.sort(frames[np.argsort(-sharp[frames], kind="stable")[:count]])
    scaled = poses[in_focus] / np.maximum(np.ptp(poses[frames], axis=0), _SMALLEST_RANGE)
    chosen = [int(np.argmax(np.linalg.norm(scaled - scaled.mean(axis=0), axis=1)))]
    distance = np.full(len(scaled), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
        # Frames in the same pose stay apart in the order of time, none is chosen twice.
        distance[chosen] = -1.0
        chosen.append(int(np.argmax(distance)))
    return np.sort(in_focus[chosen])
