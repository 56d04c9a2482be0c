# SPDX-License-Identifier: Apache-2.0
"""Several episodes of one camera as one recording.

The camera does not move between them, so their frames constrain one pose. Each episode is moved in
time to behind the one before; between them the joints rest, so that a lag looks at the same
positions at an episode's ends as it does in the episode alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.frame_selection import joints_at_frames, select_frames
from calib_all_ros.recording.recording import Frame, Frames, Recording, RecordingError
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.motion import NS_PER_S
from calib_all_ros.solving.observations import match_joints

# Between two episodes; longer than any lag, and than any gap that is interpolated across.
PAUSE_NS = 60 * NS_PER_S
_REST_NS = 20 * NS_PER_S


@dataclass(frozen=True)
class ConcatenatedFrames(Generic[Frame]):
    """The frames of several sources, one source after the other."""

    sources: tuple[Frames[Frame], ...]

    def __len__(self) -> int:
        """Return the number of frames."""
        return sum(len(source) for source in self.sources)

    def __getitem__(self, index: int) -> Frame:
        """Read and decode frame ``index``."""
        for source in self.sources:
            if index < len(source):
                return source[index]
            index -= len(source)
        raise IndexError(index)


def varied_frames(
    recording: Recording, robot: Robot, settings: FrameSettings, count: int
) -> Recording:
    """Return at most ``count`` frames of an episode, robot poses as different as can be.

    Nothing is decoded. Only frames that the joint states cover are taken.

    Raises:
        RecordingError: Joints do not match, or no image has joint states.
    """
    matched = match_joints(robot.kinematics, recording.joints)
    covered = joints_at_frames(
        recording.image_stamps_ns,
        recording.joints,
        matched.recorded,
        max_gap_ns=int(settings.max_joint_gap_s * NS_PER_S),
    )
    usable = np.flatnonzero(covered.valid)
    positions = covered.positions[usable]
    return recording.subset(usable[select_frames(positions, np.ones(len(usable)), count)])


def join(recordings: Sequence[Recording], name: str) -> Recording:
    """Return the recordings of one camera as one, in the order given.

    Stamps count from the first recording's. Notes, warnings and frames that only the first may
    have (description, static transforms) are taken from it; masks are kept if all have some.

    Args:
        recordings: At least one; the joints that all have are kept.
        name: What the joint recording is called.

    Raises:
        RecordingError: The recordings have no joint in common.
    """
    first = recordings[0]
    names = [n for n in first.joints.names if all(n in r.joints.names for r in recordings)]
    if not names:
        raise RecordingError(f"the episodes of {name} have no joint in common: solve them alone")
    shifts = _shifts(recordings, names)
    stamps = [r.image_stamps_ns + shift for r, shift in zip(recordings, shifts, strict=True)]
    masks = [r.masks for r in recordings if r.masks is not None]
    warnings = dict.fromkeys(sentence for r in recordings for sentence in r.warnings)
    digest = hashlib.sha256("\0".join(r.fingerprint for r in recordings).encode()).hexdigest()
    return replace(
        first,
        source=name,
        image_stamps_ns=np.concatenate(stamps),
        images=ConcatenatedFrames(tuple(r.images for r in recordings)),
        joints=JointTrajectory.from_series(
            {joint: _rested(recordings, shifts, joint) for joint in names}
        ),
        masks=ConcatenatedFrames(tuple(masks)) if len(masks) == len(recordings) else None,
        warnings=tuple(warnings),
        fingerprint=digest,
    )


def _shifts(recordings: Sequence[Recording], names: list[str]) -> list[int]:
    """Return what is added to the stamps of each recording, nanoseconds."""
    shifts: list[int] = []
    end = 0
    for recording in recordings:
        series = [recording.joints.series(name)[0] for name in names]
        begins = [int(recording.image_stamps_ns[0]), *(int(s[0]) for s in series)]
        ends = [int(recording.image_stamps_ns[-1]), *(int(s[-1]) for s in series)]
        shifts.append(end + PAUSE_NS - min(begins) if shifts else 0)
        end = max(ends) + shifts[-1]
    return shifts


def _rested(
    recordings: Sequence[Recording], shifts: Sequence[int], joint: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return one joint's series over all recordings, held still before and after each."""
    stamps, positions = [], []
    for recording, shift in zip(recordings, shifts, strict=True):
        times, values = recording.joints.series(joint)
        times = times + shift
        stamps += [times[:1] - _REST_NS, times, times[-1:] + _REST_NS]
        positions += [values[:1], values, values[-1:]]
    return np.concatenate(stamps), np.concatenate(positions)
