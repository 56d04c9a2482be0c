# SPDX-License-Identifier: Apache-2.0
"""The jackknife against Monte Carlo, and its frames against moving the pose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.quality.jackknife import pose_uncertainty
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import LinearSystem

FRAMES, PER_FRAME = 25, 20
POSE = se3.from_rotvec(np.array([0.5, -0.8, 1.4]), np.array([0.2, -0.1, 1.8]))
CENTRE = np.array([0.1, -0.2, 1.5])


def system(J: np.ndarray, residual: np.ndarray, evidence: float, frames: int) -> LinearSystem:
    frame = np.repeat(np.arange(frames, dtype=np.int32), len(J) // frames)
    weight = np.full(len(J), evidence)
    return LinearSystem(J, residual, weight, frame, np.full(J.shape[1], 1e-6), CENTRE)


def test_covariance_is_that_of_repeated_experiments() -> None:
    """Errors that all measurements of a frame share: the naive covariance knows nothing of them."""
    rng = np.random.default_rng(0)
    J = rng.normal(size=(FRAMES * PER_FRAME, 8))
    shape = rng.normal(size=(FRAMES * PER_FRAME, 3))
    estimates, told = [], []
    for _ in range(600):
        per_frame = np.repeat(rng.normal(0, 0.02, (FRAMES, 3)), PER_FRAME, axis=0)
        residual = (shape * per_frame).sum(axis=1) + rng.normal(0, 0.001, len(J))
        estimates.append(-np.linalg.lstsq(J, residual, rcond=None)[0][:6])
        uncertainty = pose_uncertainty(system(J, residual, 1e8, FRAMES), np.eye(4))
        assert uncertainty is not None
        told.append(uncertainty.covariance)
    cross = np.array(
        [[0, -CENTRE[2], CENTRE[1]], [CENTRE[2], 0, -CENTRE[0]], [-CENTRE[1], CENTRE[0], 0]]
    )
    twists = np.array(estimates)
    shifts = np.hstack([-twists[:, :3] @ cross.T - twists[:, 3:], -twists[:, :3]])
    actual = np.sqrt(np.diag(np.cov(shifts.T)))
    claimed = np.sqrt(np.mean([np.diag(c) for c in told], axis=0))
    np.testing.assert_allclose(claimed, actual, rtol=0.3)


def test_covariance_is_that_of_the_camera_in_the_base_frame() -> None:
    """Without residuals only the linearised covariance is left, and its change of frame."""
    rng = np.random.default_rng(1)
    J = rng.normal(size=(40, 6))
    found = pose_uncertainty(system(J, np.zeros(40), 1.0, 4), POSE)
    assert found is not None
    twist_covariance = np.linalg.inv(J.T @ J + 1e-6 * np.eye(6))
    before = se3.invert(POSE)
    h, columns = 1e-6, []
    for axis in np.eye(6):
        after = se3.invert(Estimate(POSE).moved(h * axis, CENTRE).T_camera_base)
        # Rotation about the base's axes: from the left.
        turn = Rotation.from_matrix(after[:3, :3] @ before[:3, :3].T).as_rotvec()
        columns.append(np.concatenate([after[:3, 3] - before[:3, 3], turn]) / h)
    M = np.stack(columns, axis=1)
    np.testing.assert_allclose(found.covariance, M @ twist_covariance @ M.T, atol=1e-5)
    assert found.position_mm == pytest.approx(1e3 * np.sqrt(np.trace(found.covariance[:3, :3])))
    assert found.rotation_deg == pytest.approx(
        np.degrees(np.sqrt(np.trace(found.covariance[3:, 3:])))
    )


def test_one_frame_that_disagrees_shows() -> None:
    rng = np.random.default_rng(2)
    J = rng.normal(size=(120, 6))
    calm = rng.normal(0, 0.001, 120)
    upset = calm.copy()
    upset[:10] += J[:10] @ np.array([0.05, 0, 0, 0, 0, 0])
    quiet, loud = (pose_uncertainty(system(J, r, 1e6, 12), POSE) for r in (calm, upset))
    assert quiet is not None and loud is not None
    assert loud.rotation_deg > 5 * quiet.rotation_deg


def test_one_frame_says_nothing_about_uncertainty() -> None:
    J = np.random.default_rng(3).normal(size=(40, 6))
    assert pose_uncertainty(system(J, np.zeros(40), 1.0, 1), POSE) is None


def test_a_singular_system_says_nothing() -> None:
    J = np.zeros((40, 6))
    nothing = LinearSystem(
        J, np.zeros(40), np.ones(40), np.arange(40, dtype=np.int32) % 4, np.zeros(6), CENTRE
    )
    assert pose_uncertainty(nothing, POSE) is None
