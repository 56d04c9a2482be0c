# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.quality.pose_difference import compatibility, pose_difference

# Looks along the base's x axis: right is -y, down is -z.
LOOKING = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def camera(position: list[float], turn_rad: float = 0.0) -> np.ndarray:
    """A camera that is turned to the left, about the base's z axis."""
    turn = se3.from_rotvec(np.array([0.0, 0.0, turn_rad]), np.zeros(3))[:3, :3]
    return se3.invert(se3.make(turn @ LOOKING, np.array(position)))


def test_directions() -> None:
    difference = pose_difference(camera([0.01, 0.02, -0.03], 0.2), camera([0.0, 0.0, 0.0]))
    np.testing.assert_allclose(difference.position_base_m, [0.01, 0.02, -0.03], atol=1e-12)
    np.testing.assert_allclose(difference.position_camera_m, [-0.02, 0.03, 0.01], atol=1e-12)
    np.testing.assert_allclose(difference.rotation_base_rad, [0.0, 0.0, 0.2], atol=1e-12)
    np.testing.assert_allclose(difference.rotation_camera_rad, [0.0, -0.2, 0.0], atol=1e-12)
    assert difference.position_mm == pytest.approx(1e3 * np.sqrt(14) * 0.01)
    assert difference.rotation_deg == pytest.approx(np.degrees(0.2))


def test_vector_is_displacement_then_rotation_about_the_base_axes() -> None:
    truth = se3.from_rotvec([0.3, -1.2, 0.8], [0.1, 0.2, 1.5])
    shift, turn = np.array([0.01, -0.02, 0.03]), np.array([0.02, 0.01, -0.03])
    T_base_camera = se3.invert(truth)
    moved = se3.from_rotvec(turn, np.zeros(3)) @ se3.make(T_base_camera[:3, :3], np.zeros(3))
    moved[:3, 3] = T_base_camera[:3, 3] + shift
    vector = pose_difference(se3.invert(moved), truth).vector
    np.testing.assert_allclose(vector, [*shift, *turn], atol=1e-12)
    np.testing.assert_allclose(pose_difference(truth, truth).vector, 0.0, atol=1e-8)


def test_the_same_pose_differs_by_nothing() -> None:
    difference = pose_difference(camera([1.0, 2.0, 3.0]), camera([1.0, 2.0, 3.0]))
    assert difference.position_mm < 1e-9 and difference.rotation_deg < 1e-6
    weighed = compatibility(difference, np.eye(6))
    assert weighed is not None and weighed.p_value == pytest.approx(1.0)


def test_compatibility_counts_standard_deviations() -> None:
    difference = pose_difference(camera([0.02, 0.0, 0.0]), camera([0.0, 0.0, 0.0]))
    covariance = np.diag([0.01, 1.0, 1.0, 1.0, 1.0, 1.0]) ** 2
    weighed = compatibility(difference, covariance)
    assert weighed is not None
    assert weighed.mahalanobis == pytest.approx(2.0)
    assert weighed.p_value == pytest.approx(0.6767, abs=1e-4)
    assert compatibility(difference, np.diag([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])) is None
