# SPDX-License-Identifier: Apache-2.0
"""Two arms in one description."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from calib_all_ros.geometry import se3
from calib_all_ros.robot.demo import demo_urdf_path
from calib_all_ros.robot.description import Robot, RobotError, load_robot
from calib_all_ros.robot.joining import join_descriptions

BESIDE = se3.from_rotvec([0.3, -0.8, 1.4], [0.1, 0.9, 0.2])


@pytest.fixture(scope="module")
def dual() -> Robot:
    """Two demo arms."""
    urdf = demo_urdf_path()
    return load_robot(join_descriptions(urdf, urdf, BESIDE, prefix="left_", second_prefix="right_"))


def test_each_arm_keeps_its_kinematics(dual: Robot, demo_robot: Robot) -> None:
    single, both = demo_robot.kinematics, dual.kinematics
    names = [f"{side}_{name}" for side in ("left", "right") for name in single.joint_names]
    assert list(both.joint_names) == names
    assert both.base_frame == "left_base_link"
    np.testing.assert_array_equal(both.lower, np.tile(single.lower, 2))
    rng = np.random.default_rng(0)
    q = rng.uniform(-1.0, 1.0, (3, 2, len(single.joint_names)))
    T = both.forward(q.reshape(3, -1))
    for arm, (side, T_base_arm) in enumerate((("left", np.eye(4)), ("right", BESIDE))):
        alone = single.forward(q[:, arm])
        for link, name in enumerate(single.link_names):
            found = T[:, both.link_names.index(f"{side}_{name}")]
            np.testing.assert_allclose(found, T_base_arm @ alone[:, link], atol=1e-9)
    assert both.moving_joints("right_hand")[0] == "right_joint_1"


def test_each_arm_keeps_its_surface(dual: Robot, demo_robot: Robot) -> None:
    assert len(dual.surface.faces) == 2 * len(demo_robot.surface.faces)
    assert dual.surface.link_names == dual.kinematics.link_names
    right = {n for n in dual.surface.link_names if n.startswith("right_")}
    drawn = {dual.surface.link_names[i] for i in np.unique(dual.surface.link_of_face)}
    assert len(drawn & right) == len(drawn) / 2


def arm_with_mesh(folder: Path, size_m: float) -> Path:
    folder.mkdir()
    trimesh.creation.box(extents=[size_m] * 3).export(folder / "body.stl")
    path = folder / "arm.urdf"
    path.write_text(
        '<robot name="arm"><link name="base"><visual><geometry><mesh filename="body.stl"/>'
        '</geometry></visual></link><link name="tip"/><link name="finger"/>'
        '<joint name="turn" type="revolute"><parent link="base"/><child link="tip"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/></joint>'
        '<joint name="follow" type="revolute"><parent link="tip"/><child link="finger"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/>'
        '<mimic joint="turn"/></joint></robot>'
    )
    return path


def test_meshes_of_one_name_are_those_of_their_own_folders(tmp_path: Path) -> None:
    first, second = arm_with_mesh(tmp_path / "a", 0.1), arm_with_mesh(tmp_path / "b b", 0.4)
    robot = load_robot(join_descriptions(first, second, np.eye(4)))
    surface = robot.surface
    sizes = {
        surface.link_names[link]: float(np.ptp(surface.vertices[surface.link_of_vertex == link]))
        for link in np.unique(surface.link_of_vertex)
    }
    assert sizes == pytest.approx({"base": 0.1, "second_base": 0.4})


def test_followers_follow_their_own_arm(tmp_path: Path) -> None:
    urdf = arm_with_mesh(tmp_path / "a", 0.1)
    kinematics = load_robot(join_descriptions(urdf, urdf, np.eye(4))).kinematics
    assert kinematics.joint_names == ("turn", "second_turn")
    assert kinematics.moving_joints("second_finger") == ("second_turn",)


def test_the_second_arm_may_stand_on_another_link_of_the_first() -> None:
    urdf = demo_urdf_path()
    xml = join_descriptions(urdf, urdf, BESIDE, base_frame="hand")
    kinematics = load_robot(xml).kinematics
    assert kinematics.parent("second_base_link") == "hand"
    with pytest.raises(RobotError, match=r"no link 'torso'.*base_link"):
        join_descriptions(urdf, urdf, BESIDE, base_frame="torso")


def test_names_that_both_arms_have_are_an_error() -> None:
    urdf = demo_urdf_path()
    with pytest.raises(RobotError, match=r"both arms have a link 'base_link'.*--second-prefix"):
        join_descriptions(urdf, urdf, BESIDE, second_prefix="")
