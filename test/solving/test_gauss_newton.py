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
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import (
    Measurements,
    Parameters,
    Step,
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
    """Points in the base frame that move at constant velocities; frame n has its own lag."""

    def __init__(self, frame_lags_s: NDArray[np.float64] | float = 0.0, bias_px: float = 0.0):
        rng = np.random.default_rng(2)
        count = FRAMES * PER_FRAME
        self.frame = np.repeat(np.arange(FRAMES, dtype=np.int32), PER_FRAME)
        self.points = rng.uniform(-0.4, 0.4, (count, 3))
        self.velocity = rng.uniform(-0.5, 0.5, (FRAMES, 3))[self.frame]
        angle = rng.uniform(0, 2 * np.pi, count)
        self.direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        lags = np.broadcast_to(frame_lags_s, FRAMES)
        seen = self.pixels(Estimate(TRUTH, frame_lags_s=lags))
        self.seen = seen + bias_px * self.direction

    def at(self, estimate: Estimate) -> NDArray[np.float64]:
        lags = np.broadcast_to(estimate.lags(), FRAMES)[self.frame]
        moved = self.points - lags[:, None] * self.velocity
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
        return plain.biased(estimate.mask_bias_px)

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
    everything = Parameters(lag=True, mask_bias=True, focal_scale=True)
    system = world.step(estimate, everything).system
    assert system is not None and system.J.shape[1] == 9
    h = 1e-6
    variants = [estimate.moved(h * axis, system.centre) for axis in np.eye(6)]
    variants += [
        replace(estimate, lag_s=estimate.lag_s + h),
        replace(estimate, mask_bias_px=estimate.mask_bias_px + h),
        replace(estimate, focal_scale=estimate.focal_scale + h),
    ]
    for column, variant in enumerate(variants):
        numeric = (world.measurements(variant).residual - system.residual) / h
        scale = np.abs(numeric).max()
        np.testing.assert_allclose(system.J[:, column], numeric, atol=1e-4 * scale)


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


def test_a_lag_of_every_image_equals_the_dense_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauss_newton, "LEVENBERG", 0.0)
    world = World(np.array([0.0, 0.1, -0.05, 0.2, 0.0, 0.03]))
    parameters = Parameters(lag=True, frame_lags=True, mask_bias=True, frame_lag_sigma_s=0.1)
    current = 0.01 * np.arange(FRAMES)
    estimate = replace(off(1.0, 0.01), lag_s=0.02, frame_lags_s=current)
    taken = world.step(estimate, parameters)
    system = taken.system
    assert system is not None
    outline = world.outline(estimate)
    lag_column = np.einsum("ki,ki->k", world.direction, outline.d_pixels_d_lag)
    own = np.where(world.frame[:, None] == np.arange(FRAMES), lag_column[:, None], 0.0)
    J = np.hstack([system.J, own])
    prior = np.concatenate([system.prior, np.full(FRAMES, parameters.frame_lag_sigma_s**-2)])
    departure = np.concatenate([np.zeros(6), [estimate.lag_s, estimate.mask_bias_px], current])
    H = (J * system.evidence[:, None]).T @ J + np.diag(prior)
    g = J.T @ (system.evidence * system.residual) + prior * departure
    dense = -np.linalg.solve(H, g)
    moved = estimate.moved(dense[:6], system.centre)
    np.testing.assert_allclose(taken.estimate.T_camera_base, moved.T_camera_base, atol=1e-9)
    assert taken.estimate.lag_s - estimate.lag_s == pytest.approx(dense[6], abs=1e-9)
    assert taken.estimate.mask_bias_px == pytest.approx(dense[7], abs=1e-9)
    assert taken.estimate.frame_lags_s is not None
    np.testing.assert_allclose(taken.estimate.frame_lags_s - current, dense[8:], atol=1e-9)


def test_recovers_a_lag_of_every_image() -> None:
    truth = np.array([0.0, 0.3, -0.2, 0.0, 0.1, 0.0])
    parameters = Parameters(frame_lags=True, mask_bias=False, frame_lag_sigma_s=10.0)
    found = World(truth).solve(off(1.0, 0.02), parameters, steps=40)
    np.testing.assert_allclose(found.lags(), truth, atol=2e-3)
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
    centre = np.linalg.inv(start) @ [*taken.system.centre, 1.0] if taken.system else np.zeros(4)
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
    assert taken.estimate is estimate and taken.system is None and taken.cost == 1.0


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
