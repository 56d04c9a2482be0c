# SPDX-License-Identifier: Apache-2.0
"""Parameters of the recorder; needs no ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.collection.settings import CollectionSettings
from calib_all_ros.errors import CalibAllError
from calib_all_ros.nodes.recorder_parameters import RecorderParameters


def test_defaults_are_those_of_the_collection() -> None:
    assert RecorderParameters().collection() == CollectionSettings()


def test_recordings_go_to_the_ros_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    assert RecorderParameters().recordings() == tmp_path / "calib_all_ros" / "recordings"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RecorderParameters(folder="~/bags").recordings() == tmp_path / "bags"


def test_configurations(tmp_path: Path) -> None:
    assert RecorderParameters(mode="stop_and_go").listed_configurations() is None
    (tmp_path / "joints.txt").write_text("[0.1, 0.2]\n")
    listed = RecorderParameters(
        mode="stop_and_go",
        configurations=str(tmp_path / "joints.txt"),
        configuration_joints=("a", "b"),
    ).listed_configurations()
    assert listed is not None and listed.joint_names == ("a", "b")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"configurations": "x.yaml"}, "set mode to stop_and_go"),
        ({"joint_topics": ()}, "joint_topics is empty"),
        ({"image_depth": 0}, "image_depth is 0"),
        ({"queue_megabytes": -1.0}, "queue_megabytes is -1.0"),
        ({"max_gigabytes": 0.0}, "max_gigabytes is 0.0"),
    ],
)
def test_impossible_parameters_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CalibAllError, match=complaint):
        RecorderParameters(**values)
