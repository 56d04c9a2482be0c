# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.commands.calibrate import calibration_document, calibration_table
from calib_all_ros.commands.options import ReportOptions
from calib_all_ros.commands.report import answer
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Finding, Provenance, RobotRecord, Verdict
from calib_all_ros.solving.pose_errors import PoseErrors

FILES, ERRORS = [Path("out/a.png")], PoseErrors(0.1, 2.0, 1.5)


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        # The camera is at (1, 2, 3) in the base frame, turned by half a turn about x.
        T_camera_base=se3.invert(se3.make(np.diag([1.0, -1.0, -1.0]), np.array([1.0, 2.0, 3.0]))),
        camera=Camera(np.diag([500.0, 500.0, 1.0]), 640, 480, np.zeros(0), "pinhole", "optical"),
        robot=RobotRecord("arm", "base_link"),
        verdict=Verdict(
            "warning",
            ("images are late",),
            (Finding("images_late", "warning", "late", "check the clocks"),),
        ),
        provenance=Provenance("bag", "", "0", stage_times_s={"search": 2.0, "refine": 0.5}),
        quality={
            "iou_median": 0.95,
            "edge_share": float("nan"),
            "expected_position_mm": 4.2,
            "expected_rotation_deg": 0.25,
            "leave_some_out_position_mm": 1.25,
            "leave_some_out_rotation_deg": 0.031,
            "held_out_frames": 8.0,
            "held_out_outline_share": 0.9,
            "starts_tried": 6.0,
            "starts_agreeing": 4.0,
            "rival_share": 0.5,
        },
        lag_ms=12.25,
    )


def test_table(calibration: Calibration) -> None:
    lines = calibration_table(calibration, FILES, ERRORS).splitlines()
    assert lines[0].split() == ["Verdict", "WARNING"]
    assert lines[1].strip() == "- images are late"
    text = "\n".join(lines)
    assert "optical in base_link" in text
    assert "+1.00000  +2.00000  +3.00000" in text
    assert "+1.000000  +0.000000  +0.000000  +0.000000" in text
    assert "+12.2 ms" in text
    assert "0.100 deg, 2.00 mm, ADD 1.50 mm" in text
    assert "search 2.0 s, refine 0.5 s" in text
    assert "2.5 s" in text
    assert "within 4.2 mm and 0.25 deg in nine of ten cases" in text
    assert "1.25 mm and 0.031 deg when a quarter" in text
    assert "8 other images agree along 90 %" in text
    assert "4 of 6 agree, best other pose 50 % as good" in text
    assert "out/a.png" in text


def test_no_error_is_promised_for_a_rejected_pose(calibration: Calibration) -> None:
    rejected = replace(calibration, verdict=Verdict("rejected", ("no",)))
    assert "nine of ten" not in calibration_table(rejected, FILES, ERRORS)


def test_json_has_no_nan(calibration: Calibration, capsys: pytest.CaptureFixture[str]) -> None:
    answer(ReportOptions(json=True), calibration_document(calibration, FILES, ERRORS), "")
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert document["verdict"] == "warning"
    assert document["reasons"] == ["images are late"]
    assert document["causes"] == ["images_late"]
    assert document["findings"][0]["advice"] == "check the clocks"
    assert document["covariance"] is None
    assert document["quality"]["iou_median"] == 0.95 and document["quality"]["edge_share"] is None
    assert np.array(document["T_base_camera"])[:3, 3].tolist() == [1.0, 2.0, 3.0]
    assert document["lag_ms"] == 12.25
    assert document["errors"] == {"rotation_deg": 0.1, "position_mm": 2.0, "add_mm": 1.5}
    assert document["files"] == ["out/a.png"]
