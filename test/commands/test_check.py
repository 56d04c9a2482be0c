# SPDX-License-Identifier: Apache-2.0
"""`calib_all check`: what it reads, prints, writes and returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from calib_all_ros.checking.check import (
    CheckStatus,
    ExtrinsicsCheck,
    check_evidence,
    check_extrinsics,
    checked_calibration,
)
from calib_all_ros.cli import main
from calib_all_ros.commands import check as command
from calib_all_ros.commands.calibrated import intrinsics_difference
from calib_all_ros.commands.check import FinishedCheck, check_document, check_table
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.paste import static_transform_publisher
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings

QUICK = Settings.from_mapping({"frames": {"count": 4}})
OPTICAL = "camera_color_optical_frame"


@pytest.fixture(scope="module")
def truth(simulated_recording: Recording) -> np.ndarray:
    assert simulated_recording.reference_T_camera_base is not None
    return simulated_recording.reference_T_camera_base


@pytest.fixture(scope="module")
def off(truth: np.ndarray) -> np.ndarray:
    """``T_camera_base`` of a camera that is 2 cm elsewhere."""
    T_base_camera = se3.invert(truth)
    T_base_camera[:3, 3] += [0.02, 0.0, 0.0]
    return se3.invert(T_base_camera)


@pytest.fixture(scope="module")
def check(simulated_recording: Recording, demo_robot: Robot, off: np.ndarray) -> ExtrinsicsCheck:
    return check_extrinsics(simulated_recording, demo_robot, off, QUICK)


def checked(
    check: ExtrinsicsCheck, status: CheckStatus = "accepted"
) -> Callable[..., ExtrinsicsCheck]:
    """Stand in for the work, which was done before; take the pose that was asked for."""

    def stand_in(recording: Recording, robot: Robot, T: np.ndarray, *_: Any, **__: Any) -> Any:
        return replace(check, T_camera_base=T, status=status)

    return stand_in


def test_table_says_what_was_measured(check: ExtrinsicsCheck) -> None:
    text = check_table(FinishedCheck(check, "board.yaml", ("a note",), (Path("out/a.png"),)))
    lines = text.splitlines()
    assert lines[0].split() == ["Verdict", "REJECTED"]
    assert "off by" in lines[1] and "calibrate again" in lines[1]
    assert "x +20.0" in text or "x +19.9" in text
    assert "px as given" in text and "known to" in text and "Mahalanobis" in text
    assert "board.yaml" in text and "- a note" in text and "out/a.png" in text
    assert "refined from the given one; accepted" in text or "; warning" in text


def test_document_is_plain(check: ExtrinsicsCheck, off: np.ndarray, truth: np.ndarray) -> None:
    text = json.dumps(check_document(FinishedCheck(check, "board.yaml")), allow_nan=False)
    document = json.loads(text)
    assert document["verdict"] == "rejected"
    error = document["estimated_error"]
    assert error["position_mm"] == pytest.approx(20.0, abs=1.0)
    np.testing.assert_allclose(error["position_along_base_axes_mm"], [20, 0, 0], atol=1.0)
    np.testing.assert_allclose(document["given"]["T_camera_base"]["matrix"], off, atol=1e-12)
    np.testing.assert_allclose(document["best"]["T_camera_base"]["matrix"], truth, atol=2e-3)
    assert document["contour_error_px"] > 1.0 > document["contour_error_of_best_px"]
    assert len(document["frames"]) == 4
    assert {"index", "stamp_ns", "contour_px", "used"} <= set(document["frames"][0])
    unknown = replace(check.given, contour_px=np.full(4, np.nan))
    document = check_document(FinishedCheck(replace(check, given=unknown), ""))
    assert document["contour_error_px"] is None


def test_the_report_speaks_of_the_given_pose(check: ExtrinsicsCheck, off: np.ndarray) -> None:
    calibration = checked_calibration(check, ("a note",))
    np.testing.assert_array_equal(calibration.T_camera_base, off)
    assert calibration.verdict.status == "rejected" and calibration.notes == ("a note",)
    assert calibration.quality["estimated_error_position_mm"] == pytest.approx(20.0, abs=1.0)
    assert calibration.quality["expected_position_mm"] > 20.0
    assert len(calibration.frames) == 4 and calibration.frames[0].contour_px is not None
    unknown = checked_calibration(replace(check, status="cannot say"))
    assert unknown.verdict.status == "rejected"
    assert check_evidence(check).masks.shape == (4, 240, 320)


def test_whole_command(
    simulated_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["check", str(simulated_folder), "--masks", "recorded", "--frames", "4"]
    truth = str(simulated_folder / "camera.json")
    assert main([*arguments, "--extrinsics", truth, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Verdict          " in printed and "REJECTED" not in printed
    assert str(out / "check.yaml") in printed
    names = {path.name for path in out.iterdir()}
    assert {"check.yaml", "calib_all.log", "report.html"} <= names
    assert sum(name.startswith("overlay_") for name in names) == 4
    document = yaml.safe_load((out / "check.yaml").read_text())
    assert document["estimated_error"]["position_mm"] < 2.0
    assert document["extrinsics"] == truth


@pytest.mark.parametrize(
    ("status", "exit_code"), [("accepted", 0), ("warning", 0), ("rejected", 3), ("cannot say", 4)]
)
def test_exit_codes(
    check: ExtrinsicsCheck,
    status: CheckStatus,
    exit_code: int,
    simulated_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "check_extrinsics", checked(check, status))
    arguments = ["check", str(simulated_folder), "--json", "--extrinsics"]
    assert main([*arguments, str(simulated_folder / "camera.json")]) == exit_code
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == status and document["files"] == []


@pytest.fixture
def poses(monkeypatch: pytest.MonkeyPatch, check: ExtrinsicsCheck) -> list[np.ndarray]:
    """The poses that the command asks to check."""
    asked: list[np.ndarray] = []

    def stand_in(recording: Recording, robot: Robot, T: np.ndarray, *_: Any, **__: Any) -> Any:
        asked.append(T)
        return check

    monkeypatch.setattr(command, "check_extrinsics", stand_in)
    return asked


def test_a_pose_to_paste(
    off: np.ndarray,
    simulated_folder: Path,
    poses: list[np.ndarray],
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = static_transform_publisher(se3.invert(off), "base_link", OPTICAL)
    assert main(["check", str(simulated_folder), "--pose", text]) == 3
    np.testing.assert_allclose(poses[0], off, atol=1e-9)
    assert "taken for" not in capsys.readouterr().out
    numbers = " ".join(str(v) for v in (*off[:3, 3], *se3.quaternion_xyzw(off)))
    arguments = ["check", str(simulated_folder), "--pose", numbers, "--transform"]
    assert main([*arguments, "T_camera_base"]) == 3
    np.testing.assert_allclose(poses[1], off, atol=1e-9)
    assert f"taken for the optical frame '{OPTICAL}'" in capsys.readouterr().out


def test_results_say_what_differs(
    off: np.ndarray,
    simulated_folder: Path,
    simulated_recording: Recording,
    poses: list[np.ndarray],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "ros"))
    K = simulated_recording.camera.K * np.array([[1.05], [1.05], [1.0]])
    calibration = Calibration(
        T_camera_base=off,
        camera=replace(simulated_recording.camera, K=K),
        robot=RobotRecord("arm", "base_link", description_hash="sha256:other"),
        verdict=Verdict("rejected", ("it does not fit",)),
        provenance=Provenance("elsewhere", "ff00", "0"),
        focal_scale=1.02,
    )
    calibration.save(tmp_path / "result")
    assert main(["check", str(simulated_folder), "--calibration", str(tmp_path / "result")]) == 3
    np.testing.assert_allclose(poses[0], off)
    printed = capsys.readouterr().out
    assert "another robot description" in printed
    assert "was rejected when it was made" in printed
    assert "other intrinsics than the recording's: fx" in printed
    assert "focal length was multiplied by 1.0200" in printed
    assert main(["check", str(simulated_folder), "--calibration", "nobody"]) == 2
    assert "no result called 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("frame", "options", "exit_code", "words"),
    [
        ("tracker", [], 2, "no /tf_static of the recording connects the two"),
        ("tracker", ["--camera-frame", OPTICAL], 3, ""),
        (OPTICAL, ["--camera-frame", "camera_link"], 2, "leave --camera-frame out"),
        (OPTICAL, ["--base-frame", "hand"], 2, "leave --base-frame out"),
        (OPTICAL, ["--transform", "T_camera_base"], 2, "leave --transform out"),
    ],
)
def test_frames_of_a_hand_eye_result(
    frame: str,
    options: list[str],
    exit_code: int,
    words: str,
    off: np.ndarray,
    simulated_folder: Path,
    poses: list[np.ndarray],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    T = se3.invert(off)
    x, y, z, w = se3.quaternion_xyzw(T).tolist()
    document = {
        "parameters": {
            "calibration_type": "eye_on_base",
            "robot_base_frame": "base_link",
            "tracking_base_frame": frame,
        },
        "transform": {
            "translation": dict(zip("xyz", T[:3, 3].tolist(), strict=True)),
            "rotation": {"x": x, "y": y, "z": z, "w": w},
        },
    }
    path = tmp_path / "robot.calib"
    path.write_text(yaml.safe_dump(document))
    assert main(["check", str(simulated_folder), "--extrinsics", str(path), *options]) == exit_code
    assert words in capsys.readouterr().err
    if exit_code == 3:
        np.testing.assert_allclose(poses[0], off, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one of the arguments --calibration --extrinsics --pose is required"),
        (["--pose", "1 2 3 0 0 0 1"], "--transform"),
        (["--calibration", "x", "--transform", "T_base_camera"], "says itself which way"),
        (["--pose", "x", "--tolerance-mm", "0"], "not a number above 0"),
    ],
)
def test_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nowhere", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


def test_nothing_is_left_behind_after_an_error(tmp_path: Path) -> None:
    out = tmp_path / "out"
    pose = ["--pose", "0 0 1 0 0 0 1", "--transform", "T_base_camera"]
    assert main(["check", str(tmp_path / "none"), *pose, "--out", str(out), "-q"]) == 2
    assert not out.exists()


def test_intrinsics() -> None:
    K = np.array([[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]])
    camera = Camera(K, 640, 480, np.zeros(5), "plumb_bob")
    assert intrinsics_difference(camera, camera) == ""
    assert (
        intrinsics_difference(camera, replace(camera, distortion=np.zeros(0), model="pinhole"))
        == ""
    )
    longer = replace(camera, K=K + np.diag([6.0, 0.0, 0.0]))
    assert intrinsics_difference(camera, longer) == "fx 600.0 and 606.0"
    bent = replace(camera, distortion=np.array([0.0, 0.0, 0.1, 0.0, 0.0]))
    assert intrinsics_difference(camera, bent) == "lens distortion"
    fisheye = replace(camera, distortion=np.full(4, 0.1), model="equidistant")
    assert "plumb_bob and equidistant" in intrinsics_difference(camera, fisheye)
    assert "640x480 and 320x240" in intrinsics_difference(camera, camera.scaled(0.5))
