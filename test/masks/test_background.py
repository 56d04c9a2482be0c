# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.masks.background import MIN_SAMPLES, MIN_SPREAD, estimate_background


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
