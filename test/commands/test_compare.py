# SPDX-License-Identifier: Apache-2.0
"""`calib_all compare`: what it reads, prints and returns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.cli import main
from calib_all_ros.commands.compare import Comparison, compare
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.extrinsics_file import GivenExtrinsics
from calib_all_ros.results.records import Covariance, Provenance, RobotRecord, Verdict

T = se3.from_rotvec(np.array([0.3, 2.0, 0.1]), np.array([0.1, 0.3, 2.0]))
SIGMA_M, SIGMA_RAD = 0.002, 0.001


def shifted(T_camera_base: np.ndarray, x_m: float) -> np.ndarray:
    T_base_camera = se3.invert(T_camera_base)
    T_base_camera[0, 3] += x_m
    return se3.invert(T_base_camera)


@pytest.fixture
def calibration() -> Calibration:
    K = np.array([[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]])
    return Calibration(
        T_camera_base=T,
        camera=Camera(K, 640, 480, np.zeros(0), "pinhole", "optical"),
        robot=RobotRecord("arm", "base_link", description_hash="sha256:a"),
        verdict=Verdict("accepted"),
        provenance=Provenance("first", "ff00", "0"),
        covariance=Covariance(np.diag([SIGMA_M] * 3 + [SIGMA_RAD] * 3) ** 2),
    )


def given(calibration: Calibration, source: str = "a") -> GivenExtrinsics:
    robot, camera = calibration.robot, calibration.camera
    return GivenExtrinsics(
        calibration.T_camera_base, source, robot.base_frame, camera.frame_id, calibration
    )


def against(calibration: Calibration, **changes: object) -> Comparison:
    other = replace(calibration, **changes)  # type: ignore[arg-type]
    return compare(given(other, "a"), given(calibration, "b"))


@pytest.mark.parametrize(("sigmas", "compatible"), [(1.0, True), (3.0, True), (6.0, False)])
def test_both_covariances_count(calibration: Calibration, sigmas: float, compatible: bool) -> None:
    moved = sigmas * np.sqrt(2.0) * SIGMA_M
    comparison = against(calibration, T_camera_base=shifted(T, moved))
    assert comparison.difference.position_mm == pytest.approx(1e3 * moved)
    np.testing.assert_allclose(comparison.difference.position_base_m, [moved, 0, 0], atol=1e-9)
    assert comparison.weighed is not None
    assert comparison.weighed.mahalanobis == pytest.approx(sigmas)
    assert comparison.contradictory is not compatible


def test_one_covariance_is_counted_and_said(calibration: Calibration) -> None:
    comparison = against(calibration, covariance=None, T_camera_base=shifted(T, 4 * SIGMA_M))
    assert comparison.weighed is not None
    assert comparison.weighed.mahalanobis == pytest.approx(4.0)
    assert any("a has no covariance" in note for note in comparison.notes)
    neither = compare(GivenExtrinsics(T, "a"), GivenExtrinsics(T, "b"))
    assert neither.weighed is None and not neither.contradictory


def test_what_does_not_compare_is_called_out(calibration: Calibration) -> None:
    K = calibration.camera.K * np.array([[1.05], [1.05], [1.0]])
    comparison = against(
        calibration,
        camera=replace(calibration.camera, K=K, frame_id="eye"),
        robot=RobotRecord("arm", "world", description_hash="sha256:b"),
        verdict=Verdict("rejected", ("it does not fit",)),
    )
    text = "\n".join(comparison.notes)
    for words in (
        "base frame 'world' and 'base_link'",
        "camera frame 'eye' and 'optical'",
        "different robot descriptions",
        "different intrinsics: fx 630.0 and 600.0",
        "same recording",
        "a was rejected when it was made",
    ):
        assert words in text
    quiet = against(calibration, provenance=replace(calibration.provenance, fingerprint="01"))
    assert quiet.notes == ()


def test_command(
    calibration: Calibration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")
    calibration.save(first)
    replace(calibration, T_camera_base=shifted(T, 0.03)).save(second)
    assert main(["compare", first, second]) == 3
    printed = capsys.readouterr().out
    assert "30.0 mm, 0.00 deg" in printed and "x -30.0, y +0.0, z +0.0 mm" in printed
    assert "larger than their uncertainties explain" in printed
    assert main(["compare", first, first, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["compatible"] is True
    assert document["difference"]["position_mm"] == pytest.approx(0.0, abs=1e-9)
    assert "checks" not in document
    assert main(["compare", first, str(tmp_path / "none.yaml")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_a_recording_names_the_better_one(
    simulated_folder: Path,
    simulated_recording: Recording,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None
    off = tmp_path / "off.json"
    off.write_text(json.dumps({"T_camera_base": shifted(truth, 0.02).tolist()}))
    arguments = ["compare", str(off), str(simulated_folder / "camera.json"), "--frames", "4"]
    recording = ["--recording", str(simulated_folder), "--masks", "recorded", "--json"]
    assert main([*arguments, *recording]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["compatible"] is None
    assert document["better"] == str(simulated_folder / "camera.json")
    assert abs(document["margin_px"]) > 1.0 and document["nearer_share"] == 1.0
    assert document["checks"][0]["verdict"] == "rejected"
