# SPDX-License-Identifier: Apache-2.0
"""Parameters of the monitor; needs no ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.nodes.monitor_parameters import MonitorParameters
from calib_all_ros.nodes.parameters import ParameterError
from calib_all_ros.results.atomic_file import ResultError


def test_where_the_calibration_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    named = MonitorParameters(name="kitchen").calibration_path()
    assert named == tmp_path / "calib_all_ros" / "kitchen.yaml"
    assert MonitorParameters(file=str(tmp_path)).calibration_path() == tmp_path / "calibration.yaml"
    file = tmp_path / "left.yaml"
    assert MonitorParameters(name="kitchen", file=str(file)).calibration_path() == file


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rate_hz": 0.0}, "rate_hz is 0.0: it must be above 0"),
        ({"overlay_rate_hz": 101.0}, "overlay_rate_hz is 101.0"),
        ({"joint_topics": ()}, "joint_topics is empty"),
    ],
)
def test_impossible_values(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        MonitorParameters(**values)


def test_impossible_name() -> None:
    with pytest.raises(ResultError, match="cannot name a result"):
        MonitorParameters(name="../kitchen")
