# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.masks.appearance import (
    BINS,
    MAX_EVIDENCE,
    colour_log_density,
    robot_evidence,
)
from calib_all_ros.masks.background import Background

ORANGE, WOOD = np.array([230.0, 120.0, 20.0]), np.array([150.0, 120.0, 90.0])


def density_of(colour: np.ndarray, sigma: float = 6.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = np.clip(colour + rng.normal(0, sigma, (500, 3)), 0, 255).astype(np.float32)
    return colour_log_density(pixels, np.ones(500))


def evidence(colour: np.ndarray, seen: bool = True) -> float:
    """Of one pixel before a wooden background, for an orange robot."""
    background = Background(
        np.tile(WOOD.astype(np.float32), (1, 1, 1)),
        np.full((1, 1), 4.0, np.float32),
        np.full((1, 1), 9 if seen else 0, np.int32),
    )
    image = np.asarray(colour, dtype=np.float32).reshape(1, 1, 1, 3)
    return float(robot_evidence(image, background, density_of(ORANGE), density_of(WOOD))[0, 0, 0])


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
    assert evidence(ORANGE, seen) > 3.0
    assert evidence(WOOD, seen) < -3.0
    assert abs(evidence(ORANGE, seen)) <= MAX_EVIDENCE


@pytest.mark.parametrize("light", [0.5, 0.7, 0.9])
def test_a_shadow_on_the_background_is_no_robot(light: float) -> None:
    assert evidence(light * WOOD) < -1.0
    # Without the background, shadowed wood is just an unknown colour.
    assert evidence(light * WOOD) < evidence(light * WOOD, seen=False)


def test_the_shadow_term_needs_the_hue_of_the_background() -> None:
    grey = np.full(3, 0.7 * WOOD.mean())
    assert evidence(grey) > evidence(0.7 * WOOD) + 1.0


def test_a_colour_never_seen_before_a_known_background_is_something_else() -> None:
    assert evidence(np.array([20.0, 30.0, 220.0])) > 0.0
