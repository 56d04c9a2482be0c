# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry.joint_trajectory import JointTrajectory, JointTrajectoryError

MS = 1_000_000
START = 1_760_100_999_657_378_684


def linear(names: tuple[str, ...] = ("a", "b"), count: int = 11) -> JointTrajectory:
    """Joint k is at (k + 1) * t, with t in seconds, sampled every 100 ms."""
    seconds = np.arange(count) * 0.1
    stamps = START + np.arange(count) * 100 * MS
    return JointTrajectory(names, stamps, np.outer(seconds, np.arange(1, len(names) + 1)))


def test_interpolates_linearly_in_the_asked_order() -> None:
    positions, valid = linear().at([START + 250 * MS, START + 730 * MS], ("b", "a"))
    np.testing.assert_allclose(positions, [[0.5, 0.25], [1.46, 0.73]], atol=1e-12)
    assert valid.all()


def test_interpolates_to_the_nanosecond() -> None:
    slow = JointTrajectory(("a",), [START, START + 100], [[0.0], [1.0]])
    assert slow.at([START + 37], ("a",))[0][0, 0] == pytest.approx(0.37, abs=1e-12)


def test_does_not_extrapolate() -> None:
    positions, valid = linear().at([START - 1, START, START + 1000 * MS, START + 1000 * MS + 1])
    assert valid.tolist() == [False, True, True, False]
    assert np.isnan(positions[[0, 3]]).all()
    np.testing.assert_allclose(positions[2], [1.0, 2.0])


def test_does_not_interpolate_across_a_gap_except_on_a_sample() -> None:
    gap = JointTrajectory(("a",), [START, START + 1000 * MS], [[0.0], [1.0]])
    asked = [START, START + 500 * MS, START + 1000 * MS]
    positions, valid = gap.at(asked, max_gap_ns=200 * MS)
    assert valid.tolist() == [True, False, True]
    np.testing.assert_allclose(positions[[0, 2], 0], [0.0, 1.0])
    assert gap.at(asked, max_gap_ns=1000 * MS)[0][1, 0] == pytest.approx(0.5)


def test_sorts_and_keeps_the_last_of_equal_stamps() -> None:
    stamps = [START + 200, START, START + 100, START + 100]
    trajectory = JointTrajectory(("a",), stamps, [[2.0], [0.0], [9.0], [1.0]])
    times, values = trajectory.series("a")
    assert times.tolist() == [START, START + 100, START + 200]
    assert values.tolist() == [0.0, 1.0, 2.0]


def test_joints_of_different_publishers_keep_their_own_series() -> None:
    arm = [(START + i * 10 * MS, ("a", "b"), [0.01 * i, 0.02 * i]) for i in range(101)]
    gripper = [(START + i * 100 * MS, ("grip",), [0.1 * i]) for i in range(2, 8)]
    trajectory = JointTrajectory.from_messages([*gripper, *arm])
    assert set(trajectory.names) == {"a", "b", "grip"}
    assert trajectory.span(("a",)) == (START, START + 1000 * MS)
    assert trajectory.span() == (START + 200 * MS, START + 700 * MS)
    positions, valid = trajectory.at([START + 255 * MS, START + 900 * MS], ("a", "grip"))
    np.testing.assert_allclose(positions[0], [0.255, 0.255], atol=1e-12)
    assert valid.tolist() == [True, False]
    assert trajectory.at([START + 900 * MS], ("a",))[1].all()


def test_order_of_names_may_differ_between_messages() -> None:
    messages = [(START, ("a", "b"), [1.0, 2.0]), (START + 100, ("b", "a"), [4.0, 3.0])]
    trajectory = JointTrajectory.from_messages(messages)
    np.testing.assert_allclose(trajectory.at([START + 50], ("a", "b"))[0], [[2.0, 3.0]])


def test_messages_without_positions_are_passed_over() -> None:
    messages = [(START, ("a",), [1.0]), (START + 1, ("wheel",), [])]
    assert JointTrajectory.from_messages(messages).names == ("a",)


def test_continuous_joint_wraps_the_short_way() -> None:
    turning = JointTrajectory(("a",), [START, START + 100], [[np.pi - 0.1], [-np.pi + 0.1]])
    value = turning.at([START + 50])[0][0, 0]
    assert np.cos(value) == pytest.approx(-1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_names_joint_and_stamp(bad: float) -> None:
    with pytest.raises(JointTrajectoryError, match=f"'elbow'.*{START + 7}"):
        JointTrajectory.from_messages([(START + 7, ("shoulder", "elbow"), [0.0, bad])])


def test_unknown_joint_lists_what_exists() -> None:
    with pytest.raises(JointTrajectoryError, match=r"'x'.*a, b"):
        linear().at([START], ("a", "x"))


def test_duplicate_names_are_refused() -> None:
    with pytest.raises(JointTrajectoryError, match="'a' is listed twice"):
        JointTrajectory(("a", "a"), [START], [[0.0, 1.0]])


def test_names_and_positions_must_match() -> None:
    with pytest.raises(JointTrajectoryError, match="2 names but 1 positions"):
        JointTrajectory.from_messages([(START, ("a", "b"), [1.0])])
    with pytest.raises(JointTrajectoryError, match="one row per stamp"):
        JointTrajectory(("a",), [START, START + 1], [[0.0]])


def test_no_joints_at_all_is_an_error() -> None:
    with pytest.raises(JointTrajectoryError, match="no joints"):
        JointTrajectory.from_messages([]).at([START])
