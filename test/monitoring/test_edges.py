# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib_all_ros.monitoring.edges import (
    MovingEdges,
    delayed_agreement,
    image_gradient,
    shifted_agreement,
    strongest_along_normal,
)


def scene(left: int, gain: float = 1.0, sigma: float = 0.0, seed: int = 0) -> np.ndarray:
    """A bright square on a grey wall with a dark still bar."""
    image = np.full((80, 120, 3), 90.0)
    image[:, 100:104] = 30.0
    image[30:50, left : left + 20] = 200.0
    noise = np.random.default_rng(seed).normal(0.0, sigma, image.shape) if sigma else 0.0
    return np.clip(gain * image + noise, 0, 255).astype(np.uint8)


def outline(left: int) -> tuple[np.ndarray, np.ndarray]:
    """The left and right side of the square: points on the true edge, and normals."""
    rows = np.arange(33.0, 48.0)
    sides = [np.stack([np.full_like(rows, u), rows], 1) for u in (left - 0.5, left + 19.5)]
    tops = [np.stack([np.arange(left + 3.0, left + 17.0), np.full(14, v)], 1) for v in (29.5, 49.5)]
    points = np.concatenate([*sides, *tops])
    normals = np.zeros_like(points)
    normals[:15, 0], normals[15:30, 0] = -1.0, 1.0
    normals[30:44, 1], normals[44:, 1] = -1.0, 1.0
    return points, normals


def edges_after(history: list[int], left: int) -> np.ndarray:
    moving = MovingEdges()
    for position in history:
        moving.learn(image_gradient(scene(position)))
    return moving.of(image_gradient(scene(left)))


def test_gradient_does_not_depend_on_exposure() -> None:
    full, half = image_gradient(scene(40)), image_gradient(scene(40, gain=0.5))
    # Near black the logarithm is softened, so that half the light is a little less contrast.
    np.testing.assert_allclose(half, full, atol=0.15 * np.abs(full).max())
    assert np.abs(full).max() > 0.1


def test_gradient_takes_the_strongest_channel() -> None:
    image = np.full((20, 20, 3), 100, np.uint8)
    image[:, 10:, 2] = 200
    grey = cv2.merge([image[..., 2]] * 3)
    np.testing.assert_array_equal(image_gradient(image), image_gradient(grey))


def test_still_edges_are_suppressed_and_moving_ones_stay() -> None:
    edges = edges_after([5, 15, 25, 60, 70], 40)
    strength = (edges * edges).sum(axis=2)
    assert strength[:, 98:106].max() < 0.05
    assert strength[35:45, 38:42].max() > 0.5


def test_everything_moves_before_anything_is_known() -> None:
    edges = MovingEdges().of(image_gradient(scene(40)))
    assert (edges[:, 98:106] ** 2).sum(axis=2).max() > 0.5
    moving = MovingEdges()
    moving.learn(image_gradient(scene(40)))
    moving.forget()
    np.testing.assert_array_equal(moving.of(image_gradient(scene(40))), edges)


def test_noise_is_no_edge() -> None:
    moving = MovingEdges()
    for seed, left in enumerate((5, 15, 25, 60, 70, 75)):
        moving.learn(image_gradient(scene(left, sigma=15.0, seed=seed)))
    edges = moving.of(image_gradient(scene(40, sigma=15.0, seed=9)))
    strength = (edges * edges).sum(axis=2)
    assert moving.noise > 0.01
    assert strength[:25].mean() < 0.05
    assert np.median(strength[33:47, 39:41].max(axis=1)) > 0.4


@pytest.mark.parametrize("shift", [(0, 0), (4, 0), (-3, 0), (7, 2)])
def test_agreement_peaks_at_the_displacement(shift: tuple[int, int]) -> None:
    edges = edges_after([5, 15, 25, 70], 40)
    points, normals = outline(40)
    scores = shifted_agreement(points - np.array(shift), normals, edges, 8)
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    assert abs(column - 8 - shift[0]) <= 1 and abs(row - 8 - shift[1]) <= 1
    assert scores.max() > 0.3


def test_agreement_outside_of_the_image_is_none() -> None:
    edges = edges_after([], 40)
    points, normals = outline(40)
    assert shifted_agreement(points + 500.0, normals, edges, 3).max() == 0.0


def test_agreement_peaks_at_the_lag() -> None:
    edges = edges_after([5, 15, 70], 40)
    points, normals = outline(40)
    lags = np.linspace(-0.2, 0.2, 9)
    velocity = np.tile([60.0, 0.0], (len(points), 1))
    scores = delayed_agreement(points - 0.1 * velocity, normals, velocity, edges, lags)
    assert lags[scores.argmax()] == pytest.approx(0.1, abs=0.026)


@pytest.mark.parametrize("distance", [-2.0, -0.5, 0.0, 1.0, 2.5])
def test_edge_along_the_normal(distance: float) -> None:
    edges = edges_after([5, 15, 70], 40)
    points, normals = outline(40)
    found, agreement = strongest_along_normal(points - distance * normals, normals, edges, 4.0)
    assert np.median(found) == pytest.approx(distance, abs=0.5)
    assert np.median(agreement) > 0.3


def test_no_edge_beyond_the_image() -> None:
    edges = edges_after([], 40)
    points, normals = outline(40)
    _, agreement = strongest_along_normal(points + 100.0, normals, edges, 4.0)
    assert not agreement.any()
