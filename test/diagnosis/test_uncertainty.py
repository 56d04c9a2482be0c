# SPDX-License-Identifier: Apache-2.0
"""The uncertainty against Monte Carlo, and its frames against moving the pose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calib_all_ros.diagnosis.uncertainty import PoseUncertainty, pose_uncertainty
from calib_all_ros.geometry import se3
from calib_all_ros.solving.estimate import FIRST_JOINT, FOCAL_SCALE, Estimate
from calib_all_ros.solving.frame_systems import FrameSystems, ModelTolerance
from calib_all_ros.solving.normal_equations import NormalEquations
from calib_all_ros.solving.pose_errors import camera_from_twist, pose_change

FRAMES, PER_FRAME, JOINTS = 25, 20, 1
COLUMNS = FIRST_JOINT + 4 * JOINTS
FITTED = np.arange(8)
WIDTH = 640
POSE = se3.from_rotvec(np.array([0.5, -0.8, 1.4]), np.array([0.2, -0.1, 1.8]))
CENTRE = np.array([0.1, -0.2, 1.5])
EXACT_MODEL = ModelTolerance(1e-9, 1e-9, 1e-9, 1e-9)


def systems(J: np.ndarray, residual: np.ndarray, frames: int) -> FrameSystems:
    per_frame = len(J) // frames
    group = np.repeat(np.arange(frames), per_frame)
    return FrameSystems(
        **vars(NormalEquations.of(J, residual, np.ones(len(J)), group, frames)),
        weight=np.full(frames, float(per_frame)),
        frame=np.arange(frames, dtype=np.int32),
        link=np.full(frames, -1, np.int32),
        centre=CENTRE,
        stamps_s=np.arange(frames, dtype=float),
    )


def test_covariance_is_that_of_repeated_experiments() -> None:
    """Errors that all measurements of a frame share: the naive covariance knows nothing of them."""
    rng = np.random.default_rng(0)
    J = np.zeros((FRAMES * PER_FRAME, COLUMNS))
    J[:, :8] = rng.normal(size=(len(J), 8)) * 100.0
    shape = rng.normal(size=(FRAMES * PER_FRAME, 3))
    estimates, told = [], []
    for _ in range(300):
        per_frame = np.repeat(rng.normal(0, 2.0, (FRAMES, 3)), PER_FRAME, axis=0)
        residual = (shape * per_frame).sum(axis=1) + rng.normal(0, 0.1, len(J))
        estimates.append(-np.linalg.lstsq(J[:, :8], residual, rcond=None)[0][:6])
        found = pose_uncertainty(
            systems(J, residual, FRAMES), FITTED, np.eye(4), WIDTH, 1.0, EXACT_MODEL
        )
        assert found is not None
        told.append(found.covariance)
    shifts = np.array(estimates) @ camera_from_twist(np.eye(4), CENTRE).T
    actual = np.sqrt(np.diag(np.cov(shifts.T)))
    claimed = np.sqrt(np.mean([np.diag(c) for c in told], axis=0))
    # The linearised fit's own covariance comes on top, so that it errs on the safe side.
    assert (claimed > 0.8 * actual).all() and (claimed < 4.0 * actual).all()


def test_motion_of_the_camera_is_that_of_the_moved_estimate() -> None:
    before = se3.invert(POSE)
    h, columns = 1e-6, []
    for axis in np.eye(6):
        after = se3.invert(Estimate(POSE).moved(h * axis, CENTRE).T_camera_base)
        # Rotation about the base's axes: from the left.
        turn = Rotation.from_matrix(after[:3, :3] @ before[:3, :3].T).as_rotvec()
        columns.append(np.concatenate([after[:3, 3] - before[:3, 3], turn]) / h)
    np.testing.assert_allclose(
        camera_from_twist(POSE, CENTRE), np.stack(columns, axis=1), atol=1e-5
    )
    change = pose_change(np.array([0.0, 0.0, np.radians(2.0), 0, 0, 0]), POSE, np.zeros(3))
    assert change.rotation_deg == pytest.approx(2.0) and change.position_mm == pytest.approx(0.0)


def focal_systems(rng: np.random.Generator) -> FrameSystems:
    """The focal length pulls at the pose, and nothing tells the two apart."""
    J = np.zeros((FRAMES * PER_FRAME, COLUMNS))
    J[:, :8] = rng.normal(size=(len(J), 8)) * 100.0
    J[:, FOCAL_SCALE] = J[:, 5]
    return systems(J, rng.normal(0, 0.1, len(J)), FRAMES)


def test_what_the_model_may_lack_widens_the_covariance() -> None:
    measured = focal_systems(np.random.default_rng(1))
    sure, unsure = (
        pose_uncertainty(measured, FITTED, np.eye(4), WIDTH, 1.0, tolerance)
        for tolerance in (EXACT_MODEL, ModelTolerance(0.01, 1e-9, 1e-9, 1e-9))
    )
    assert sure is not None and unsure is not None
    # A focal length uncertain by 1 % acts like 0.01 of the sixth parameter.
    added = np.sqrt(unsure.covariance[2, 2] - sure.covariance[2, 2])
    assert added == pytest.approx(0.01, rel=0.05)


def test_the_factor_scales_standard_deviations() -> None:
    measured = focal_systems(np.random.default_rng(2))
    once, twice = (pose_uncertainty(measured, FITTED, POSE, WIDTH, f) for f in (1.0, 2.0))
    assert once is not None and twice is not None
    np.testing.assert_allclose(twice.covariance, 4.0 * once.covariance)
    assert twice.expected_position_mm == pytest.approx(2.0 * once.expected_position_mm)
    assert twice.scatter_position_mm == pytest.approx(once.scatter_position_mm)


@pytest.mark.parametrize("spread", [(1.0, 1.0, 1.0), (1.0, 0.1, 0.1), (1.0, 0.6, 0.2)])
def test_nine_in_ten_are_within_what_is_expected(spread: tuple[float, ...]) -> None:
    sigma = 0.004 * np.array([*spread, *spread])
    known = PoseUncertainty(np.diag(sigma**2), 0.0, 0.0)
    drawn = np.random.default_rng(3).normal(size=(20000, 6)) * sigma
    within = np.linalg.norm(drawn[:, :3], axis=1) * 1e3 < known.expected_position_mm
    turned = np.degrees(np.linalg.norm(drawn[:, 3:], axis=1)) < known.expected_rotation_deg
    assert abs(within.mean() - 0.9) < 0.04 and abs(turned.mean() - 0.9) < 0.04


def test_one_group_tells_nothing() -> None:
    J = np.random.default_rng(4).normal(size=(40, COLUMNS))
    assert pose_uncertainty(systems(J, np.ones(40), 1), FITTED, POSE, WIDTH, 1.0) is None


def test_images_weigh_a_tenth_against_the_models_tolerance_and_scatter_in_quarters() -> None:
    """The sixth parameter goes with the focal length; the images know a little of both."""
    rng = np.random.default_rng(5)
    J = np.zeros((FRAMES * PER_FRAME, COLUMNS))
    J[:, :8] = rng.normal(size=(len(J), 8)) * 100.0
    J[:, FOCAL_SCALE] = 60.0 * rng.normal(size=len(J)) + J[:, 5]
    residual = rng.normal(0.0, 3.0, len(J))
    tolerance = ModelTolerance(0.05, 1e-9, 1e-9, 1e-9)
    found = pose_uncertainty(systems(J, residual, FRAMES), FITTED, np.eye(4), WIDTH, 1.0, tolerance)
    assert found is not None
    noise = np.mean(residual**2) * 10.0
    both = J[:, [*range(8), FOCAL_SCALE]]
    H, g = both.T @ both / noise, both.T @ residual / noise
    formal = np.linalg.inv(H[:8, :8])
    weak = np.linalg.inv(H / 10.0 + np.diag([*np.zeros(8), tolerance.focal_scale**-2]))
    ask = (-weak @ g / 10.0)[8]
    sensitivity = -formal @ H[:8, 8]
    groups = np.arange(len(J)) // PER_FRAME
    shifts = {
        folds: np.stack([
            -np.linalg.lstsq(J[groups % folds != out, :8], residual[groups % folds != out],
                             rcond=None)[0] for out in range(folds)])
        for folds in (FRAMES, 4)
    }  # fmt: skip
    scatter = {folds: (folds - 1) * np.cov(each[:, :6].T, ddof=0) for folds, each in shifts.items()}
    twist = (formal + np.outer(sensitivity, sensitivity) * (weak[8, 8] + ask**2))[:6, :6]
    to_camera = camera_from_twist(np.eye(4), CENTRE)
    expected = to_camera @ (twist + scatter[FRAMES]) @ to_camera.T
    np.testing.assert_allclose(found.covariance, expected, rtol=0.02, atol=1e-3 * expected.max())
    quarter = to_camera @ scatter[4] @ to_camera.T
    assert found.scatter_position_mm == pytest.approx(
        1e3 * np.sqrt(np.trace(quarter[:3, :3])), rel=0.01
    )
