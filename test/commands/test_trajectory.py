# SPDX-License-Identifier: Apache-2.0
"""`calib_all trajectory`: what it reads, prints and writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.cli import parse
from calib_all_ros.commands.options import CommandError
from calib_all_ros.commands.result_options import TrajectoryOptions
from calib_all_ros.commands.trajectory import run
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import Robot, demo_urdf_path
from calib_all_ros.simulation.simulator import SimulatedRecording


@pytest.fixture(scope="module")
def result(simulated_recording: Recording, demo_robot: Robot) -> Calibration:
    assert simulated_recording.reference_T_camera_base is not None
    return Calibration(
        simulated_recording.reference_T_camera_base,
        simulated_recording.camera,
        RobotRecord(demo_robot.name, "base_link", None, demo_robot.description_hash),
        Verdict("accepted"),
        Provenance("simulated", "", "0"),
    )


@pytest.fixture(scope="module")
def calibration(result: Calibration, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(result.save(tmp_path_factory.mktemp("calibration")))


@pytest.fixture(scope="module")
def executed(simulated: SimulatedRecording, demo_robot: Robot) -> np.ndarray:
    """(20, 3) positions of the hand at the images."""
    rows = np.searchsorted(simulated.joint_stamps_ns, simulated.image_stamps_ns)
    poses = demo_robot.kinematics.forward(simulated.joint_positions[rows])
    hand = demo_robot.kinematics.link_names.index("hand")
    return np.asarray(poses[:, hand, :3, 3])


@pytest.fixture
def shifted(executed: np.ndarray, tmp_path: Path) -> Path:
    """What the robot did from image 4 on, 5 cm higher; eight steps."""
    path = tmp_path / "shifted.npy"
    np.save(path, executed[4:12] + np.array([0.0, 0.0, 0.05]))
    return path


def options_of(arguments: Sequence[str]) -> TrajectoryOptions:
    options = parse(["trajectory", *arguments])[1]
    assert isinstance(options, TrajectoryOptions)
    return options


def trajectory(*arguments: str | Path) -> None:
    with RunLog(["trajectory"]) as log:
        assert run(options_of([str(argument) for argument in arguments]), log) == 0


def errors_of(*arguments: str | Path) -> dict[str, Any]:
    with redirect_stdout(StringIO()) as printed:
        trajectory(*arguments, "--json")
    errors: dict[str, Any] = json.loads(printed.getvalue())["errors"]
    return errors


def test_picture_and_errors(
    simulated_folder: Path,
    calibration: str,
    shifted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "view.png"
    arguments = ("--calibration", calibration, "--table", shifted, "--frame", "4", "--out", out)
    errors = errors_of(simulated_folder, *arguments)["shifted"]
    assert errors["steps"] == 8
    assert errors["mean_m"] == pytest.approx(0.05, abs=1e-6)
    assert errors["final_m"] == pytest.approx(0.05, abs=1e-6)
    assert 5.0 < errors["mean_px"] < 30.0
    trajectory(simulated_folder, *arguments)
    printed = capsys.readouterr().out
    assert "shifted        8     50.0      50.0" in printed
    picture = cv2.imread(str(out))
    # 320 pixels are enlarged to 1200.
    assert picture.shape[1] >= 1200


def test_folder_with_tables(
    simulated_folder: Path,
    calibration: str,
    shifted: Path,
    executed: np.ndarray,
    tmp_path: Path,
) -> None:
    np.save(tmp_path / "right.npy", executed[4:])
    out = tmp_path / "out"
    arguments = ("--table", f"pi0={shifted}", "--table", tmp_path / "right.npy", "--steps", "5")
    found = errors_of(
        simulated_folder, "--calibration", calibration, *arguments, "--frame", "4", "--out", out
    )
    assert found["pi0"]["steps"] == found["right"]["steps"] == 5
    assert found["right"]["mean_m"] < 1e-6 and found["right"]["mean_px"] < 1e-3
    names = {path.name for path in out.iterdir()}
    assert names == {"trajectories.png", "points.csv", "errors.csv", "calib_all.log"}
    points = (out / "points.csv").read_text()
    assert points.count("\npi0,") == 5 and points.count("\nexecuted,") > 5


def test_joint_values(
    simulated_folder: Path, calibration: str, simulated: SimulatedRecording, tmp_path: Path
) -> None:
    rows = np.searchsorted(simulated.joint_stamps_ns, simulated.image_stamps_ns[:6])
    path = tmp_path / "joints.csv"
    text = "\n".join(",".join(map(str, row)) for row in simulated.joint_positions[rows])
    path.write_text(",".join(simulated.joint_names) + "\n" + text + "\n")
    out = tmp_path / "out.png"
    arguments = ("--calibration", calibration, "--table", path, "--out", out)
    assert errors_of(simulated_folder, *arguments)["joints"]["mean_m"] < 1e-6


def test_single_image(
    simulated_folder: Path, calibration: str, shifted: Path, tmp_path: Path
) -> None:
    image = next((simulated_folder / "frames").glob("*.jpg"))
    out = tmp_path / "out"
    arguments = ("--calibration", calibration, "--table", shifted, "--out", out, "-q")
    assert errors_of(image, *arguments) == {"shifted": None}
    assert "executed" not in (out / "points.csv").read_text()
    joints = tmp_path / "joints.csv"
    names = [f"joint_{i}" for i in range(1, 8)]
    joints.write_text(",".join(names) + "\n" + ",".join("0" for _ in names) + "\n")
    other = ("--calibration", calibration, "--table", joints, "--out", out, "-q")
    with pytest.raises(AnnotationError, match="for joint values give the robot"):
        trajectory(image, *other)
    assert errors_of(image, *other, "--urdf", demo_urdf_path()) == {"joints": None}


def test_image_of_another_size_is_refused(calibration: str, shifted: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((48, 64, 3), np.uint8))
    arguments = ("--calibration", calibration, "--table", shifted, "--out", tmp_path / "o.png")
    with pytest.raises(AnnotationError, match=r"is 64x48, .* of a camera with 320x240"):
        trajectory(tmp_path / "small.png", *arguments)


def test_focal_scale_of_a_calibration_counts_for_an_image(
    simulated_folder: Path, result: Calibration, shifted: Path, tmp_path: Path
) -> None:
    image = next((simulated_folder / "frames").glob("*.jpg"))
    K = result.camera.K.copy()
    K[[0, 1], [0, 1]] /= 1.1
    scaled = replace(result, camera=replace(result.camera, K=K), focal_scale=1.1)
    for name, calibration in (("a", result), ("b", scaled)):
        path = calibration.save(tmp_path / name)
        trajectory(image, "--calibration", path, "--table", shifted, "--out", tmp_path / name, "-q")
    first, second = ((tmp_path / name / "points.csv").read_text() for name in "ab")
    assert first == second


def test_bad_usage_is_told(
    simulated_folder: Path, calibration: str, shifted: Path, tmp_path: Path
) -> None:
    common = ("--calibration", calibration, "--table", shifted, "--out", tmp_path / "o.png")
    with pytest.raises(AnnotationError, match="has 20 images, there is no image 20"):
        trajectory(simulated_folder, *common, "--frame", "20")
    with pytest.raises(AnnotationError, match="'shifted' is the name of another"):
        trajectory(simulated_folder, *common, "--table", shifted)
    with pytest.raises(AnnotationError, match="'executed' is the name of another"):
        trajectory(simulated_folder, *common, "--table", f"executed={shifted}")
    for wrong in (["--frame", "-1"], ["--rate", "0"], ["--steps", "0"]):
        with pytest.raises(CommandError):
            options_of([str(simulated_folder), *map(str, common), *wrong])


def test_two_arms(
    simulated_folder: Path, calibration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((simulated_folder / "frames").glob("*.jpg"))
    joints = tmp_path / "joints.csv"
    names = [f"{arm}joint_{i}" for arm in ("", "b_") for i in range(1, 8)]
    joints.write_text(",".join(names) + "\n" + ",".join("0" for _ in names) + "\n")
    found = []
    for link in ((), ("--eef-link", "b_hand")):
        trajectory(
            image, "--calibration", calibration, "--table", joints, "--out", tmp_path / "out",
            "--urdf", demo_urdf_path(), "--second-urdf", demo_urdf_path(), "--second-prefix", "b_",
            "--second-base", "0,1,0,0,0,0", *link,
        )  # fmt: skip
        told = "another arm ends with b_" in capsys.readouterr().out
        assert told == (not link)
        with (tmp_path / "out" / "points.csv").open() as file:
            (row,) = csv.DictReader(file)
        found.append([float(row[name]) for name in ("x_m", "y_m", "z_m")])
    np.testing.assert_allclose(np.array(found[1]) - np.array(found[0]), [0.0, 1.0, 0.0], atol=1e-6)
