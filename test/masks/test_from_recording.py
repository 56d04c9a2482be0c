# SPDX-License-Identifier: Apache-2.0
"""Segmentation of simulated images against the masks of the ray caster."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.masks.from_recording import (
    BINS,
    MAX_LOG_RATIO,
    MIN_SAMPLES,
    MIN_SPREAD,
    Background,
    colour_log_density,
    estimate_background,
    grown_silhouettes,
    robot_log_ratio,
    segment,
)
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.motion import RobotMotion


def covered_at(*pixels: tuple[int, int, int], frames: int = 9) -> np.ndarray:
    covered = np.zeros((frames, 12, 16), bool)
    for frame, row, column in pixels:
        covered[frame, row, column] = True
    return covered


def test_background_is_the_median_of_the_frames_that_show_it() -> None:
    rng = np.random.default_rng(0)
    background = rng.uniform(0, 255, (12, 16, 3)).astype(np.float32)
    images = np.repeat(background[None], 9, axis=0)
    covered = covered_at(*[(n, 5, n + 2) for n in range(9)])
    images[covered] = 255.0 - images[covered]
    found = estimate_background(images, covered, margin_px=1)
    np.testing.assert_allclose(found.mean[5, 2:11], background[5, 2:11])
    assert (found.samples[5, 2:11] == 8).all() and found.known[5, 2:11].all()


def test_pixels_that_are_always_covered_are_unknown() -> None:
    covered = covered_at(*[(n, 5, 5) for n in range(9)], *[(n, 5, 6) for n in range(7)])
    found = estimate_background(np.ones((9, 12, 16, 3), np.float32), covered, margin_px=1)
    assert found.samples[5, 5] == 0 and not found.known[5, 5]
    assert found.samples[5, 6] == 2 < MIN_SAMPLES and not found.known[5, 6]
    assert np.isfinite(found.spread).all() and (found.spread > 0).all()


def test_only_the_surroundings_are_estimated() -> None:
    found = estimate_background(
        np.ones((9, 12, 16, 3), np.float32), covered_at((0, 5, 5)), margin_px=2
    )
    assert found.known[3:8, 3:8].all()
    assert np.count_nonzero(found.known) == 25


@pytest.mark.parametrize("sigma", [5.0, 12.0])
def test_spread_is_the_standard_deviation_of_a_channel(sigma: float) -> None:
    rng = np.random.default_rng(1)
    images = (100 + rng.normal(0, sigma, (200, 12, 16, 3))).astype(np.float32)
    covered = np.zeros((200, 12, 16), bool)
    covered[0] = True
    found = estimate_background(images, covered, margin_px=1)
    assert found.spread.mean() == pytest.approx(sigma, rel=0.05)
    assert found.mean.mean() == pytest.approx(100.0, abs=0.5)


def test_spread_is_not_smaller_than_camera_noise() -> None:
    covered = covered_at((0, 5, 5))
    found = estimate_background(np.full((9, 12, 16, 3), 70.0, np.float32), covered, 3)
    np.testing.assert_array_equal(found.spread, np.float32(MIN_SPREAD))


def test_a_passer_by_does_not_change_the_background() -> None:
    images = np.full((9, 12, 16, 3), 80.0, np.float32)
    images[2:5] = 200.0
    found = estimate_background(images, covered_at((0, 5, 5)), margin_px=1)
    np.testing.assert_allclose(found.mean[4:7, 4:7], 80.0)


ORANGE, WOOD = np.array([230.0, 120.0, 20.0]), np.array([150.0, 120.0, 90.0])


def density_of(colour: np.ndarray, sigma: float = 6.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = np.clip(colour + rng.normal(0, sigma, (500, 3)), 0, 255).astype(np.float32)
    return colour_log_density(pixels, np.ones(500))


def log_ratio(colour: np.ndarray, seen: bool = True) -> float:
    """Of one pixel before a wooden background, for an orange robot."""
    background = Background(
        np.tile(WOOD.astype(np.float32), (1, 1, 1)),
        np.full((1, 1), 4.0, np.float32),
        np.full((1, 1), 9 if seen else 0, np.int32),
    )
    image = np.asarray(colour, dtype=np.float32).reshape(1, 1, 1, 3)
    return float(robot_log_ratio(image, background, density_of(ORANGE), density_of(WOOD))[0, 0, 0])


def test_density_integrates_to_one() -> None:
    cell = (256.0 / BINS) ** 3
    assert np.exp(density_of(ORANGE)).sum() * cell == pytest.approx(1.0, abs=1e-3)


def test_density_is_highest_at_the_colour_and_never_zero() -> None:
    density = density_of(ORANGE)
    peak = np.unravel_index(density.argmax(), density.shape)
    assert peak == tuple((ORANGE * BINS / 256).astype(int))
    assert np.isfinite(density).all() and density.min() > np.log(0.1 / 256.0**3)


def test_weights_choose_the_pixels() -> None:
    pixels = np.stack([ORANGE, WOOD]).astype(np.float32)
    only = colour_log_density(pixels, np.array([1.0, 0.0]))
    np.testing.assert_allclose(only, colour_log_density(pixels[:1], np.ones(1)), atol=1e-6)


def test_no_pixels_at_all_are_finite() -> None:
    pixels = np.stack([ORANGE, WOOD]).astype(np.float32)
    assert np.isfinite(colour_log_density(pixels, np.zeros(2))).all()


@pytest.mark.parametrize("seen", [True, False])
def test_robot_is_robot_and_background_is_background(seen: bool) -> None:
    assert log_ratio(ORANGE, seen) > 3.0
    assert log_ratio(WOOD, seen) < -3.0
    assert abs(log_ratio(ORANGE, seen)) <= MAX_LOG_RATIO


@pytest.mark.parametrize("light", [0.5, 0.7, 0.9])
def test_a_shadow_on_the_background_is_no_robot(light: float) -> None:
    assert log_ratio(light * WOOD) < -1.0
    # Without the background, shadowed wood is just an unknown colour.
    assert log_ratio(light * WOOD) < log_ratio(light * WOOD, seen=False)


def test_the_shadow_term_needs_the_hue_of_the_background() -> None:
    grey = np.full(3, 0.7 * WOOD.mean())
    assert log_ratio(grey) > log_ratio(0.7 * WOOD) + 1.0


def test_a_colour_never_seen_before_a_known_background_is_something_else() -> None:
    assert log_ratio(np.array([20.0, 30.0, 220.0])) > 0.0


USE = np.arange(0, 20, 3)


def rendered(
    robot: Robot, recording: SimulatedRecording, motion: RobotMotion, off_m: float
) -> np.ndarray:
    off = se3.from_rotvec(off_m * np.array([0.2, -0.4, 0.5]), off_m * np.array([0.6, -0.6, 0.5]))
    T = off @ recording.T_camera_base @ motion.link_poses()
    return silhouettes(robot.surface, T, recording.camera)


@pytest.fixture(scope="module")
def guess(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> np.ndarray:
    return rendered(demo_robot, simulated, simulated_motion, 0.02)


def test_a_rough_guess_is_made_good(simulated: SimulatedRecording, guess: np.ndarray) -> None:
    found = segment(simulated.images.astype(np.float32), guess, USE, band_px=8)
    truth = simulated.masks[USE]
    before = intersection_over_union(guess[USE], truth)
    after = intersection_over_union(found.masks, truth)
    assert before.mean() < 0.88
    assert after.mean() > 0.9 and (after > before).all()
    decided = intersection_over_union(found.masks, truth, found.ignore)
    assert decided.mean() >= after.mean() - 0.005


def test_masks_do_not_stray_from_the_guess(
    simulated: SimulatedRecording, guess: np.ndarray
) -> None:
    found = segment(simulated.images.astype(np.float32), guess, USE, band_px=4)
    assert not (found.masks & ~grown_silhouettes(guess[USE], 4)).any()
    assert found.masks.shape == found.ignore.shape == found.log_ratio.shape == (len(USE), 240, 320)


def test_an_object_before_the_robot_is_hidden_not_background(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    truth = rendered(demo_robot, simulated, simulated_motion, 0.0)
    often = np.argwhere(truth.sum(axis=0) >= 8)
    row, column = often[len(often) // 2]
    window = np.s_[max(row - 12, 0) : row + 12, max(column - 12, 0) : column + 12]
    images = simulated.images.astype(np.float32)
    still = np.random.default_rng(0).uniform(40, 90, images[0][window].shape)
    images[(slice(None), *window)] = still
    found = segment(images, truth, np.arange(20), band_px=3)
    assert found.hidden[row, column]
    inside = np.zeros((240, 320), bool)
    inside[window] = True
    inside = grown_silhouettes(inside[None], 4)[0]
    assert np.count_nonzero(found.hidden & ~inside) < 0.2 * np.count_nonzero(found.hidden)


def test_images_without_a_robot_in_view_are_no_crash() -> None:
    images = np.full((5, 40, 50, 3), 90.0, np.float32)
    found = segment(images, np.zeros((5, 40, 50), bool), np.arange(5), band_px=3)
    assert not found.masks.any()


def test_growing_is_round() -> None:
    mask = np.zeros((1, 41, 41), bool)
    mask[0, 20, 20] = True
    v, u = np.nonzero(grown_silhouettes(mask, 8)[0])
    radius = np.hypot(u - 20, v - 20)
    assert radius.max() < 9.0 and len(u) == pytest.approx(np.pi * 8.3**2, rel=0.1)
