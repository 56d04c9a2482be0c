# SPDX-License-Identifier: Apache-2.0
"""The demo arm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.robot import demo
from calib_all_ros.robot.description import load_robot
from calib_all_ros.robot.errors import RobotError


def test_demo_arm_is_an_arm_with_a_gripper() -> None:
    robot = load_robot(demo.demo_urdf_path())
    kinematics = robot.kinematics
    assert kinematics.base_frame == "base_link"
    assert kinematics.joint_names == (*(f"joint_{i}" for i in range(1, 8)), "finger_joint")
    assert np.isfinite(kinematics.lower).all()
    assert (kinematics.lower < kinematics.upper).all()
    assert set(robot.surface.link_of_face) == set(range(len(kinematics.link_names)))
    T = kinematics.forward([[0.0] * 7 + [0.03]])[0]
    at = dict(zip(kinematics.link_names, T[:, :3, 3], strict=True))
    np.testing.assert_allclose(at["left_finger"] - at["right_finger"], [0, 0.06, 0], atol=1e-12)
    assert 0.8 < np.linalg.norm(at["left_finger"] - at["upper_arm_link"]) + 0.07 < 1.0


def test_a_missing_demo_arm_lists_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_INSIDE_PACKAGE", Path("urdf/none.urdf"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/some/install")
    with pytest.raises(RobotError, match=r"/some/install/share/calib_all_ros/urdf/none\.urdf"):
        demo.demo_urdf_path()


def test_an_installed_demo_arm_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Path("urdf/installed.urdf")
    monkeypatch.setattr(demo, "_INSIDE_PACKAGE", inside)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    place = tmp_path / "share" / "calib_all_ros" / inside
    place.parent.mkdir(parents=True)
    place.write_text("<robot/>")
    assert demo.demo_urdf_path() == place
