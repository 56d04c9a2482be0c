# SPDX-License-Identifier: Apache-2.0
"""An episode on the command line: images, joints and stamps together show the true pose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.cli import main
from calib_all_ros.robot.description import demo_urdf_path

pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")
pytest.importorskip("av", reason="pip install '.[datasets]'")


def test_the_images_ask_for_the_true_pose(
    truth: Any,
    calibrated: Any,
    camera_json: Path,
    dataset_v30: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        "check",
        f"{dataset_v30}#episode=1,camera={truth.top}",
        *("--urdf", str(demo_urdf_path()), "--camera", str(camera_json)),
        *("--calibration", str(calibrated.save(tmp_path)), "--json"),
    ]
    code = main(arguments)
    result = json.loads(capsys.readouterr().out)
    assert code == 0, result
    assert result["verdict"] == "accepted"
    assert result["estimated_error"]["position_mm"] < 3.0
    assert result["estimated_error"]["rotation_deg"] < 0.3
