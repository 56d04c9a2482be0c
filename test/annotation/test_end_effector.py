# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from calib_all_ros.annotation.end_effector import find_end_effector
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.robot.kinematics import Joint, Kinematics, RobotError
from calib_all_ros.robot.surface import RobotSurface


def robot_of(text: str, seen: str) -> Robot:
    """Make a robot of joints "NAME:KIND PARENT>CHILD"; the links in ``seen`` get a small box."""
    joints = []
    for line in filter(None, text.splitlines()):
        name, chain = line.split()
        label, _, kind = name.partition(":")
        parent, child = chain.split(">")
        T = se3.make(np.eye(3), np.array([0.0, 0.0, 0.1]))
        joints.append(Joint(label, kind or "revolute", parent, child, T))
    links = list(dict.fromkeys(name for joint in joints for name in (joint.parent, joint.child)))
    kinematics = Kinematics(links, joints)
    box = trimesh.creation.box(extents=(0.02, 0.02, 0.02))
    meshes = [box if link in seen.split() else None for link in kinematics.link_names]
    surface = RobotSurface.from_meshes(meshes, kinematics.link_names)
    return Robot("toy", kinematics, surface, "")


ARM = """
j1 base>l1
j2 l1>l2
j3 l2>l3
"""
FINGERS = """
mount:fixed l3>palm
a:prismatic palm>left
b:prismatic palm>right
"""


def test_gripper_begins_where_the_arm_forks() -> None:
    robot = robot_of(ARM + FINGERS, "base l1 l2 l3 palm left right")
    found = find_end_effector(robot)
    assert found.link == "palm"
    assert found.gripper_links == ("palm", "left", "right")
    assert set(found.own_links) == {"palm", "left", "right"}


def test_tool_frame_of_a_gripper_is_the_end_effector_and_a_camera_frame_is_not() -> None:
    text = ARM + FINGERS + "t:fixed palm>tcp\nc:fixed palm>wrist_camera_optical_frame\n"
    found = find_end_effector(robot_of(text, "base l1 l2 l3 palm left right"))
    assert found.link == "tcp"
    assert found.gripper_links == ("palm", "left", "right", "tcp", "wrist_camera_optical_frame")
    assert "tool frame" in found.why


def test_single_moving_jaw_is_known_by_the_name_of_its_joint() -> None:
    found = find_end_effector(robot_of(ARM + "gripper_joint l3>jaw", "base l1 l2 l3 jaw"))
    assert found.link == "l3"
    assert found.gripper_links == ("l3", "jaw")


def test_arm_without_a_gripper_ends_with_its_last_part() -> None:
    text = ARM + "f:fixed l3>flange\nt:fixed flange>tool0\n"
    found = find_end_effector(robot_of(text, "base l1 l2 l3"))
    assert found.link == "tool0"
    assert found.gripper_links == ("l3", "flange", "tool0")


def test_torso_with_two_arms_is_no_hand() -> None:
    text = "waist base>torso\n" + "".join(
        f"{side}{n} {side if n > 1 else 'torso'}{n - 1 if n > 1 else ''}>{side}{n}\n"
        for side in "lr"
        for n in (1, 2, 3)
    )
    found = find_end_effector(robot_of(text, "torso l3 r3"))
    assert found.link in ("l3", "r3")
    assert found.gripper_links == (found.link,)
    other = "r3" if found.link == "l3" else "l3"
    assert f"another arm ends with {other} and is left out: --eef-link" in found.why
    assert "another arm" not in find_end_effector(robot_of(text, "torso l3 r3"), "r3").why


def test_head_and_fingers_are_no_other_arm() -> None:
    text = "pan base>neck\n" + ARM + FINGERS
    assert "another arm" not in find_end_effector(robot_of(text, "base l3 palm left right")).why


def test_what_is_fixed_to_the_origin_does_not_hide_it() -> None:
    text = ARM + "mount:fixed l3>cuff\nf2:fixed cuff>hand\nfinger_joint hand>finger\n"
    robot = robot_of(text, "base l1 l2 l3 cuff hand finger")
    found = find_end_effector(robot)
    # The boxes are 10 cm apart.
    assert found.own_links == ("hand", "finger")
    box = trimesh.creation.box(extents=(0.02, 0.02, 0.18))
    meshes = [box if name == "cuff" else None for name in robot.kinematics.link_names]
    long = Robot(
        "toy",
        robot.kinematics,
        RobotSurface.from_meshes(meshes, robot.kinematics.link_names),
        "",
    )
    assert find_end_effector(long).own_links == ("cuff", "hand", "finger")


def test_named_links_count() -> None:
    robot = robot_of(ARM + FINGERS, "base l1 l2 l3 palm left right")
    found = find_end_effector(robot, "left")
    assert found.link == "left"
    assert found.gripper_links == ("palm", "left", "right")
    assert find_end_effector(robot, "l2").gripper_links == ("l2", "l3", "palm", "left", "right")
    chosen = find_end_effector(robot, "palm", ["right", "left"])
    assert chosen.gripper_links == ("left", "right")
    assert chosen.own_links == ("palm",)


def test_wrong_names_are_told() -> None:
    robot = robot_of(ARM + FINGERS, "base palm")
    with pytest.raises(RobotError, match="no link 'hand'"):
        find_end_effector(robot, "hand")
    with pytest.raises(RobotError, match="no link 'thumb'"):
        find_end_effector(robot, None, ["thumb"])
    with pytest.raises(AnnotationError, match="no links of the gripper"):
        find_end_effector(robot, None, [])


@pytest.mark.parametrize(
    ("urdf", "link", "first", "count"),
    [
        ("panda/panda.urdf", "panda_hand_tcp", "panda_hand", 4),
        ("ur5e/ur5e_robotiq85.urdf", "robotiq_arg2f_base_link", "robotiq_arg2f_base_link", 11),
        ("xarm7/xarm7_gripper.urdf", "link_tcp", "xarm_gripper_base_link", 8),
    ],
)
def test_robots_that_people_have(
    shared_data: Path, urdf: str, link: str, first: str, count: int
) -> None:
    path = shared_data / "robots" / urdf
    found = find_end_effector(load_robot(path, mesh_paths=[path.parent]))
    assert (found.link, found.gripper_links[0], len(found.gripper_links)) == (link, first, count)
