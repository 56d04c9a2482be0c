# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.change import change_probability, exposure_gains, shrink_images


def scene(gains: list[float], seed: int = 0) -> np.ndarray:
    """A textured background under different exposures, a dark square at another place in each."""
    rng = np.random.default_rng(seed)
    background = rng.uniform(60, 160, (30, 40, 3))
    images = np.stack([background * gain for gain in gains])
    for i, image in enumerate(images):
        image[5 + 3 * i : 11 + 3 * i, 5 + 6 * i : 13 + 6 * i] = 15.0
    return images.astype(np.float32)


def test_gains_undo_the_exposure() -> None:
    gains = [1.0, 0.8, 1.25, 1.0, 0.9]
    found = exposure_gains(scene(gains))
    # Only the ratios are known; one image defines the unit.
    relative = found * np.array(gains)[:, None] / found[0]
    np.testing.assert_allclose(relative, 1.0, rtol=0.02)


def test_white_balance_is_found_for_each_channel() -> None:
    images = scene([1.0] * 5)
    images[2, ..., 0] *= 1.2
    images[2, ..., 2] *= 0.85
    np.testing.assert_allclose(exposure_gains(images)[2], [1 / 1.2, 1.0, 1 / 0.85], rtol=0.02)


@pytest.mark.parametrize("level", [0.0, 255.0])
def test_nothing_is_said_about_black_and_saturated_images(level: float) -> None:
    images = np.full((3, 20, 20, 3), level, np.float32)
    np.testing.assert_array_equal(exposure_gains(images), 1.0)


def test_change_does_not_depend_on_the_exposure() -> None:
    plain, flickering = scene([1.0] * 4), scene([1.0, 0.8, 1.25, 0.9])
    flickering = np.clip(flickering, 0, 255).astype(np.uint8)
    _, expected = change_probability(shrink_images(plain.astype(np.uint8), 40))
    _, change = change_probability(shrink_images(flickering, 40))
    assert np.abs(change - expected).mean() < 0.01
    _, blind = change_probability(flickering.astype(np.float32))
    assert np.abs(blind - expected).mean() > 0.05


def test_change_is_where_either_square_is() -> None:
    pairs, change = change_probability(scene([1.0] * 3))
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    expected = np.zeros((30, 40), bool)
    for i in (0, 2):
        expected[5 + 3 * i : 11 + 3 * i, 5 + 6 * i : 13 + 6 * i] = True
    assert change[1][expected].min() > 0.5 > change[1][~expected].max()


def test_noise_is_no_change() -> None:
    rng = np.random.default_rng(0)
    still = 100.0 + rng.normal(0, 2.0, (3, 30, 40, 3)).astype(np.float32)
    _, change = change_probability(still)
    assert change.mean() < 0.1


def test_change_of_simulated_images_is_that_of_their_masks(simulated: SimulatedRecording) -> None:
    frames = np.array([0, 9, 18])
    pairs, change = change_probability(shrink_images(simulated.images[frames], 160))
    masks = simulated.masks[frames][:, ::2, ::2]
    for (i, j), seen in zip(pairs, change, strict=True):
        moved = masks[i] ^ masks[j]
        untouched = ~(masks[i] | masks[j])
        assert seen[moved].mean() > 0.6
        assert seen[untouched].mean() < 0.1


def test_odd_sizes_shrink_to_the_size_of_the_camera() -> None:
    images = np.zeros((2, 481, 641, 3), np.uint8)
    assert shrink_images(images, 64).shape == (2, 48, 64, 3)
