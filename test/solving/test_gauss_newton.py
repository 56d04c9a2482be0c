# SPDX-License-Identifier: Apache-2.0
"""Steps on measurements of points in space, whose residuals are known functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving import gauss_newton
from calib_all_ros.solving.estimate import FIRST_JOINT, FOCAL_SCALE, LAG, MASK_BIAS, Estimate
from calib_all_ros.solving.gauss_newton import (
    Measurements,
    Parameters,
    Step,
    residual_derivatives,
    robust_cost,
    robust_weight,
    step,
)
from calib_all_ros.solving.outline import Outline

CAMERA = Camera(
    np.array([[500.0, 0, 318.0], [0, 505.0, 243.0], [0, 0, 1]]), 640, 480, np.zeros(0), "pinhole"
)
TRUTH = se3.from_rotvec(np.array([0.4, -0.7, 0.2]), np.array([0.05, -0.1, 1.6]))
FRAMES, PER_FRAME = 6, 60
POSE_ONLY = Parameters(lag=False, mask_bias=False)


class World:
    """Points in the base frame that move at constant velocities."""

    def __init__(self, lag_s: float = 0.0, bias_px: NDArray[np.float64] | float = 0.0) -> None:
        rng = np.random.default_rng(2)
        count = FRAMES * PER_FRAME
        self.frame = np.repeat(np.arange(FRAMES, dtype=np.int32), PER_FRAME)
        self.points = rng.uniform(-0.4, 0.4, (count, 3))
        self.velocity = rng.uniform(-0.5, 0.5, (FRAMES, 3))[self.frame]
        angle = rng.uniform(0, 2 * np.pi, count)
        self.direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        seen = self.pixels(Estimate(TRUTH, lag_s))
        self.seen = seen + np.broadcast_to(bias_px, FRAMES)[self.frame, None] * self.direction

    def at(self, estimate: Estimate) -> NDArray[np.float64]:
        moved = self.points - estimate.lag_s * self.velocity
        return se3.transform(estimate.T_camera_base, moved)

    def pixels(self, estimate: Estimate, camera: Camera = CAMERA) -> NDArray[np.float64]:
        return estimate.camera(camera).project(self.at(estimate))

    def outline(self, estimate: Estimate, camera: Camera = CAMERA) -> Outline:
        points = self.at(estimate)
        K = estimate.camera(camera).K
        x, y, z = points.T
        d_point = np.zeros((len(points), 2, 3))
        d_point[:, 0, 0], d_point[:, 0, 2] = K[0, 0] / z, -K[0, 0] * x / z**2
        d_point[:, 1, 1], d_point[:, 1, 2] = K[1, 1] / z, -K[1, 1] * y / z**2
        speed = -self.velocity @ estimate.T_camera_base[:3, :3].T
        return Outline(
            self.frame,
            np.zeros_like(self.frame),
            self.pixels(estimate, camera),
            self.direction,
            points,
            d_point,
            np.einsum("mij,mj->mi", d_point, speed),
            np.zeros((FRAMES, 1, 1), bool),
        )

    def measurements(self, estimate: Estimate) -> Measurements:
        residual = np.einsum("ki,ki->k", self.direction, self.pixels(estimate) - self.seen)
        index = np.arange(len(residual))
        plain = Measurements(index, self.direction, residual, np.ones(len(residual)))
        return plain.biased(np.broadcast_to(estimate.biases_px(), FRAMES)[self.frame])

    def step(self, estimate: Estimate, parameters: Parameters, kernel_px: float = 1e4) -> Step:
        measured = self.measurements(estimate)
        return step(estimate, self.outline(estimate), measured, CAMERA, parameters, kernel_px)

    def solve(self, start: Estimate, parameters: Parameters, steps: int = 15) -> Estimate:
        for _ in range(steps):
            start = self.step(start, parameters).estimate
        return start


def off(angle_deg: float, distance_m: float) -> Estimate:
    return Estimate(TRUTH).moved(
        np.concatenate([np.radians(angle_deg) * np.array([0.6, 0, 0.8]), [0, distance_m, 0]]),
        np.array([0.0, 0.0, 1.6]),
    )


def test_jacobian_of_the_pose_and_the_nuisances() -> None:
    world = World(0.03)
    estimate = replace(off(2.0, 0.02), lag_s=0.01, mask_bias_px=0.4, focal_scale=1.02)
    columns = Parameters(focal_scale=True).columns(0)
    measured, centre, h = world.measurements(estimate), np.array([0.1, 0.0, 1.5]), 1e-6
    J = residual_derivatives(
        world.outline(estimate), measured, CAMERA, columns, centre, estimate.focal_scale
    )
    for column, axis in enumerate(np.eye(len(columns))):
        variant = estimate.stepped(columns, h * axis, centre, 0)
        numeric = (world.measurements(variant).residual - measured.residual) / h
        scale = np.abs(numeric).max()
        np.testing.assert_allclose(J[:, column], numeric, atol=1e-4 * scale)


@pytest.mark.parametrize(("angle_deg", "distance_m"), [(1.0, 0.01), (8.0, 0.1), (25.0, 0.3)])
def test_recovers_the_pose(angle_deg: float, distance_m: float) -> None:
    found = World().solve(off(angle_deg, distance_m), POSE_ONLY, steps=20)
    angle, distance = se3.difference(found.T_camera_base, TRUTH)
    assert angle < 1e-5 and distance < 1e-7


def test_recovers_lag_bias_and_focal_length_together() -> None:
    world = World(0.06, bias_px=1.2)
    world.seen = (world.seen - CAMERA.K[:2, 2]) * 1.02 + CAMERA.K[:2, 2]
    everything = Parameters(focal_scale=True)
    found = world.solve(off(3.0, 0.05), everything, steps=30)
    assert found.lag_s == pytest.approx(0.06, abs=1e-3)
    # The bias was scaled along; directions are random, so about its mean.
    assert found.mask_bias_px == pytest.approx(1.2 * 1.02, abs=0.05)
    assert found.focal_scale == pytest.approx(1.02, abs=1e-3)


def test_a_bias_of_every_image_equals_the_dense_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauss_newton, "LEVENBERG", 0.0)
    world = World(bias_px=np.array([0.0, 1.0, -0.5, 2.0, 0.0, 0.3]))
    parameters = Parameters(image_biases=True, image_bias_sigma_px=0.5)
    current = 0.1 * np.arange(FRAMES)
    estimate = replace(off(1.0, 0.01), lag_s=0.02, mask_bias_px=0.2, image_biases_px=current)
    taken = world.step(estimate, parameters)
    measured = world.measurements(estimate)
    J = residual_derivatives(world.outline(estimate), measured, CAMERA, taken.columns, taken.centre)
    J = np.hstack([J, world.frame[:, None] == np.arange(FRAMES)])
    variance = np.mean(measured.residual**2)
    weight = 1.0 / (variance * gauss_newton.CORRELATED_PIXELS)
    own = np.full(FRAMES, parameters.image_bias_sigma_px)
    prior = np.concatenate([parameters.sigmas(0)[taken.columns], own]) ** -2.0
    departure = np.concatenate([np.zeros(6), [estimate.lag_s, estimate.mask_bias_px], current])
    H = weight * J.T @ J + np.diag(prior)
    dense = -np.linalg.solve(H, weight * J.T @ measured.residual + prior * departure)
    moved = estimate.stepped(taken.columns, dense[:8], taken.centre, 0)
    np.testing.assert_allclose(taken.estimate.T_camera_base, moved.T_camera_base, atol=1e-6)
    np.testing.assert_allclose(taken.estimate.values(0), moved.values(0), atol=1e-4)
    assert taken.estimate.image_biases_px is not None
    np.testing.assert_allclose(taken.estimate.image_biases_px - current, dense[8:], atol=1e-4)


def test_recovers_a_bias_of_every_image() -> None:
    truth = np.array([0.0, 3.0, -2.0, 0.0, 1.0, 0.0])
    parameters = Parameters(image_biases=True, image_bias_sigma_px=10.0)
    found = World(bias_px=truth).solve(off(1.0, 0.02), parameters, steps=40)
    np.testing.assert_allclose(found.biases_px(), truth, atol=0.02)
    assert se3.difference(found.T_camera_base, TRUTH)[1] < 2e-3


def test_priors_pull_what_the_data_does_not_tell() -> None:
    world = World()
    world.velocity = np.zeros_like(world.velocity)
    start = replace(Estimate(TRUTH), lag_s=0.1)
    found = world.solve(start, Parameters(mask_bias=False), steps=3)
    assert abs(found.lag_s) < 1e-3


def test_a_tighter_prior_yields_less() -> None:
    loose, tight = (
        World(bias_px=2.0)
        .solve(Estimate(TRUTH), Parameters(lag=False, mask_bias_sigma_px=sigma))
        .mask_bias_px
        for sigma in (2.0, 0.01)
    )
    assert loose == pytest.approx(2.0, abs=0.05)
    assert 0 < tight < 1.0


def test_a_bias_of_small_images_is_told_in_full_size_pixels() -> None:
    small = CAMERA.scaled(0.25)
    world = World()
    estimate = Estimate(TRUTH)
    outline = world.outline(estimate, small)
    # In the small image the outline is seen 0.5 px too fat, which is 2 px of the full image.
    residual = np.full(len(outline), -0.5)
    index = np.arange(len(outline))
    measured = Measurements(index, world.direction, residual, np.ones(len(outline)))
    wide = Parameters(lag=False, mask_bias_sigma_px=50.0)
    taken = step(estimate, outline, measured, small, wide, 1e4, image_scale=0.25)
    assert taken.estimate.mask_bias_px == pytest.approx(2.0, abs=0.02)


def test_a_step_is_limited() -> None:
    taken = World().step(off(60.0, 0.8), POSE_ONLY)
    start = off(60.0, 0.8).T_camera_base
    turn = Rotation.from_matrix(taken.estimate.T_camera_base[:3, :3] @ start[:3, :3].T).magnitude()
    assert turn <= gauss_newton.MAX_STEP_RAD + 1e-9
    centre = np.linalg.inv(start) @ [*taken.centre, 1.0]
    assert np.linalg.norm((taken.estimate.T_camera_base @ centre)[:3] - (start @ centre)[:3]) <= (
        gauss_newton.MAX_STEP_M + 1e-9
    )


def test_outliers_do_not_move_the_pose() -> None:
    world = World()
    world.seen[::5] += 40.0 * world.direction[::5]
    estimate = off(0.3, 0.003)
    for _ in range(20):
        estimate = world.step(estimate, POSE_ONLY, kernel_px=2.0).estimate
    assert se3.difference(estimate.T_camera_base, TRUTH)[1] < 1e-4
    plain = world.solve(off(0.3, 0.003), POSE_ONLY)
    assert se3.difference(plain.T_camera_base, TRUTH)[1] > 1e-3


def test_nothing_measured_changes_nothing() -> None:
    none = Measurements(np.empty(0, np.intp), np.empty((0, 2)), np.empty(0), np.empty(0))
    estimate = off(1.0, 0.1)
    taken = step(estimate, World().outline(estimate), none, CAMERA, Parameters(), 2.0)
    assert taken.estimate is estimate and taken.equations is None and taken.cost == 1.0


def test_shift_is_what_the_pose_step_moves_the_outline_by() -> None:
    world, estimate = World(), off(0.2, 0.002)
    taken = world.step(estimate, POSE_ONLY)
    moved = np.einsum(
        "ki,ki->k", world.direction, world.pixels(taken.estimate) - world.pixels(estimate)
    )
    assert taken.shift_px == pytest.approx(np.sqrt(np.mean(moved**2)), rel=0.01)


def test_weight_is_the_slope_of_the_cost() -> None:
    residual, h = np.linspace(-9.0, 9.0, 37), 1e-6
    slope = (robust_cost(residual + h, 2.5) - robust_cost(residual - h, 2.5)) / (2 * h)
    expected = 2 * residual / 2.5**2 * robust_weight(residual, 2.5)
    np.testing.assert_allclose(slope, expected, atol=1e-8)
    assert robust_cost(np.array([1e9]), 1.0)[0] == pytest.approx(1.0)


def test_joined_measurements_are_all_there() -> None:
    measured = World().measurements(off(1.0, 0.1))
    both = measured.joined(measured.biased(1.0))
    count = len(measured.index)
    assert len(both.index) == len(both.weight) == len(both.direction) == 2 * count
    np.testing.assert_allclose(both.residual[count:], measured.residual + 1.0)


def test_which_parameters_are_estimated() -> None:
    assert POSE_ONLY.columns(7).tolist() == list(range(6))
    everything = Parameters(focal_scale=True, joint_offsets=True)
    expected = [*range(6), LAG, MASK_BIAS, FOCAL_SCALE, FIRST_JOINT, FIRST_JOINT + 1]
    assert everything.columns(2).tolist() == expected
