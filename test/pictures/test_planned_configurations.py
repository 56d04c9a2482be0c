# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.pictures.planned_configurations import configuration_sheet
from calib_all_ros.robot.description import Robot


def test_each_configuration_is_a_tile(demo_robot: Robot) -> None:
    K = np.array([[250.0, 0.0, 159.5], [0.0, 250.0, 119.5], [0.0, 0.0, 1.0]])
    camera = Camera(K, 320, 240, np.zeros(0), "pinhole")
    # From the side, the base's z axis up in the image.
    R = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    T_camera_base = se3.make(R, np.array([0.0, 0.4, 1.6]))
    positions = np.zeros((2, len(demo_robot.kinematics.joint_names)))
    positions[1, 1] = 1.5
    sheet = configuration_sheet(demo_robot, positions, camera, T_camera_base, ["1", "2"])
    assert sheet.shape[1] > 2 * 320
    upright, bent = sheet[-246:-6, 6:326], sheet[-246:-6, 332:652]
    for tile in (upright, bent):
        assert 0.03 < (tile > 60).any(axis=2).mean() < 0.4
    # Only the upright arm reaches the upper part of the image.
    assert (upright[30:80] > 60).any()
    assert not (bent[:80] > 60).any()
