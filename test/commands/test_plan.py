# SPDX-License-Identifier: Apache-2.0
"""`calib_all plan`: what it prints and writes, and how it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.cli import main
from calib_all_ros.collection.stop_and_go import read_configurations
from calib_all_ros.commands import plan as command
from calib_all_ros.planning.camera_prior import camera_with_view, looking_at
from calib_all_ros.planning.plan import PlanSettings
from calib_all_ros.recording.camera_info import read_camera_file
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Status, Verdict
from calib_all_ros.robot.description import demo_urdf_path

URDF = ["--urdf", str(demo_urdf_path())]
VIEW = ["--resolution", "640x480", "--hfov", "60"]
PLACE = ["--camera-position", "-1.3,0.8,0.7"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose from few candidates."""

    def settings(**values: object) -> PlanSettings:
        return replace(PlanSettings(**values), candidates=40, draws=1500, pose_samples=3)

    monkeypatch.setattr(command, "PlanSettings", settings)


def test_file_table_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, pictures = tmp_path / "new" / "poses.yaml", tmp_path / "pictures"
    arguments = [*URDF, *VIEW, *PLACE, "--count", "4", "--pictures", str(pictures)]
    assert main(["plan", *arguments, "--out", str(out)]) == 0
    written = read_configurations(out)
    assert written.joint_names == tuple(f"joint_{i}" for i in range(1, 8))
    assert len(written) == 4
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if re.match(r" *\d+  ", line)][1:]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    np.testing.assert_allclose(
        [[float(cell) for cell in row[1:8]] for row in rows], written.positions, atol=6e-4
    )
    assert "would leave" in printed
    assert "without a collision" in printed
    assert printed.splitlines()[-2:] == [str(out), str(pictures / command.PICTURE)]
    sheet = cv2.imread(str(pictures / command.PICTURE))
    assert sheet.shape[1] > 4 * 320
    # The robot is bright, the backdrop dark.
    assert 0.01 < (sheet > 150).mean() < 0.5


def test_json_and_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "joints.txt"
    arguments = ["plan", *URDF, *VIEW, *PLACE, "--count", "3", "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    names = document["joint_names"]
    written = read_configurations(out, names)
    np.testing.assert_array_equal(document["configurations"], written.positions)
    assert len(document["expected_position_mm"]) == 4
    assert document["expected_position_mm"][0] == pytest.approx(150.0)
    assert document["files"] == [str(out)]
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(read_configurations(out, names).positions, written.positions)


def test_home_joints_and_uncertainty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "poses.yaml"
    arguments = [*URDF, *VIEW, *PLACE, "--count", "3", "--out", str(out), "--json"]
    home = ["--home", "-0.1,0.2,0.3,0.4,0.5,0.6,0.7"]
    assert main(["plan", *arguments, *home, "--joints", "joint_2,joint_4"]) == 0
    positions = read_configurations(out).positions
    still = np.array([0, 2, 4, 5, 6])
    np.testing.assert_array_equal(positions[:, still], 3 * [[-0.1, 0.3, 0.5, 0.6, 0.7]])
    assert np.ptp(positions[:, [1, 3]], axis=0).min() > 0.05
    capsys.readouterr()
    named = ["--start-configuration=joint_1=-0.1", "--pose-uncertainty", "0.02,1"]
    assert main(["plan", *arguments, *named, "--joints", "joint_4"]) == 0
    np.testing.assert_array_equal(read_configurations(out).positions[:, 0], [-0.1] * 3)
    document = json.loads(capsys.readouterr().out)
    assert document["expected_position_mm"][0] == pytest.approx(20.0)
    assert document["expected_rotation_deg"][0] == pytest.approx(1.0)


def test_camera_file_with_its_pose(
    simulated_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = simulated_folder / "camera.json"
    arguments = ["--camera", str(camera), "--count", "2", "--out", str(tmp_path / "p.yaml")]
    assert main(["plan", *URDF, *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["expected_position_mm"][0] == pytest.approx(50.0)
    document = json.loads(camera.read_text())
    document["base_frame"] = "world"
    other = tmp_path / "camera.json"
    other.write_text(json.dumps(document))
    arguments[1] = str(other)
    assert main(["plan", *URDF, *arguments]) == 2
    assert "relative to 'world'" in capsys.readouterr().err
    assert read_camera_file(other).T_camera_base is not None
    assert main(["plan", *URDF, *arguments, *PLACE, "--quiet"]) == 0


@pytest.mark.parametrize(
    ("status", "expected_mm"), [("accepted", 50.0), ("warning", 50.0), ("rejected", 150.0)]
)
def test_earlier_result_gives_camera_and_pose(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    status: Status,
    expected_mm: float,
) -> None:
    Calibration(
        T_camera_base=looking_at([1.3, 0.8, 0.7], [0.0, 0.0, 0.4]),
        camera=camera_with_view(640, 480, 60.0),
        robot=RobotRecord("demo_arm", "base_link", None, "sha256:abc"),
        verdict=Verdict(status, ("because",)),
        provenance=Provenance("bag", "ff", "0.1.0", "2024-05-06T07:08:09+00:00", (0,), {}, {}),
    ).save(tmp_path / "calibration.yaml")
    arguments = ["plan", *URDF, "--calibration", str(tmp_path), "--out", str(tmp_path / "p.yaml")]
    assert main([*arguments, "--count", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["expected_position_mm"][0] == pytest.approx(expected_mm)
    assert main([*arguments, "--base-frame", "shoulder_link"]) == 2
    assert (
        "relative to 'base_link', but the base frame is 'shoulder_link'" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([*URDF, *VIEW], r"where the camera is is not known: give --camera-position.*base_link"),
        ([*URDF, *PLACE], "no camera was given: give --camera FILE"),
        ([*URDF, *PLACE, "--hfov", "60"], "--resolution WxH and --hfov DEG belong together"),
        ([*URDF, *PLACE, "--resolution", "640x480", "--hfov", "190"], "is no camera"),
        ([*URDF, *VIEW, *PLACE, "--camera", "c.json"], r"cannot be read"),
        ([*URDF, *VIEW, "--look-at", "0,0,0"], "--look-at needs --camera-position"),
        ([*URDF, *VIEW, "--camera-position", "1,2"], r"'1,2' is not X,Y,Z, 3 numbers"),
        ([*URDF, *VIEW, "--camera-position", "1,2,nan"], r"is not X,Y,Z"),
        ([*URDF, *VIEW, *PLACE, "--look-at", "-9,0.8,0.7"], "camera sees nothing of the robot"),
        ([*URDF, *VIEW, *PLACE, "--ground", "2"], r"none of 1500 .* 1500 come too near to the g"),
        ([*URDF, *VIEW, *PLACE, "--ground", "0", "--no-ground"], "exclude each other"),
        ([*URDF, *VIEW, *PLACE, "--workspace", "1,0,0,1,0,1"], "workspace is empty"),
        ([*URDF, *VIEW, *PLACE, "--joints", "joint_1,tail"], "no joint 'tail'"),
        ([*URDF, *VIEW, *PLACE, "--home", "1,2,3"], "--home has 3 values"),
        ([*URDF, *VIEW, *PLACE, "--home", "joint_1=9"], r"home of joint 'joint_1' is 9, outside"),
        ([*URDF, *VIEW, *PLACE, "--home", "joint_1=0,2"], "with and without names"),
        ([*URDF, *VIEW, *PLACE, "--home", "a"], "'a' is no configuration"),
        ([*URDF, *VIEW, *PLACE, "--count", "0"], "0 configurations were asked for"),
        ([*URDF, *VIEW, *PLACE, "--in-view", "2"], "in view is 2"),
        ([*URDF, *VIEW, *PLACE, "--pose-uncertainty", "0,1"], "must be positive"),
        ([*URDF, *VIEW, *PLACE, "--calibration", "nowhere"], "nowhere"),
        ([*VIEW, *PLACE], r"required: --urdf"),
        (["--urdf", "no.urdf", *VIEW, *PLACE], r"no\.urdf not found"),
    ],
)
def test_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    out = tmp_path / "out" / "poses.yaml"
    assert main(["plan", *arguments, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("calib_all: error: ")
    assert re.search(sentence, line), line
    assert not out.exists()


def test_both_ways_to_give_a_camera(
    simulated_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = ["--camera", str(simulated_folder / "camera.json")]
    arguments = [*URDF, *VIEW, *PLACE, *camera, "--out", str(tmp_path / "p.yaml")]
    assert main(["plan", *arguments]) == 2
    assert "--camera says what --resolution and --hfov say" in capsys.readouterr().err
