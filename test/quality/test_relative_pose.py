# SPDX-License-Identifier: Apache-2.0
"""Relative poses and their covariance."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.quality.relative_pose import relative_pose

A = se3.make(Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix(), np.array([0.8, -0.3, 0.5]))
B = se3.make(Rotation.from_euler("xyz", [-2.0, 0.3, 0.7]).as_matrix(), np.array([-0.2, 0.9, 0.7]))


def moved(T_base_camera: np.ndarray, error: np.ndarray) -> np.ndarray:
    """A pose with (6,) errors along and about the base's axes."""
    R = Rotation.from_rotvec(error[3:]).as_matrix() @ T_base_camera[:3, :3]
    return se3.make(R, T_base_camera[:3, 3] + error[:3])


def error_of(T: np.ndarray, reference: np.ndarray) -> np.ndarray:
    rotation = Rotation.from_matrix(T[:3, :3] @ reference[:3, :3].T).as_rotvec()
    return np.concatenate([T[:3, 3] - reference[:3, 3], rotation])


def test_it_maps_points_of_b_to_a() -> None:
    point_b = np.array([[0.1, 0.2, 0.9]])
    in_base = se3.transform(B, point_b)
    T_a_b = relative_pose(A, B, np.eye(12)).T_a_b
    np.testing.assert_allclose(se3.transform(T_a_b, point_b), se3.transform(se3.invert(A), in_base))


def test_the_covariance_is_that_of_drawn_errors() -> None:
    rng = np.random.default_rng(0)
    root = 1e-3 * rng.normal(size=(12, 12))
    covariance = root @ root.T
    relative = relative_pose(A, B, covariance)
    draws = rng.normal(size=(4000, 12)) @ root.T
    errors = np.array(
        [error_of(se3.invert(moved(A, d[:6])) @ moved(B, d[6:]), relative.T_a_b) for d in draws]
    )
    spread = errors.T @ errors / len(errors)
    scale = np.sqrt(np.outer(np.diag(spread), np.diag(spread)))
    np.testing.assert_allclose(relative.covariance / scale, spread / scale, atol=0.06)


def test_what_moves_both_cameras_alike_cancels() -> None:
    """The base turned and moved, as by the zero of the first joint."""
    axis, shift = np.array([0.2, -0.1, 0.9]), np.array([0.3, 0.1, -0.2])
    errors = [np.concatenate([np.cross(axis, T[:3, 3]) + shift, axis]) for T in (A, B)]
    common = np.concatenate(errors)
    relative = relative_pose(A, B, 1e-6 * np.outer(common, common))
    np.testing.assert_allclose(relative.covariance, 0.0, atol=1e-18)
