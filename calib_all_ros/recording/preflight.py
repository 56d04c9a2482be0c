# SPDX-License-Identifier: Apache-2.0
"""Checks of a recording before any work is done on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import RecordingError

SMALLEST_MOTION_RAD = 0.02
# When so few of the images have joint states, something is wrong with the recording.
_FEW = 0.5
_SECOND_NS = 1e9


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
