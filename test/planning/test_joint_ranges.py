# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.planning.joint_ranges import PlanningError, arm_joints, joint_ranges
from calib_all_ros.robot.description import Robot, load_kinematics


def test_gripper_stays_and_mimic_joints_are_not_named(crane: Robot) -> None:
    ranges = joint_ranges(crane.kinematics, margin=0.0)
    assert ranges.joint_names == ("slide", "turn", "elbow", "grip")
    assert ranges.moved == ranges.listed == ("slide", "turn", "elbow")
    # Where the solver takes a gripper to be that does not report itself: the limit next to zero.
    np.testing.assert_allclose(ranges.home, [0.0, 0.0, 0.1, 0.01])
    np.testing.assert_allclose(ranges.lower, [-0.3, -np.pi, 0.1 - np.pi, 0.01])
    np.testing.assert_allclose(ranges.upper, [0.3, np.pi, 0.1 + np.pi, 0.01])


def test_margin_is_a_share_of_the_range(crane: Robot) -> None:
    ranges = joint_ranges(crane.kinematics, margin=0.1)
    np.testing.assert_allclose((ranges.lower[0], ranges.upper[0]), (-0.24, 0.24))


def test_home_moves_what_turns_on_and_on_but_not_slides(crane: Robot) -> None:
    ranges = joint_ranges(crane.kinematics, home={"turn": 1.0, "slide": 0.2}, margin=0.0)
    np.testing.assert_allclose((ranges.lower[1], ranges.upper[1]), (1 - np.pi, 1 + np.pi))
    np.testing.assert_allclose((ranges.lower[0], ranges.upper[0]), (-0.3, 0.3))


def test_other_joints_of_the_arm_stay_at_home_but_are_listed(crane: Robot) -> None:
    ranges = joint_ranges(crane.kinematics, moved=["grip", "elbow"], home={"slide": 0.1})
    assert ranges.moved == ("elbow", "grip")
    assert ranges.listed == ("slide", "turn", "elbow", "grip")
    drawn = ranges.draw(50, np.random.default_rng(0))
    assert set(drawn[:, 0]) == {0.1}
    assert set(drawn[:, 1]) == {0.0}
    assert np.ptp(drawn[:, 2]) > 3.0
    assert ((drawn >= ranges.lower) & (drawn <= ranges.upper)).all()


def test_drawn_positions_are_written_as_they_are(crane: Robot) -> None:
    ranges = joint_ranges(crane.kinematics)
    drawn = ranges.draw(20, np.random.default_rng(0))[:, :3]
    np.testing.assert_array_equal(drawn, np.round(drawn, 4))


def test_joints_without_a_range_do_not_move() -> None:
    """A slide without limits has no range to draw from, a revolute joint of 0 to 0 none at all."""
    links = "".join(f'<link name="l{i}"/>' for i in range(4))
    kinds = ("prismatic", "revolute", "continuous")
    joints = "".join(
        f'<joint name="j{i}" type="{kind}"><parent link="l{i}"/><child link="l{i + 1}"/>'
        f"{'<limit effort=' + chr(34) + '1' + chr(34) + '/>' if kind == 'revolute' else ''}"
        '<axis xyz="0 0 1"/></joint>'
        for i, kind in enumerate(kinds)
    )
    kinematics = load_kinematics(f'<robot name="r">{links}{joints}</robot>')
    assert joint_ranges(kinematics).moved == ("j2",)
    for name in ("j0", "j1"):
        with pytest.raises(PlanningError, match=rf"not every joint of .*{name}.*<limit>"):
            joint_ranges(kinematics, moved=[name])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"moved": ["tail"]}, "no joint 'tail' .*slide, turn, elbow, grip"),
        ({"moved": ["grip_2"]}, "no joint 'grip_2' that moves by itself"),
        ({"home": {"slide": 0.4}}, "home of joint 'slide' is 0.4, outside of its limits -0.3"),
        ({"home": {"head": 0.0}}, "no joint 'head'"),
        ({"margin": 0.6}, "margin of the joint limits is 0.6"),
        ({"margin": float("nan")}, "margin of the joint limits is nan"),
    ],
)
def test_refused(crane: Robot, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PlanningError, match=sentence):
        joint_ranges(crane.kinematics, **arguments)


@pytest.mark.parametrize(
    ("description", "last", "gripper"),
    [
        ("panda/panda.urdf", "panda_joint7", "panda_finger_joint1"),
        ("ur5e/ur5e_robotiq85.urdf", "wrist_3_joint", "finger_joint"),
        ("xarm7/xarm7_gripper.urdf", "joint7", "drive_joint"),
    ],
)
def test_arms_with_grippers(shared_data: Path, description: str, last: str, gripper: str) -> None:
    kinematics = load_kinematics((shared_data / "robots" / description).read_text())
    arm = arm_joints(kinematics)
    assert arm == kinematics.joint_names[: len(arm)]
    assert arm[-1] == last
    assert set(kinematics.joint_names) - set(arm) == {gripper}
