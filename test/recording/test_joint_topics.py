# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.recording.joint_topics import JointMessage, merge_joint_topics, with_prefixes
from calib_all_ros.recording.recording import RecordingError

MS = 1_000_000


def states(names: tuple[str, ...], rate_hz: int, offset: float = 0.0) -> list[JointMessage]:
    """One second of joints at (index + 1) * t + offset."""
    stamps = [i * 1000 * MS // rate_hz for i in range(rate_hz + 1)]
    factors = np.arange(1, len(names) + 1)
    return [(s, names, factors * s / 1e9 + offset) for s in stamps]


def test_topics_add_up() -> None:
    joints, warnings = merge_joint_topics(
        {"/arm/joint_states": states(("a", "b"), 50), "/hand/joint_states": states(("g",), 10)}
    )
    np.testing.assert_allclose(joints.at([450 * MS], ("g", "b"))[0], [[0.45, 0.9]])
    assert warnings == ()


def test_joint_on_two_topics_comes_from_the_faster_one() -> None:
    """The slower one is the republished one, stamped late."""
    joints, warnings = merge_joint_topics(
        {
            "/joint_states": [*states(("a", "b"), 10, -0.01), *states(("g",), 10)],
            "/arm/joint_states": states(("a", "b"), 100),
        }
    )
    np.testing.assert_allclose(joints.at([405 * MS], ("a", "b"))[0], [[0.405, 0.81]])
    assert "g" in joints.names
    assert warnings == (
        "2 joints are both on /joint_states and on /arm/joint_states: /arm/joint_states is used",
    )


def test_named_order_goes_first() -> None:
    topics = {"/a/joint_states": states(("a",), 100), "/b/joint_states": states(("a",), 10, 0.01)}
    joints, _ = merge_joint_topics(topics, named=["/b/joint_states", "/a/joint_states"])
    assert joints.at([500 * MS])[0][0, 0] == pytest.approx(0.51)


def test_two_robots_with_the_same_joint_names_are_refused() -> None:
    topics = {
        "/left/joint_states": states(("a",), 50),
        "/right/joint_states": states(("a",), 50, 1),
    }
    with pytest.raises(RecordingError, match=r"'a' is on /left.* and on /right.*1\.00 apart"):
        merge_joint_topics(topics)


def test_commands_only_add_what_is_nowhere_else() -> None:
    topics = {
        "/joint_commands": [(0, ("a", "c"), np.array([np.nan, 1.0]))],
        "/joint_states": states(("a",), 50),
    }
    joints, warnings = merge_joint_topics(topics)
    assert joints.at([500 * MS], ("a",))[0][0, 0] == pytest.approx(0.5)
    assert joints.names == ("a", "c") and warnings == ()


def test_nan_names_the_topic() -> None:
    with pytest.raises(RecordingError, match="/joint_states: joint 'a' is nan at stamp 5"):
        merge_joint_topics({"/joint_states": [(5, ("a",), np.array([np.nan]))]})


def test_prefixes_tell_joints_of_one_name_apart() -> None:
    topics = {
        "/left/joint_states": [(0, ("elbow",), np.array([0.1])), (9, ("elbow",), np.array([0.2]))],
        "/right/joint_states": [(0, ("elbow",), np.array([1.1])), (9, ("elbow",), np.array([1.2]))],
    }
    prefixes = {"/left/joint_states": "left_", "/right/joint_states": "right_"}
    joints, _ = merge_joint_topics(with_prefixes(topics, prefixes))
    assert set(joints.names) == {"left_elbow", "right_elbow"}
    np.testing.assert_array_equal(joints.series("right_elbow")[1], [1.1, 1.2])
    assert with_prefixes(topics, {})["/left/joint_states"][0][1] == ("elbow",)
