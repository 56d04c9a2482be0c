# SPDX-License-Identifier: Apache-2.0
"""Camera setups: episodes solved together, of one camera that seems to stand in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.checking.check import SIGNIFICANT, Tolerance
from calib_all_ros.dataset.background import Likeness, alike, likeness
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.outcomes import Pose
from calib_all_ros.dataset.survey import Surveyed
from calib_all_ros.solving.pose_errors import compatibility, pose_difference

_TOLERANCE = Tolerance()
Background = Callable[[EpisodeRef], NDArray[np.uint8]]


@dataclass(frozen=True)
class CameraSetup:
    """Episodes of one camera in one place.

    Attributes:
        identity: Hash of the episodes, their content, camera and robot.
        members: The episodes, in the order of recording.
    """

    identity: str
    members: tuple[EpisodeRef, ...]

    @property
    def name(self) -> str:
        """Name of its folder of results: the first episode and the hash."""
        return f"{self.members[0].name.replace('/', '.')}-{self.identity[:8]}"


def make_setup(
    members: Iterable[EpisodeRef], surveyed: Mapping[EpisodeRef, Surveyed]
) -> CameraSetup:
    """Return a setup of these episodes; the same episodes, read alike, give the same identity."""
    ordered = in_order(members, surveyed)
    known = ((ref.name, surveyed[ref].stream, surveyed[ref].fingerprint) for ref in ordered)
    text = "\0".join(part for parts in known for part in parts)
    return CameraSetup(hashlib.sha256(text.encode()).hexdigest()[:16], ordered)


def in_order(
    refs: Iterable[EpisodeRef], surveyed: Mapping[EpisodeRef, Surveyed]
) -> tuple[EpisodeRef, ...]:
    """Return episodes in the order of recording: by stamp, or by number where stamps begin anew."""

    def place(ref: EpisodeRef) -> tuple[int, str]:
        number = surveyed[ref].first_stamp_ns if ref.episode is None else ref.episode
        return number, ref.name

    return tuple(sorted(refs, key=place))


def by_background(
    surveyed: Mapping[EpisodeRef, Surveyed],
    background: Background,
    on_progress: Callable[[], None] | None = None,
) -> tuple[CameraSetup, ...]:
    """Group episodes whose backgrounds say that the camera stood still between them.

    Args:
        surveyed: The episodes.
        background: Returns the background of one.
        on_progress: Called after each episode.
    """
    streams: dict[str, list[EpisodeRef]] = {}
    for ref in in_order(surveyed, surveyed):
        streams.setdefault(surveyed[ref].stream, []).append(ref)
    setups: list[CameraSetup] = []
    for refs in streams.values():
        groups = alike([partial(background, ref) for ref in refs], on_progress)
        setups += [make_setup([refs[i] for i in group], surveyed) for group in groups]
    return tuple(setups)


def by_pose(
    setups: Sequence[CameraSetup],
    poses: Mapping[str, Pose],
    surveyed: Mapping[EpisodeRef, Surveyed],
    background: Background,
    tolerance: Tolerance = _TOLERANCE,
) -> tuple[CameraSetup, ...]:
    """Join setups whose backgrounds say nothing but whose poses agree.

    Where the light or the room changes between episodes, or the background is plain, only the
    poses can tell. Two setups are joined if their poses differ by less than is tolerated and than
    chance explains, and their backgrounds do not show a motion.

    Args:
        setups: What was solved.
        poses: Of the setups that may be joined, by their identities.
        surveyed: The episodes.
        background: Returns the background of one.
        tolerance: By how much poses may differ.

    Returns:
        The new setups, each of at least two earlier ones.
    """
    streams: dict[str, list[CameraSetup]] = {}
    for setup in setups:
        if setup.identity in poses:
            streams.setdefault(surveyed[setup.members[0]].stream, []).append(setup)
    joined = []
    for stream in streams.values():
        clusters: list[list[CameraSetup]] = []
        places = np.zeros((len(stream), 3))
        for setup in stream:
            pose = poses[setup.identity]
            place = np.array(pose.position_m)
            apart_mm = 1e3 * np.linalg.norm(places[: len(clusters)] - place, axis=1)
            for near in np.flatnonzero(apart_mm <= tolerance.position_mm):
                first = clusters[near][0]
                if not _agree(poses[first.identity], pose, tolerance):
                    continue
                pictures = background(first.members[-1]), background(setup.members[0])
                if likeness(*pictures) is not Likeness.MOVED:
                    clusters[near].append(setup)
                    break
            else:
                places[len(clusters)] = place
                clusters.append([setup])
        for cluster in clusters:
            if len(cluster) > 1:
                members = [ref for setup in cluster for ref in setup.members]
                joined.append(make_setup(members, surveyed))
    return tuple(joined)


def _agree(first: Pose, second: Pose, tolerance: Tolerance) -> bool:
    difference = pose_difference(second.matrix, first.matrix)
    if tolerance.share(difference) > 1.0 or not (first.covariance and second.covariance):
        return False
    covariance = np.array(first.covariance) + np.array(second.covariance)
    weighed = compatibility(difference, covariance.reshape(6, 6))
    return weighed is not None and weighed.p_value >= SIGNIFICANT
