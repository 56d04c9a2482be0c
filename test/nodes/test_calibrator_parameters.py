# SPDX-License-Identifier: Apache-2.0
"""Parameters of the calibrator; needs no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.nodes.calibrator_parameters import CalibratorParameters
from calib_all_ros.nodes.solve_requests import GivenMark
from calib_all_ros.options import options_of
from calib_all_ros.settings import Settings


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as ROS names them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= (
            flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return found


def test_every_setting_is_a_parameter() -> None:
    names = {field.name for field in options_of(CalibratorParameters)}
    assert {f"settings.{name}" for name in flat(Settings().to_mapping())} < names


def test_defaults_leave_the_choice_to_the_recording() -> None:
    files = CalibratorParameters().files("bag")
    assert files.recording == Path("bag") and files.masks == "auto"
    assert (files.urdf, files.base_frame, files.joint_topics, files.end_s) == (None,) * 4


def test_what_is_given_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    parameters = CalibratorParameters(
        urdf="~/robot.urdf", mesh_paths=("~/meshes",), joint_topics=("/a", "/b"), start_s=1.0,
        end_s=2.5, masks="recorded", base_frame="base",
    )  # fmt: skip
    files = parameters.files("~/bag")
    assert files.recording == tmp_path / "bag" and files.urdf == tmp_path / "robot.urdf"
    assert files.mesh_paths == (tmp_path / "meshes",)
    assert (files.start_s, files.end_s) == (1.0, 2.5)
    assert files.joint_topics == ("/a", "/b")


def test_results_go_beside_the_saved_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    assert CalibratorParameters(name="left").folder() == tmp_path / "calib_all_ros" / "left"
    assert CalibratorParameters(out="here").folder() == Path("here")


def test_a_mark() -> None:
    assert CalibratorParameters().given_mark() is None
    given = CalibratorParameters(mark="312, 207.5", eef_link="hand", mark_frame=4).given_mark()
    assert given == GivenMark((312.0, 207.5), "hand", 4)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": "a/b"}, "cannot name a result"),
        ({"mark": "312", "eef_link": "hand"}, "mark is '312': give a pixel u,v"),
        ({"mark": "a,b", "eef_link": "hand"}, "mark is 'a,b'"),
        ({"mark": "1,2"}, "needs the parameter eef_link"),
        ({"wait_for_mark": True}, "needs the parameter eef_link"),
        ({"mark": "1,2", "wait_for_mark": True, "eef_link": "hand"}, "give one of them"),
        ({"mark_frame": -1}, "mark_frame is -1"),
        ({"start_s": -1.0}, "start_s -1.0"),
        ({"start_s": 2.0, "end_s": 1.0}, "end_s 1.0"),
    ],
)
def test_impossible_parameters_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CalibAllError, match=complaint):
        CalibratorParameters(**values)
