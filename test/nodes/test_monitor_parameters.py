# SPDX-License-Identifier: Apache-2.0
"""Parameters of the monitor; needs no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from calib_all_ros.nodes.monitor_parameters import MonitorParameterError, MonitorParameters
from calib_all_ros.nodes.parameter_fields import fields_of
from calib_all_ros.results.errors import ResultError


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as ROS names them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= (
            flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return found


def test_parameter_file_holds_the_defaults(repository: Path) -> None:
    document = yaml.safe_load((repository / "config" / "monitor.yaml").read_text("utf-8"))
    written = flat(document["/**"]["ros__parameters"])
    # ROS cannot tell the type of an empty list: one with an empty string stands for it.
    defaults = {
        field.name: list(field.default) or [""]
        if isinstance(field.default, tuple)
        else field.default
        for field in fields_of(MonitorParameters)
    }
    assert written == defaults
    assert all(type(written[name]) is type(value) for name, value in defaults.items())


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
    with pytest.raises(MonitorParameterError, match=words):
        MonitorParameters(**values)


def test_impossible_name() -> None:
    with pytest.raises(ResultError, match="cannot name a result"):
        MonitorParameters(name="../kitchen")
