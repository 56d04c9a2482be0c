# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.lerobot.urdf_joints import UrdfJoint, urdf_joints

URDF = """<robot name="arm">
  <joint name="pan" type="revolute"><limit lower="-2" upper="2"/></joint>
  <joint name="roll" type="continuous"><limit effort="1"/></joint>
  <joint name="slide" type="prismatic"><limit upper="0.5"/></joint>
  <joint name="mount" type="fixed"/>
  <joint name="twin" type="revolute"><mimic joint="pan"/></joint>
</robot>"""


def test_what_moves_by_itself(tmp_path: Path) -> None:
    expected = [
        UrdfJoint("pan", True, -2.0, 2.0),
        UrdfJoint("roll", True, None, None),
        UrdfJoint("slide", False, 0.0, 0.5),
    ]
    assert list(urdf_joints(URDF).values()) == expected
    path = tmp_path / "arm.urdf"
    path.write_text(URDF)
    assert list(urdf_joints(path).values()) == expected


def test_what_is_no_urdf(tmp_path: Path) -> None:
    with pytest.raises(CalibAllError, match="the URDF cannot be read"):
        urdf_joints("<robot")
    with pytest.raises(CalibAllError, match="not found"):
        urdf_joints(tmp_path / "none.urdf")
