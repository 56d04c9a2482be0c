# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.monitoring.joints import JointCheck, JointTrouble, JointWindow
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.observations import MatchedJoints

SECOND = 1_000_000_000


def filled(seconds: int) -> JointWindow:
    window = JointWindow(2.0)
    for number in range(100 * seconds + 1):
        window.add(number * SECOND // 100, ("a", "b"), [number / 100, 0.0])
    return window


def test_is_empty_at_first() -> None:
    assert JointWindow(2.0).newest_ns is None


def test_memory_is_bounded() -> None:
    window = filled(60)
    assert window.newest_ns == 60 * SECOND
    assert window.around(60 * SECOND, 100.0).span() == (58 * SECOND, 60 * SECOND)


def test_around_a_stamp() -> None:
    joints = filled(10).around(9 * SECOND, 0.5)
    assert joints.span() == (8_500_000_000, 10 * SECOND)
    positions, valid = joints.at([9 * SECOND + 5_000_000], ("a",))
    assert valid.all()
    np.testing.assert_allclose(positions, [[9.005]])


def test_stamp_beyond_what_is_kept_gets_all_of_it() -> None:
    assert filled(10).around(50 * SECOND, 0.5).span() == (8 * SECOND, 10 * SECOND)


def test_several_publishers() -> None:
    window = JointWindow(2.0)
    for number in range(50):
        window.add(number * SECOND // 50, ("arm",), [number])
        window.add(number * SECOND // 50 + 7, ("gripper",), [0.5])
    assert window.around(SECOND // 2, 1.0).names == ("arm", "gripper")


@pytest.mark.parametrize("positions", [[], [1.0], [np.nan, 0.0], [np.inf, 0.0]])
def test_unusable_states_are_dropped(positions: list[float]) -> None:
    window = filled(1)
    window.add(9 * SECOND, ("a", "b"), positions)
    assert window.newest_ns == SECOND


def test_clock_that_is_set_back_begins_anew() -> None:
    window = filled(10)
    window.add(SECOND, ("a", "b"), [0.0, 0.0])
    assert window.newest_ns == SECOND
    assert window.around(SECOND, 1.0).span() == (SECOND, SECOND)


@pytest.fixture
def check(demo_robot: Robot) -> JointCheck:
    return JointCheck(demo_robot.kinematics, timeout_s=1.0, max_gap_s=0.2)


def published(
    robot: Robot, rates_hz: dict[str, float], begin_s: float, end_s: float
) -> JointTrajectory:
    """Joint states of a robot, each joint at a rate of its own, 50 Hz if none is given."""
    series = {}
    for name in robot.kinematics.joint_names:
        rate = rates_hz.get(name, 50.0)
        if rate:
            stamps = np.arange(int(begin_s * SECOND), int(end_s * SECOND), int(SECOND / rate))
            series[name] = (stamps, np.zeros(len(stamps)))
    return JointTrajectory.from_series(series)


def test_all_joints(check: JointCheck, demo_robot: Robot) -> None:
    first = check.judge(published(demo_robot, {}, 0, 2), SECOND)
    assert isinstance(first, MatchedJoints)
    assert first.recorded == demo_robot.kinematics.joint_names
    assert check.judge(published(demo_robot, {}, 1, 3), 2 * SECOND) is first


def test_last_joint_is_published_now_and_then(check: JointCheck, demo_robot: Robot) -> None:
    names = demo_robot.kinematics.joint_names
    answers = [
        check.judge(
            published(demo_robot, {names[-1]: 0.5}, max(t - 1.0, 0), t + 0.5), int(t * SECOND)
        )
        for t in np.arange(1.0, 12.0, 0.25)
    ]
    # At first it is waited for, then the others have to do, and nothing changes any more.
    assert isinstance(answers[0], JointTrouble) and answers[0].passing
    assert names[-1] in answers[0].sentence
    assert isinstance(answers[-1], MatchedJoints)
    assert answers[-1].recorded == names[:-1]
    assert all(answer is answers[-1] for answer in answers[8:])


def test_joint_in_the_middle_is_needed(check: JointCheck, demo_robot: Robot) -> None:
    names = demo_robot.kinematics.joint_names
    assert isinstance(check.judge(published(demo_robot, {}, 0, 2), SECOND), MatchedJoints)
    without = published(demo_robot, {names[1]: 0.0}, 0, 9)
    passing, lasting = (check.judge(without, round(t * SECOND)) for t in (1.5, 5.0))
    assert isinstance(passing, JointTrouble) and passing.passing
    assert isinstance(lasting, JointTrouble) and not lasting.passing
    assert names[1] in lasting.sentence
    assert isinstance(check.judge(published(demo_robot, {}, 5, 7), 6 * SECOND), MatchedJoints)


def test_gripper_that_comes_later_is_taken_in(check: JointCheck, demo_robot: Robot) -> None:
    names = demo_robot.kinematics.joint_names
    first = check.judge(published(demo_robot, {names[-1]: 0.0}, 0, 2), SECOND)
    assert isinstance(first, MatchedJoints) and first.recorded == names[:-1]
    second = check.judge(published(demo_robot, {}, 1, 3), 2 * SECOND)
    assert isinstance(second, MatchedJoints) and second.recorded == names


@pytest.mark.parametrize(
    ("image_s", "words", "clocks_differ"),
    [(4.0, "have stopped", False), (-8.0, "use the same clock", True)],
)
def test_joint_states_far_from_the_image(
    check: JointCheck, demo_robot: Robot, image_s: float, words: str, clocks_differ: bool
) -> None:
    trouble = check.judge(published(demo_robot, {}, 0, 2), int(image_s * SECOND))
    assert isinstance(trouble, JointTrouble) and not trouble.passing
    assert words in trouble.sentence and trouble.clocks_differ is clocks_differ


def test_another_robot(check: JointCheck) -> None:
    trouble = check.judge(JointTrajectory(("elbow",), [0, SECOND], [[0.0], [1.0]]), SECOND // 2)
    assert isinstance(trouble, JointTrouble) and "elbow" in trouble.sentence


def test_joints_that_go_away(check: JointCheck, demo_robot: Robot) -> None:
    assert isinstance(check.judge(published(demo_robot, {}, 0, 2), SECOND), MatchedJoints)
    other = JointTrajectory(("elbow",), [0, 9 * SECOND], [[0.0], [1.0]])
    trouble = check.judge(other, 2 * SECOND)
    assert isinstance(trouble, JointTrouble) and "not those of this robot" in trouble.sentence
