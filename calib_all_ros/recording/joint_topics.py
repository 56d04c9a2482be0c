# SPDX-License-Identifier: Apache-2.0
"""One joint trajectory from all joint state topics of a bag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calib_all_ros.geometry.joint_trajectory import (
    JointTrajectory,
    JointTrajectoryError,
    Positions,
    Series,
)
from calib_all_ros.recording.recording import RecordingError

JointMessage = tuple[int, tuple[str, ...], Positions]
"""Stamp in nanoseconds, names, positions."""

_SAME_JOINT_RAD = 0.05


def merge_joint_topics(
    topics: dict[str, list[JointMessage]], *, named: Sequence[str] = ()
) -> tuple[JointTrajectory, tuple[str, ...]]:
    """Return the joints of all topics together, and notes.

    A joint that is on several topics is taken from one of them, because a node that merges joint
    states stamps them anew: from the topic named first, else the one with the most messages.
    Topics not called joint_states (commands, targets) only add joints that are nowhere else.

    Args:
        topics: Messages of each topic.
        named: Topics that the user named, in order of preference.

    Raises:
        RecordingError: A joint is NaN, or has different values on two topics.
    """

    def preference(topic: str) -> tuple[int, bool, int, str]:
        rank = list(named).index(topic) if topic in named else len(named)
        return rank, not _reports_states(topic), -len(topics[topic]), topic

    merged: dict[str, Series] = {}
    origin: dict[str, str] = {}
    shared: dict[tuple[str, str], int] = {}
    for topic in sorted(topics, key=preference):
        messages = topics[topic]
        if topic not in named and not _reports_states(topic):
            messages = [_without(message, origin) for message in messages]
        try:
            trajectory = JointTrajectory.from_messages(messages)
        except JointTrajectoryError as error:
            raise RecordingError(f"{topic}: {error}") from None
        for joint in trajectory.names:
            if joint in merged:
                _check_same(joint, origin[joint], merged[joint], topic, trajectory)
                pair = (topic, origin[joint])
                shared[pair] = shared.get(pair, 0) + 1
            else:
                merged[joint], origin[joint] = trajectory.series(joint), topic
    notes = tuple(
        f"{count} joints are both on {second} and on {first}: {first} is used"
        for (second, first), count in shared.items()
    )
    return JointTrajectory.from_series(merged), notes


def with_prefixes(
    topics: Mapping[str, list[JointMessage]], prefixes: Mapping[str, str]
) -> dict[str, list[JointMessage]]:
    """Return the messages with a prefix before the joints' names, given by their topic."""
    return {
        topic: [
            (stamp, tuple(prefixes.get(topic, "") + name for name in names), positions)
            for stamp, names, positions in messages
        ]
        for topic, messages in topics.items()
    }


def _reports_states(topic: str) -> bool:
    return topic.endswith("joint_states")


def _without(message: JointMessage, known: dict[str, str]) -> JointMessage:
    stamp, names, positions = message
    keep = [i for i, name in enumerate(names) if name not in known and i < len(positions)]
    return stamp, tuple(names[i] for i in keep), positions[keep]


def _check_same(
    joint: str, first: str, series: Series, second: str, trajectory: JointTrajectory
) -> None:
    """Raise if one joint name means two joints: two robots, or a robot and its leader arm."""
    stamps, values = series
    others, both = trajectory.at(stamps, (joint,), max_gap_ns=1_000_000_000)
    if not both.any():
        return
    apart = float(np.median(np.abs(others[both, 0] - values[both])))
    if apart > _SAME_JOINT_RAD:
        raise RecordingError(
            f"joint '{joint}' is on {first} and on {second} with different values ({apart:.2f} "
            "apart): name the joint topics of the robot in the picture"
        )
