# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.joints import (
    DatasetRobot,
    find_robot,
    joint_positions,
    portable_description,
)
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.robot.description import demo_urdf_path, load_robot
from calib_all_ros.robot.kinematics import RobotError

JOINTS = {
    "pan": ("revolute", '<limit lower="-2" upper="2"/>'),
    "roll": ("continuous", '<limit effort="1"/>'),
    "slide": ("prismatic", '<limit upper="0.5"/>'),
    "gripper": ("revolute", '<limit lower="-0.1" upper="1.7"/>'),
    "mount": ("fixed", ""),
    "twin": ("revolute", '<mimic joint="gripper"/>'),
}
URDF = '<robot name="arm"><link name="base"/>' + "".join(
    f'<link name="{name}"/><joint name="{name}" type="{kind}"><parent link="base"/>'
    f'<child link="{name}"/>{content}</joint>'
    for name, (kind, content) in JOINTS.items()
)
URDF += "</robot>"
NAMES = ("pan.pos", "roll.pos", "slide.pos", "gripper.pos")
DEGREES = np.array([[90.0, -720.0, 0.25, 0.0], [45.0, 360.0, 0.5, 100.0]])


def test_degrees_turn_and_lengths_stay() -> None:
    columns = DatasetRobot(units="degrees", gripper="0:100", urdf=URDF)
    found = joint_positions(NAMES, DEGREES, columns, "state")
    assert found.names == ("pan", "roll", "slide", "gripper")
    expected = [[np.pi / 2, -4 * np.pi, 0.25, -0.1], [np.pi / 4, 2 * np.pi, 0.5, 1.7]]
    np.testing.assert_allclose(found.positions, expected)
    assert found.notes == () and found.warnings == ()


def test_a_gripper_without_a_scale_is_left_out() -> None:
    found = joint_positions(NAMES, DEGREES, DatasetRobot(units="degrees", urdf=URDF), "state")
    assert found.names == ("pan", "roll", "slide")
    assert "gripper" in found.notes[0] and "gripper=LOWER:UPPER" in found.notes[0]


def test_a_scale_may_run_backwards() -> None:
    state = np.array([[0.0, 0.0, 0.0, 0.25]])
    found = joint_positions(NAMES, state, DatasetRobot(gripper="1:0", urdf=URDF), "state")
    np.testing.assert_allclose(found.positions[0, 3], -0.1 + 0.75 * 1.8)


def test_a_gripper_that_is_a_joint() -> None:
    state = np.array([[0.0, 0.0, 0.0, 1.25]])
    found = joint_positions(NAMES, state, DatasetRobot(gripper="joint", urdf=URDF), "state")
    assert found.positions[0, 3] == 1.25


def test_degrees_are_not_taken_for_radians() -> None:
    with pytest.raises(LerobotError) as error:
        joint_positions(NAMES, DEGREES, DatasetRobot(urdf=URDF), "state in data")
    message = str(error.value)
    assert "state in data cannot be in radians (pan up to 90, roll up to 720)" in message
    assert "units=degrees" in message and "-100 to 100" in message


def test_joints_of_several_turns_can_be_told() -> None:
    state = np.array([[1.0, 20.0, 0.1, 0.0]])
    found = joint_positions(NAMES, state, DatasetRobot(units="radians", urdf=URDF), "state")
    assert found.positions.tolist() == [[1.0, 20.0, 0.1]]


def test_degrees_that_look_like_something_else_get_a_warning() -> None:
    columns = DatasetRobot(units="degrees", urdf=URDF)
    small = joint_positions(NAMES, np.array([[1.0, 2.0, 0.1, 0.0]]), columns, "state")
    assert "could be in radians" in small.warnings[0]
    full = joint_positions(NAMES, np.array([[100.0, -100.0, 0.1, 0.0]]), columns, "state")
    assert "over each motor's range" in full.warnings[0]


def test_shares_of_the_motors_ranges(tmp_path: Path) -> None:
    ranges = {
        "pan": {"id": 1, "drive_mode": 0, "homing_offset": 7, "range_min": 1024, "range_max": 3072},
        "roll": {"id": 2, "drive_mode": 0, "homing_offset": 0, "range_min": 0, "range_max": 4095},
    }
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(ranges))
    state = np.array([[100.0, -50.0, 0.25, 0.0]])
    columns = DatasetRobot(units=str(path), urdf=URDF)
    found = joint_positions(NAMES, state, columns, "state")
    quarter_turn = 1024 * 2 * np.pi / 4095
    np.testing.assert_allclose(found.positions, [[quarter_turn, -np.pi / 2, 0.25]])
    # The motors go by the dataset's names, whatever the joints are called.
    renamed = DatasetRobot(URDF, joint_names=("roll", "pan", "_", "_"), units=str(path))
    found = joint_positions(NAMES, state, renamed, "state")
    assert found.names == ("roll", "pan")
    np.testing.assert_allclose(found.positions, [[quarter_turn, -np.pi / 2]])


@pytest.mark.parametrize(
    "text, message",
    [
        ("{}", r"does not tell the range of the motor pan \(KeyError\('pan'\)\); it has: "),
        ("[1]", "does not tell the range of the motor pan"),
        ('{"pan": {"range_min": 3, "range_max": 1}}', "runs backwards or has no range"),
        ('{"pan": {"range_min": 0, "range_max": 9, "drive_mode": 1}}', "runs backwards"),
        ("{", "cannot be read"),
    ],
)
def test_ranges_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "arm.json"
    path.write_text(text)
    with pytest.raises(LerobotError, match=message):
        joint_positions(("pan",), np.zeros((1, 1)), DatasetRobot(URDF, units=str(path)), "s")


def test_degrees_need_the_urdf() -> None:
    with pytest.raises(LerobotError, match="only the URDF tells"):
        joint_positions(NAMES, DEGREES, DatasetRobot(units="degrees"), "state")


def test_given_names_count_and_skip_columns() -> None:
    columns = DatasetRobot(joint_names=("roll", "_", "pan"), urdf=URDF)
    found = joint_positions(("x", "y", "z"), np.array([[1.0, 99.0, 2.0]]), columns, "state")
    assert found.names == ("roll", "pan")
    assert found.positions.tolist() == [[1.0, 2.0]]
    with pytest.raises(LerobotError, match="has 3 columns but 2 joint names were given"):
        joint_positions((), np.zeros((1, 3)), DatasetRobot(joint_names=("roll", "pan")), "state")


def test_a_state_that_is_no_joints_is_told() -> None:
    with pytest.raises(LerobotError) as error:
        joint_positions(("x", "y", "z"), np.zeros((1, 3)), DatasetRobot(urdf=URDF), "state")
    message = str(error.value)
    assert "the columns are x, y, z" in message
    assert "the joints: pan, roll, slide, gripper" in message
    assert "joints=FEATURE" in message


def test_columns_without_a_urdf_keep_their_names() -> None:
    found = joint_positions(("a.pos", "b"), np.zeros((1, 2)), DatasetRobot(), "state")
    assert found.names == ("a", "b")


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(LerobotError, match="several columns pan"):
        joint_positions(("pan", "pan.pos"), np.zeros((1, 2)), DatasetRobot(urdf=URDF), "state")


@pytest.mark.parametrize("gripper", ["wide", "1:1", "0:x"])
def test_a_scale_that_is_none(gripper: str) -> None:
    columns = DatasetRobot(gripper=gripper, urdf=URDF)
    with pytest.raises(LerobotError, match="is not understood: say gripper=joint"):
        joint_positions(NAMES, np.zeros((1, 4)), columns, "state")


def test_a_scale_needs_limits() -> None:
    with pytest.raises(LerobotError, match="needs the limits of the joint gripper"):
        joint_positions(("gripper",), np.zeros((1, 1)), DatasetRobot(gripper="0:1"), "state")


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
WITH_MESH = """<robot name="r"><link name="base"><visual><geometry>
<mesh filename="meshes/triangle.obj"/></geometry></visual></link></robot>"""


def table(folder: Path, text: str) -> Path:
    path = folder / "robots.yaml"
    path.write_text(text)
    return path


def test_a_word_or_a_description(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "panda: franka/panda.urdf\n"
        "so101: {urdf: so101.urdf, units: degrees, gripper: '0:100', joint_names: [a, _]}\n",
    )
    assert find_robot(path, "panda", "data") == DatasetRobot(str(tmp_path / "franka/panda.urdf"))
    assert find_robot(path, "so101", "data") == DatasetRobot(
        str(tmp_path / "so101.urdf"), None, ["a", "_"], "degrees", "0:100"
    )


def test_units_may_be_a_file_beside_the_table(tmp_path: Path) -> None:
    path = table(tmp_path, "a: {urdf: a.urdf, units: arm.json}\nb: {urdf: a.urdf, units: turns}\n")
    assert find_robot(path, "a", "data").units == str(tmp_path / "arm.json")
    with pytest.raises(LerobotError, match=r"units=turns in .* is unknown"):
        find_robot(path, "b", "data")


def test_unknown_robots_are_told(tmp_path: Path) -> None:
    path = table(tmp_path, "panda: panda.urdf\nbad: {units: degrees}\nworse: {urdf: a, size: 3}\n")
    with pytest.raises(LerobotError, match=r"data has a robot of the type ur5, .* knows: panda"):
        find_robot(path, "ur5", "data")
    with pytest.raises(LerobotError, match="data has no robot type"):
        find_robot(path, None, "data")
    for name in ("bad", "worse"):
        with pytest.raises(LerobotError, match=f"does not describe {name}"):
            find_robot(path, name, "data")
    with pytest.raises(LerobotError, match="is no table of robots"):
        find_robot(table(tmp_path, "- panda\n"), "panda", "data")
    with pytest.raises(RecordingError, match="cannot be read"):
        find_robot(tmp_path / "none.yaml", "panda", "data")


def test_meshes_are_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes/triangle.obj").write_text(TRIANGLE)
    (tmp_path / "r.urdf").write_text(WITH_MESH)
    text = portable_description(tmp_path / "r.urdf")
    assert load_robot(text).surface.faces.shape == (1, 3)


def test_the_address_takes_urdf_and_units_from_the_table(
    truth: Any, dataset_path: Path, camera_json: Path, tmp_path: Path
) -> None:
    columns = "[joint_7, joint_6, joint_5, joint_4, joint_3, joint_2, joint_1, _]"
    path = table(
        tmp_path,
        f"demo_arm: {{urdf: {demo_urdf_path()}, units: degrees, base_frame: link_1, "
        f"joint_names: {columns}}}",
    )
    source = f"{dataset_path}#episode=0,camera={truth.top},robots={path}"
    recording = load_recording(RecordingSource(source, camera=camera_json))
    assert recording.source == source
    assert recording.urdf is not None and "<robot" in recording.urdf
    assert recording.base_frame == "link_1"
    first, _ = recording.joints.at(0, ["joint_7"])
    assert first[0, 0] == pytest.approx(truth.arm[0, 0] * 3.141592653589793 / 180)
    assert any("could be in radians" in warning for warning in recording.warnings)
    told = load_recording(
        RecordingSource(source.replace("#", "#units=radians,"), camera=camera_json)
    )
    first, _ = told.joints.at(0, ["joint_7"])
    assert first[0, 0] == pytest.approx(truth.arm[0, 0])


def test_descriptions_that_cannot_be_read(tmp_path: Path) -> None:
    for urdf, message in (("<robot", "not valid XML"), (tmp_path / "none.urdf", "not found")):
        with pytest.raises(RobotError, match=message):
            joint_positions(NAMES, DEGREES, DatasetRobot(urdf), "state")
