# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics against analytic answers and against yourdfpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yourdfpy
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import load_robot
from calib_all_ros.robot.kinematics import Joint, Kinematics, Mimic, RobotError

Z = np.array([0.0, 0.0, 1.0])
LINKS = ["base", "upper", "lower", "tip"]


def offset(x: float, y: float = 0.0, z: float = 0.0) -> NDArray[np.float64]:
    return se3.make(np.eye(3), np.array([x, y, z]))


def planar_arm() -> list[Joint]:
    return [
        Joint("shoulder", "revolute", "base", "upper", np.eye(4), Z, -2.0, 2.0),
        Joint("elbow", "continuous", "upper", "lower", offset(0.5), 2.0 * Z),
        Joint("flange", "fixed", "lower", "tip", offset(0.3)),
    ]


def test_planar_arm_is_the_textbook_formula() -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(-3, 3, (50, 2))
    T = Kinematics(LINKS, planar_arm()).forward(q)
    assert T.shape == (50, 4, 4, 4)
    angle = q.sum(axis=1)
    np.testing.assert_allclose(T[:, 3, 0, 3], 0.5 * np.cos(q[:, 0]) + 0.3 * np.cos(angle))
    np.testing.assert_allclose(T[:, 3, 1, 3], 0.5 * np.sin(q[:, 0]) + 0.3 * np.sin(angle))
    np.testing.assert_allclose(T[:, 3, 0, 0], np.cos(angle))
    np.testing.assert_allclose(T[:, 0], np.broadcast_to(np.eye(4), (50, 4, 4)))


def test_prismatic_joint_moves_along_its_axis() -> None:
    joint = Joint("slide", "prismatic", "base", "upper", offset(1.0), np.array([0.0, 3.0, 4.0]))
    T = Kinematics(LINKS[:2], [joint]).forward([[0.5]])
    np.testing.assert_allclose(T[0, 1, :3, 3], [1.0, 0.3, 0.4])


def test_mimic_joints_follow_through_a_chain() -> None:
    joints = [
        Joint("a", "prismatic", "base", "upper", axis=Z),
        Joint("b", "prismatic", "base", "lower", axis=Z, mimic=Mimic("a", -2.0, 0.1)),
        Joint("c", "prismatic", "base", "tip", axis=Z, mimic=Mimic("b", 3.0, 0.01)),
    ]
    kinematics = Kinematics(LINKS, joints)
    assert kinematics.joint_names == ("a",)
    T = kinematics.forward([[0.2]])[0]
    np.testing.assert_allclose(T[1:, 2, 3], [0.2, -0.3, -0.89])
    assert kinematics.moving_joints("tip") == ("a",)


def test_any_link_can_be_the_base() -> None:
    q = np.random.default_rng(1).uniform(-2, 2, (5, 2))
    from_root = Kinematics(LINKS, planar_arm()).forward(q)
    from_lower = Kinematics(LINKS, planar_arm(), "lower").forward(q)
    expected = np.linalg.inv(from_root[:, 2])[:, None] @ from_root
    np.testing.assert_allclose(from_lower, expected, atol=1e-12)


def test_order_of_joints_in_the_description_does_not_matter() -> None:
    one, other = Kinematics(LINKS, planar_arm()), Kinematics(LINKS[::-1], planar_arm()[::-1])
    assert other.joint_names == ("elbow", "shoulder")
    q = np.array([[0.3, -0.7]])
    poses = dict(zip(other.link_names, other.forward(q[:, ::-1])[0], strict=True))
    for link, pose in zip(one.link_names, one.forward(q)[0], strict=True):
        np.testing.assert_allclose(poses[link], pose, atol=1e-15)


def test_limits_belong_to_their_joints() -> None:
    kinematics = Kinematics(LINKS, planar_arm())
    np.testing.assert_array_equal(kinematics.lower, [-2.0, -np.inf])
    np.testing.assert_array_equal(kinematics.upper, [2.0, np.inf])
    np.testing.assert_array_equal(kinematics.turning, [True, True])


def test_moving_joints_are_those_between_base_and_link() -> None:
    assert Kinematics(LINKS, planar_arm()).moving_joints("tip") == ("shoulder", "elbow")
    assert Kinematics(LINKS, planar_arm()).moving_joints("base") == ()
    assert Kinematics(LINKS, planar_arm(), "upper").moving_joints("base") == ("shoulder",)
    assert Kinematics(LINKS, planar_arm(), "tip").moving_joints("base") == ("elbow", "shoulder")


def test_parents_lead_to_the_root() -> None:
    kinematics = Kinematics(LINKS, planar_arm())
    assert [kinematics.parent(link) for link in ("tip", "lower", "upper")] == [
        "lower",
        "upper",
        "base",
    ]
    assert kinematics.parent("base") is None
    with pytest.raises(RobotError, match="no link 'x'"):
        kinematics.parent("x")


def test_only_joints_off_the_common_part_move_a_branch() -> None:
    joints = [*planar_arm(), Joint("finger", "revolute", "lower", "thumb", axis=Z)]
    kinematics = Kinematics([*LINKS, "thumb"], joints, "tip")
    assert kinematics.moving_joints("thumb") == ("finger",)


@pytest.mark.parametrize("robot", ["panda/panda", "ur5e/ur5e_robotiq85", "xarm7/xarm7_gripper"])
def test_agrees_with_yourdfpy(robot: str, shared_data: Path) -> None:
    path = shared_data / "robots" / f"{robot}.urdf"
    kinematics = load_robot(path).kinematics
    reference = yourdfpy.URDF.load(str(path), load_meshes=False)
    rng = np.random.default_rng(2)
    q = rng.uniform(-2, 2, (10, len(kinematics.joint_names)))
    poses = kinematics.forward(q)
    for positions, T in zip(q, poses, strict=True):
        reference.update_cfg(dict(zip(kinematics.joint_names, positions, strict=True)))
        for link, pose in zip(kinematics.link_names, T, strict=True):
            expected = reference.get_transform(link, kinematics.base_frame)
            np.testing.assert_allclose(pose, expected, atol=1e-9)


def test_wrong_shape_and_values_are_refused() -> None:
    kinematics = Kinematics(LINKS, planar_arm())
    with pytest.raises(RobotError, match=r"\(N, 2\) for joints shoulder, elbow"):
        kinematics.forward(np.zeros((4, 3)))
    with pytest.raises(RobotError, match="'elbow' is not finite in row 1"):
        kinematics.forward([[0.0, 0.0], [0.0, np.nan]])


def test_unknown_links_are_answered_with_those_there_are() -> None:
    with pytest.raises(RobotError, match=r"no link 'tool'.*base, upper, lower, tip"):
        Kinematics(LINKS, planar_arm(), "tool")
    with pytest.raises(RobotError, match="no link 'tool'"):
        Kinematics(LINKS, planar_arm()).moving_joints("tool")


def replaced(index: int, **changes: object) -> list[Joint]:
    joints = planar_arm()
    joints[index] = replace(joints[index], **changes)  # type: ignore[arg-type]
    return joints


@pytest.mark.parametrize(
    ("links", "joints", "message"),
    [
        (LINKS, replaced(0, kind="floating"), "'shoulder' is floating"),
        (LINKS, replaced(0, kind="planar"), "'shoulder' is planar"),
        (LINKS, replaced(1, axis=np.zeros(3)), "axis of joint 'elbow'"),
        (LINKS, replaced(2, parent="wrist"), "names link 'wrist'"),
        (LINKS, replaced(2, child="lower"), "'lower' has two parent joints, 'elbow' and 'flange'"),
        (LINKS, replaced(2, name="elbow"), "more than one joint 'elbow'"),
        ([*LINKS, "tip"], planar_arm(), "more than one link 'tip'"),
        ([*LINKS, "loose"], planar_arm(), "roots base, loose"),
        (LINKS, replaced(1, parent="tip"), "loop"),
        (LINKS, replaced(1, mimic=Mimic("knee")), "mimics 'knee'.* those are: shoulder"),
        (LINKS, replaced(1, mimic=Mimic("flange")), "not a movable joint"),
        (LINKS, replaced(1, mimic=Mimic("elbow")), "in a circle"),
    ],
)
def test_descriptions_that_are_no_tree_are_refused(
    links: list[str], joints: list[Joint], message: str
) -> None:
    with pytest.raises(RobotError, match=message):
        Kinematics(links, joints)


def branched_robot() -> list[Joint]:
    """Return an arm with a lift, a wrist, a gripper whose fingers mimic each other, and a head."""
    rng = np.random.default_rng(3)

    def placed() -> NDArray[np.float64]:
        return se3.from_rotvec(rng.normal(size=3), rng.normal(size=3))

    def joint(name: str, kind: str, parent: str, mimic: Mimic | None = None) -> Joint:
        return Joint(name, kind, parent, f"{name}_link", placed(), rng.normal(size=3), mimic=mimic)

    return [
        joint("lift", "prismatic", "base"),
        joint("mount", "fixed", "lift_link"),
        joint("shoulder", "revolute", "mount_link"),
        joint("wrist", "continuous", "shoulder_link"),
        joint("finger", "prismatic", "wrist_link"),
        joint("thumb", "prismatic", "wrist_link", Mimic("finger", -1.5, 0.1)),
        joint("nail", "revolute", "thumb_link", Mimic("thumb", 2.0)),
        joint("head", "revolute", "lift_link"),
    ]


@pytest.mark.parametrize("base", ["base", "lift_link", "wrist_link", "nail_link"])
def test_jacobian_is_the_derivative_of_the_poses(base: str) -> None:
    joints = branched_robot()
    kinematics = Kinematics(["base", *(joint.child for joint in joints)], joints, base)
    q = np.random.default_rng(4).uniform(-2, 2, (6, len(kinematics.joint_names)))
    twists = kinematics.jacobian(q)
    assert twists.shape == (6, 9, 6, 5)
    T_link_base = se3.invert(kinematics.forward(q))
    step = 1e-5
    for joint, ahead in enumerate(step * np.eye(q.shape[1])):
        rate = (kinematics.forward(q + ahead) - kinematics.forward(q - ahead)) / (2 * step)
        spin = rate @ T_link_base
        np.testing.assert_allclose(twists[..., :3, joint], spin[..., :3, 3], atol=1e-7)
        turning = np.cross(np.eye(3), twists[..., None, 3:, joint])
        np.testing.assert_allclose(turning, spin[..., :3, :3], atol=1e-7)
        name = kinematics.joint_names[joint]
        moved = [name in kinematics.moving_joints(link) for link in kinematics.link_names]
        np.testing.assert_array_equal(twists[..., joint].any(axis=(0, 2)), moved)
    with pytest.raises(RobotError, match="not finite"):
        kinematics.jacobian(np.full((1, 5), np.nan))
