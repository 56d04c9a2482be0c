# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.estimate import FIRST_JOINT, FOCAL_SCALE, LAG, Estimate

POSE = se3.from_rotvec(np.array([0.3, -0.5, 1.2]), np.array([0.1, -0.2, 1.5]))


def test_turning_about_a_point_leaves_it_where_it_is() -> None:
    centre = np.array([0.2, 0.1, 1.4])
    moved = Estimate(POSE).moved(np.array([0.3, -0.2, 0.5, 0, 0, 0]), centre)
    in_base = se3.transform(se3.invert(POSE), centre[None])
    np.testing.assert_allclose(se3.transform(moved.T_camera_base, in_base)[0], centre, atol=1e-12)


def test_translation_moves_the_robot_in_front_of_the_camera() -> None:
    moved = Estimate(POSE).moved(np.array([0, 0, 0, 0.1, 0.2, 0.3]), np.ones(3))
    np.testing.assert_allclose(moved.T_camera_base[:3, 3] - POSE[:3, 3], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(moved.T_camera_base[:3, :3], POSE[:3, :3])


def test_moving_keeps_the_nuisances() -> None:
    start = Estimate(POSE, 0.1, 0.3, 1.1)
    moved = start.moved(np.full(6, 0.1), np.zeros(3))
    assert (moved.lag_s, moved.mask_bias_px, moved.focal_scale) == (0.1, 0.3, 1.1)


def test_a_step_moves_the_parameters_that_it_names() -> None:
    start = Estimate(POSE, 0.1, 0.3, 1.1, np.array([0.01, 0.02]))
    np.testing.assert_allclose(start.values(2)[6:9], [0.1, 0.3, 0.1])
    columns = np.array([*range(6), LAG, FOCAL_SCALE])
    step = np.array([0, 0, 0, 0.1, 0, 0, 0.05, -0.02])
    found = start.stepped(columns, step, np.zeros(3), 2)
    assert (found.lag_s, found.mask_bias_px) == pytest.approx((0.15, 0.3))
    assert found.focal_scale == pytest.approx(1.08)
    assert found.T_camera_base[0, 3] == pytest.approx(POSE[0, 3] + 0.1)
    np.testing.assert_allclose(found.values(2)[FIRST_JOINT:], [0.01, 0.02])
    joints = Estimate(POSE).stepped(
        np.array([*range(6), FIRST_JOINT, FIRST_JOINT + 1]), np.full(8, 0.001), np.zeros(3), 2
    )
    np.testing.assert_allclose(joints.joint_offsets, [0.001, 0.001])


def test_focal_scale_leaves_the_principal_point() -> None:
    K = np.array([[500.0, 0, 310], [0, 510.0, 250], [0, 0, 1]])
    camera = Camera(K, 640, 480, np.zeros(0), "pinhole")
    scaled = Estimate(POSE, focal_scale=1.1).camera(camera)
    np.testing.assert_allclose(scaled.K, [[550, 0, 310], [0, 561, 250], [0, 0, 1]])
    assert Estimate(POSE).camera(camera) is camera
