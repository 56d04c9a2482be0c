# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.planning.camera_prior import CameraPrior, camera_with_view, looking_at
from calib_all_ros.planning.information import ErrorModel, outline_information, resting
from calib_all_ros.planning.joint_ranges import joint_ranges
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Measurements, Parameters, residual_derivatives
from calib_all_ros.solving.outline import render_outline

POSITIONS = np.array([[0.1, 0.4, 0.8, 0.01], [-0.2, -1.0, -0.5, 0.01]])
# Masks whose fatness is known: each image's own bias then takes nothing away.
EXACT = ErrorModel(frame_bias_sigma_px=1e-6)


def solver_columns(robot: Robot, prior: CameraPrior) -> list[np.ndarray]:
    """Derivatives of the outlines' residuals as the solver has them, pose last in base axes."""
    motion = resting(robot, POSITIONS)
    surface = robot.surface.simplified(0.01)
    estimate = Estimate(prior.T_camera_base)
    outline = render_outline(surface, motion, prior.camera, estimate, with_joints=True)
    u, v = outline.pixels.T
    seen = (u >= 0) & (v >= 0) & (u <= prior.camera.width - 1) & (v <= prior.camera.height - 1)
    index = np.flatnonzero(seen)
    zero, one = np.zeros(len(index)), np.ones(len(index))
    measured = Measurements(index, outline.normals[index], zero, one)
    columns = Parameters(lag=False, focal_scale=True, joint_offsets=True).columns(3)
    c = np.array([0.1, 0.2, 1.5])
    J = residual_derivatives(outline, measured, prior.camera, columns, c)
    # Turning the camera by d about the base's axes turns the robot the other way before it.
    R = prior.T_camera_base[:3, :3]
    to_twist = np.zeros((6, 6))
    to_twist[:3, 3:] = -R
    to_twist[3:, :3] = -R
    to_twist[3:, 3:] = np.column_stack([np.cross(-R[:, i], c) for i in range(3)])
    bias, focal, joints = J[:, 6:7], J[:, 7:8], J[:, 8:11]
    found = np.concatenate([J[:, :6] @ to_twist, focal, bias, joints], axis=1)
    return [found[outline.frame[index] == n] for n in range(len(POSITIONS))]


def test_columns_are_those_of_the_solver(crane: Robot, prior: CameraPrior) -> None:
    ranges = joint_ranges(crane.kinematics)
    samples = prior.T_camera_base[None]
    errors = ErrorModel()
    found = outline_information(crane, ranges, prior, samples, POSITIONS, errors)
    weight = 1.0 / (errors.correlated_px * errors.outline_sigma_px**2)
    for n, J in enumerate(solver_columns(crane, prior)):
        own_bias = np.concatenate([J, np.ones((len(J), 1))], axis=1)
        whole = weight * own_bias.T @ own_bias
        whole[-1, -1] += errors.frame_bias_sigma_px**-2
        # Inverting, dropping the image's own bias, and inverting again marginalises it.
        prior_information = np.diag(np.append(np.diag(found.prior), 0.0))
        marginal = np.linalg.inv(np.linalg.inv(whole + prior_information)[:-1, :-1])
        np.testing.assert_allclose(
            found.matrices[n, 0] + found.prior, marginal, rtol=1e-6, atol=1e-6 * marginal.max()
        )


def test_expected_sigmas_are_those_of_the_prior_before_anything_is_seen(
    crane: Robot, prior: CameraPrior
) -> None:
    ranges = joint_ranges(crane.kinematics)
    found = outline_information(crane, ranges, prior, prior.samples(3, 0), POSITIONS)
    assert found.matrices.shape == (2, 3, 11, 11)
    position, rotation = found.expected_sigmas([])
    assert position == pytest.approx(prior.position_sigma_m)
    assert rotation == pytest.approx(prior.rotation_sigma_rad)
    one, both = found.expected_sigmas([0]), found.expected_sigmas([0, 1])
    assert position > one[0] > both[0]
    assert rotation > one[1] > both[1]


def test_resolution_of_the_rendering_does_not_matter(crane: Robot) -> None:
    """A camera of four times the size is rendered as small, but its pixels are finer."""
    T = looking_at([1.6, 0.3, 0.7], [0, 0, 0.3])
    ranges = joint_ranges(crane.kinematics)
    small, large = (CameraPrior(camera_with_view(w, 3 * w // 4, 60.0), T) for w in (160, 640))
    # Four times as far off in finer pixels, along four times as long pieces, is the same error.
    coarse = replace(EXACT, mask_bias_sigma_px=0.5)
    fine = replace(EXACT, outline_sigma_px=8.0, correlated_px=120.0, mask_bias_sigma_px=2.0)
    sigmas = [
        outline_information(crane, ranges, p, T[None], POSITIONS, errors).expected_sigmas([0, 1])
        for p, errors in ((small, coarse), (large, fine))
    ]
    np.testing.assert_allclose(sigmas[0], sigmas[1], rtol=1e-3)


def test_nuisances_cost(crane: Robot, prior: CameraPrior) -> None:
    ranges = joint_ranges(crane.kinematics)
    known = ErrorModel(
        outline_sigma_px=0.2,
        focal_scale_sigma=1e-6,
        joint_offset_sigma=1e-6,
        mask_bias_sigma_px=1e-6,
        frame_bias_sigma_px=1e-6,
    )
    wrong = [
        known,
        replace(known, focal_scale_sigma=0.05),
        replace(known, joint_offset_sigma=0.02),
        replace(known, mask_bias_sigma_px=3.0),
        replace(known, frame_bias_sigma_px=3.0),
    ]
    sigmas = [
        outline_information(
            crane, ranges, prior, prior.T_camera_base[None], POSITIONS, errors
        ).expected_sigmas([0, 1])[0]
        for errors in wrong
    ]
    assert all(sigma > 1.05 * sigmas[0] for sigma in sigmas[1:]), sigmas


def test_robot_out_of_view_says_nothing(crane: Robot, prior: CameraPrior) -> None:
    away = se3.from_rotvec([0.0, np.pi, 0.0], np.zeros(3)) @ prior.T_camera_base
    ranges = joint_ranges(crane.kinematics)
    found = outline_information(crane, ranges, prior, away[None], POSITIONS)
    assert not found.matrices.any()
