# SPDX-License-Identifier: Apache-2.0
"""Loading of robots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from calib_all_ros.robot import description
from calib_all_ros.robot.description import demo_urdf_path, load_kinematics, load_robot
from calib_all_ros.robot.kinematics import RobotError

BOX = '<geometry><box size="0.2 0.4 0.6"/></geometry>'


def urdf(visuals: str, joints: str = "") -> str:
    return f'<robot name="thing"><link name="base">{visuals}</link>{joints}</robot>'


def arm(joint: str) -> str:
    tip = f'<link name="tip"><visual>{BOX}</visual></link>'
    ends = '<parent link="base"/><child link="tip"/>'
    return f'<robot name="arm"><link name="base"/>{tip}{joint.replace("ENDS", ends)}</robot>'


def test_visual_origin_is_baked_in() -> None:
    xml = urdf(f'<visual><origin xyz="1 2 3" rpy="0 0 1.5707963267948966"/>{BOX}</visual>')
    surface = load_robot(xml).surface
    np.testing.assert_allclose(surface.vertices.min(axis=0), [0.8, 1.9, 2.7], atol=1e-6)
    np.testing.assert_allclose(surface.vertices.max(axis=0), [1.2, 2.1, 3.3], atol=1e-6)
    assert (len(surface.vertices), len(surface.faces)) == (8, 12)


@pytest.mark.parametrize(
    ("shape", "extents", "volume"),
    [
        ('<box size="0.2 0.4 0.6"/>', [0.2, 0.4, 0.6], 0.048),
        ('<cylinder radius="0.1" length="0.5"/>', [0.2, 0.2, 0.5], np.pi * 0.01 * 0.5),
        ('<sphere radius="0.3"/>', [0.6, 0.6, 0.6], 4 / 3 * np.pi * 0.027),
    ],
)
def test_primitive_shapes(shape: str, extents: list[float], volume: float) -> None:
    surface = load_robot(urdf(f"<visual><geometry>{shape}</geometry></visual>")).surface
    np.testing.assert_allclose(np.ptp(surface.vertices, axis=0), extents, atol=1e-6)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces)
    assert mesh.volume == pytest.approx(volume, rel=5e-3)  # positive: faces look outwards


def test_several_visuals_of_a_link_are_merged() -> None:
    moved = f'<visual><origin xyz="2 0 0"/>{BOX}</visual>'
    surface = load_robot(urdf(f"<visual>{BOX}</visual>{moved}")).surface
    assert len(surface.faces) == 24
    assert set(surface.link_of_vertex) == {0}
    assert surface.vertices[:, 0].max() == pytest.approx(2.1)


@pytest.mark.parametrize("suffix", ["stl", "obj", "ply"])
def test_mesh_files_with_scale(tmp_path: Path, suffix: str) -> None:
    box = trimesh.creation.box(extents=[20.0, 40.0, 60.0])
    box.apply_translation([100.0, 0.0, 0.0])
    box.export(tmp_path / f"box.{suffix}")
    mesh = f'<mesh filename="box.{suffix}" scale="0.01 -0.01 0.01"/>'
    (tmp_path / "thing.urdf").write_text(urdf(f"<visual><geometry>{mesh}</geometry></visual>"))
    surface = load_robot(tmp_path / "thing.urdf").surface
    np.testing.assert_allclose(surface.vertices.min(axis=0), [0.9, -0.2, -0.3], atol=1e-6)
    assert (len(surface.vertices), len(surface.faces)) == (8, 12)  # welded
    mirrored = trimesh.Trimesh(surface.vertices, surface.faces)
    assert mirrored.volume == pytest.approx(0.048)  # a mirroring scale keeps the faces outwards


def test_missing_mesh_names_link_and_places(tmp_path: Path) -> None:
    xml = urdf('<visual><geometry><mesh filename="package://p/m.stl"/></geometry></visual>')
    with pytest.raises(
        RobotError, match=r"visual of link 'base': file 'package://p/m\.stl'"
    ) as caught:
        load_robot(xml, mesh_paths=[tmp_path])
    assert str(tmp_path / "p" / "m.stl") in str(caught.value)


def test_kinematics_need_no_meshes() -> None:
    missing = '<visual><geometry><mesh filename="nowhere.stl"/></geometry></visual>'
    kinematics = load_kinematics(urdf(missing))
    assert kinematics.link_names == load_kinematics(urdf("")).link_names
    assert load_kinematics(urdf(missing), base_frame=kinematics.link_names[0])
    with pytest.raises(RobotError, match="no link 'tool'"):
        load_kinematics(urdf(missing), base_frame="tool")
    with pytest.raises(RobotError, match="not valid XML"):
        load_kinematics("<robot")


def test_broken_mesh_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.stl").write_text("nothing")
    xml = urdf('<visual><geometry><mesh filename="m.stl"/></geometry></visual>')
    with pytest.raises(RobotError, match=r"m\.stl"):
        load_robot(xml, mesh_paths=[tmp_path])


def test_collision_geometry_is_not_drawn() -> None:
    tip = f'<link name="tip"><collision>{BOX}</collision></link>'
    joint = '<joint name="j" type="fixed"><parent link="base"/><child link="tip"/></joint>'
    robot = load_robot(urdf(f"<visual>{BOX}</visual>", tip + joint))
    assert len(robot.surface.faces) == 12
    assert "tip" in robot.notes[0]
    with pytest.raises(RobotError, match="no visual geometry"):
        load_robot(urdf(f"<collision>{BOX}</collision>"))


def test_joint_limits_follow_the_specification() -> None:
    limit = '<limit upper="1.5" effort="1" velocity="1"/>'
    revolute = load_robot(arm(f'<joint name="j" type="revolute">ENDS{limit}</joint>')).kinematics
    assert (revolute.lower[0], revolute.upper[0]) == (0.0, 1.5)  # a missing bound is 0
    endless = load_robot(arm(f'<joint name="j" type="continuous">ENDS{limit}</joint>')).kinematics
    assert (endless.lower[0], endless.upper[0]) == (-np.inf, np.inf)


def test_file_and_text_give_the_same_robot(tmp_path: Path) -> None:
    xml = arm('<joint name="j" type="revolute">ENDS</joint>')
    (tmp_path / "arm.urdf").write_text('<?xml version="1.0"?><!-- c -->\n' + xml)
    assert load_robot(tmp_path / "arm.urdf").description_hash == load_robot(xml).description_hash
    other = load_robot(xml.replace("0.6", "0.7"))
    assert other.description_hash != load_robot(xml).description_hash


def test_xacro_is_expanded(tmp_path: Path) -> None:
    package = tmp_path / "arm_description"
    (package / "urdf").mkdir(parents=True)
    (package / "package.xml").write_text("<package><name>arm_description</name></package>")
    head = '<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="arm">'
    (package / "urdf/parts.xacro").write_text(
        f'{head}<xacro:macro name="part" params="x"><link name="base"><visual>'
        '<geometry><box size="${x} ${2*x} 1"/></geometry></visual></link></xacro:macro></robot>'
    )
    (tmp_path / "robot.urdf.xacro").write_text(
        f'{head}<xacro:arg name="x" default="0.1"/>'
        '<xacro:include filename="$(find arm_description)/urdf/parts.xacro"/>'
        '<xacro:part x="$(arg x)"/></robot>'
    )
    path = tmp_path / "robot.urdf.xacro"
    np.testing.assert_allclose(
        np.ptp(load_robot(path).surface.vertices, axis=0), [0.1, 0.2, 1.0], atol=1e-6
    )
    wide = load_robot(path, xacro_arguments={"x": "0.3"})
    np.testing.assert_allclose(np.ptp(wide.surface.vertices, axis=0), [0.3, 0.6, 1], atol=1e-6)


def test_xacro_errors_name_the_file_or_package(tmp_path: Path) -> None:
    head = '<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="arm">'
    path = tmp_path / "robot.xacro"
    path.write_text(f'{head}<xacro:include filename="$(find no_such_pkg)/a.xacro"/></robot>')
    with pytest.raises(RobotError, match="package 'no_such_pkg'"):
        load_robot(path)
    path.write_text(f'{head}<link name="${{1/0}}"/></robot>')
    with pytest.raises(RobotError, match="cannot expand xacro file"):
        load_robot(path)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<robot name='a'><link", "not valid XML"),
        ("<sdf/>", "not <sdf>"),
        ("<robot name='a'/>", "has no links"),
        ("<robot name='a'><link/></robot>", "not a valid URDF"),
        (arm("<joint name='j' type='revolute'><child link='tip'/></joint>"), "not a valid URDF"),
        (arm("<joint name='j' type='floating'>ENDS</joint>"), "'j' is floating"),
    ],
)
def test_broken_descriptions_are_one_clear_error(xml: str, message: str) -> None:
    with pytest.raises(RobotError, match=message):
        load_robot(xml)


def test_missing_file_and_unknown_base(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match="not found"):
        load_robot(tmp_path / "none.urdf")
    with pytest.raises(RobotError, match=r"no link 'world'.*base"):
        load_robot(urdf(f"<visual>{BOX}</visual>"), base_frame="world")


@pytest.mark.parametrize("name", ["panda/panda", "ur5e/ur5e_robotiq85", "xarm7/xarm7_gripper"])
def test_real_robots_load_in_metres(name: str, shared_data: Path) -> None:
    surface = load_robot(shared_data / "robots" / f"{name}.urdf").surface
    sizes = [
        np.ptp(surface.vertices[surface.link_of_vertex == link], axis=0).max()
        for link in np.unique(surface.link_of_vertex)
    ]
    assert 0.2 < max(sizes) < 0.7
    assert len(surface.faces) > 50_000


def test_demo_arm_is_an_arm_with_a_gripper() -> None:
    robot = load_robot(demo_urdf_path())
    kinematics = robot.kinematics
    assert kinematics.base_frame == "base_link"
    assert kinematics.joint_names == (*(f"joint_{i}" for i in range(1, 8)), "finger_joint")
    assert np.isfinite(kinematics.lower).all()
    assert (kinematics.lower < kinematics.upper).all()
    assert set(robot.surface.link_of_face) == set(range(len(kinematics.link_names)))
    T = kinematics.forward([[0.0] * 7 + [0.03]])[0]
    at = dict(zip(kinematics.link_names, T[:, :3, 3], strict=True))
    np.testing.assert_allclose(at["left_finger"] - at["right_finger"], [0, 0.06, 0], atol=1e-12)
    assert 0.8 < np.linalg.norm(at["left_finger"] - at["upper_arm_link"]) + 0.07 < 1.0


def test_a_missing_demo_arm_lists_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "_DEMO", Path("urdf/none.urdf"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/some/install")
    with pytest.raises(RobotError, match=r"/some/install/share/calib_all_ros/urdf/none\.urdf"):
        demo_urdf_path()


def test_an_installed_demo_arm_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Path("urdf/installed.urdf")
    monkeypatch.setattr(description, "_DEMO", inside)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    place = tmp_path / "share" / "calib_all_ros" / inside
    place.parent.mkdir(parents=True)
    place.write_text("<robot/>")
    assert demo_urdf_path() == place
