# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3


def random_poses(count: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.stack([se3.from_rotvec(rng.normal(size=3), rng.normal(size=3)) for _ in range(count)])


def test_inverse_undoes_one_and_many() -> None:
    T = random_poses(6).reshape(2, 3, 4, 4)
    np.testing.assert_allclose(se3.invert(T) @ T, np.broadcast_to(np.eye(4), T.shape), atol=1e-12)
    np.testing.assert_allclose(se3.invert(T[0, 0]), np.linalg.inv(T[0, 0]), atol=1e-12)


def test_transform_maps_points_from_b_to_a() -> None:
    quarter_turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    T_a_b = se3.make(quarter_turn, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(se3.transform(T_a_b, np.array([[1.0, 0.0, 0.0]])), [[1.0, 3.0, 3.0]])


def test_transform_of_many_poses() -> None:
    T, points = random_poses(4), np.random.default_rng(1).normal(size=(4, 7, 3))
    moved = se3.transform(T, points)
    for i in range(4):
        expected = points[i] @ T[i, :3, :3].T + T[i, :3, 3]
        np.testing.assert_allclose(moved[i], expected, atol=1e-12)


def test_rotation_vector_is_axis_times_angle() -> None:
    T = se3.from_rotvec(np.array([0.0, 0.0, np.pi / 2]), np.zeros(3))
    np.testing.assert_allclose(T[:3, 0], [0.0, 1.0, 0.0], atol=1e-12)


def test_quaternion_is_xyzw_with_positive_w() -> None:
    half = np.radians(50.0) / 2
    T = se3.from_rotvec(np.array([np.radians(50.0), 0.0, 0.0]), np.zeros(3))
    np.testing.assert_allclose(se3.quaternion_xyzw(T), [np.sin(half), 0, 0, np.cos(half)])
    for T in random_poses(20):
        q = se3.quaternion_xyzw(T)
        assert q[3] >= 0
        np.testing.assert_allclose(se3.from_quaternion_xyzw(q, T[:3, 3]), T, atol=1e-12)
        np.testing.assert_allclose(se3.from_quaternion_xyzw(-q, T[:3, 3]), T, atol=1e-12)


@pytest.mark.parametrize("angle_deg", [1e-6, 0.01, 30.0, 179.9999])
def test_difference_is_exact_for_tiny_and_huge_angles(angle_deg: float) -> None:
    T = random_poses(1)[0]
    turned = T @ se3.from_rotvec(np.radians(angle_deg) * np.array([0.6, 0.0, 0.8]), np.zeros(3))
    angle, _ = se3.difference(T, turned)
    assert angle == pytest.approx(angle_deg, rel=1e-6)


def test_difference_measures_the_camera_in_the_base_frame() -> None:
    camera_at = np.array([0.3, -1.0, 2.0])
    T_base_camera = se3.from_rotvec(np.array([0.2, 1.0, -0.4]), camera_at)
    moved = T_base_camera.copy()
    moved[:3, 3] += [0.03, 0.0, 0.04]
    moved[:3, :3] = moved[:3, :3] @ se3.from_rotvec([0.0, 0.1, 0.0], np.zeros(3))[:3, :3]
    angle, distance = se3.difference(se3.invert(T_base_camera), se3.invert(moved))
    # Turning the camera on the spot does not move it, however far away the robot is.
    assert distance == pytest.approx(0.05)
    assert angle == pytest.approx(np.degrees(0.1))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, 2.0, np.pi - 1e-9, np.pi, 5.0])
def test_rotations_are_those_of_scipy(angle: float) -> None:
    for axis in (*np.eye(3), *np.random.default_rng(2).normal(size=(20, 3))):
        rotvec = angle * axis / np.linalg.norm(axis)
        expected = Rotation.from_rotvec(rotvec)
        T = se3.from_rotvec(rotvec, np.zeros(3))
        np.testing.assert_allclose(T[:3, :3], expected.as_matrix(), atol=1e-14)
        again = se3.from_quaternion_xyzw(3.0 * se3.quaternion_xyzw(T), np.zeros(3))
        np.testing.assert_allclose(again, T, atol=1e-14)


def test_zero_is_no_quaternion() -> None:
    with pytest.raises(ValueError, match="zero length"):
        se3.from_quaternion_xyzw(np.zeros(4), np.zeros(3))
