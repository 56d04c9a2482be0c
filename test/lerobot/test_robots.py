# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.robots import RobotEntry, robot_entry
from calib_all_ros.recording.loading import load_recording
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.robot.demo import demo_urdf_path
from calib_all_ros.robot.description import load_robot

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
URDF = """<robot name="r"><link name="base"><visual><geometry>
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
    assert robot_entry(path, "panda", "data") == RobotEntry(str(tmp_path / "franka/panda.urdf"))
    assert robot_entry(path, "so101", "data") == RobotEntry(
        str(tmp_path / "so101.urdf"), None, ["a", "_"], "degrees", "0:100"
    )


def test_units_may_be_a_file_beside_the_table(tmp_path: Path) -> None:
    path = table(tmp_path, "a: {urdf: a.urdf, units: arm.json}\nb: {urdf: a.urdf, units: turns}\n")
    assert robot_entry(path, "a", "data").units == str(tmp_path / "arm.json")
    with pytest.raises(LerobotError, match=r"units=turns in .* is unknown"):
        robot_entry(path, "b", "data")


def test_unknown_robots_are_told(tmp_path: Path) -> None:
    path = table(tmp_path, "panda: panda.urdf\nbad: {units: degrees}\nworse: {urdf: a, size: 3}\n")
    with pytest.raises(LerobotError, match=r"data has a robot of the type ur5, .* knows: panda"):
        robot_entry(path, "ur5", "data")
    with pytest.raises(LerobotError, match="data has no robot type"):
        robot_entry(path, None, "data")
    for name in ("bad", "worse"):
        with pytest.raises(LerobotError, match=f"does not describe {name}"):
            robot_entry(path, name, "data")
    with pytest.raises(LerobotError, match="is no table of robots"):
        robot_entry(table(tmp_path, "- panda\n"), "panda", "data")
    with pytest.raises(RecordingError, match="cannot be read"):
        robot_entry(tmp_path / "none.yaml", "panda", "data")


def test_meshes_are_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes/triangle.obj").write_text(TRIANGLE)
    (tmp_path / "r.urdf").write_text(URDF)
    text = robot_entry(table(tmp_path, "r: r.urdf"), "r", "data").description()
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
    recording = load_recording(source, camera=camera_json)
    assert recording.source == source
    assert recording.urdf is not None and "<robot" in recording.urdf
    assert recording.base_frame == "link_1"
    first, _ = recording.joints.at(0, ["joint_7"])
    assert first[0, 0] == pytest.approx(truth.arm[0, 0] * 3.141592653589793 / 180)
    assert any("could be in radians" in warning for warning in recording.warnings)
    told = load_recording(source.replace("#", "#units=radians,"), camera=camera_json)
    first, _ = told.joints.at(0, ["joint_7"])
    assert first[0, 0] == pytest.approx(truth.arm[0, 0])
