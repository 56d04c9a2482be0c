# SPDX-License-Identifier: Apache-2.0
"""Coverage of the frames of a recording by its joint states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calib_all_ros.recording.frame_selection import JointsAtFrames, joints_at_frames
from calib_all_ros.recording.recording import Recording
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.motion import NS_PER_S

# States that are recorded with the images, a few a second, are no gaps.
_LONGEST_GAP_STATES = 1.5


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
