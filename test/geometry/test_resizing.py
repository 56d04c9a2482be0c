# SPDX-License-Identifier: Apache-2.0
"""Resized pictures against pictures drawn through the scaled camera."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.resizing import shrink, shrink_mask

SIZES = [(320, 240), (321, 243), (500, 333)]


def camera_of(width: int, height: int) -> Camera:
    K = np.array([[300.0, 0, width / 2 + 0.3], [0, 300.0, height / 2 - 0.2], [0, 0, 1]])
    return Camera(K, width, height, np.zeros(0), "pinhole")


def plane(camera: Camera) -> np.ndarray:
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return camera.rays(np.stack([u, v], axis=-1).astype(float))[..., :2]


def disc(camera: Camera, centre: np.ndarray, radius: float) -> np.ndarray:
    return np.linalg.norm(plane(camera) - centre, axis=-1) <= radius


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125, 0.2])
def test_small_masks_are_neither_shifted_nor_fat(size: tuple[int, int], scale: float) -> None:
    camera = camera_of(*size)
    small = camera.scaled(scale)
    rng = np.random.default_rng(0)
    shifts, fat = [], []
    for _ in range(40):
        # Towards the lower right, where wrong scales show most.
        centre = rng.uniform(0.1, 0.25, 2)
        radius = rng.uniform(0.09, 0.13)
        mask = shrink_mask(disc(camera, centre, radius), scale)
        expected = disc(small, centre, radius)
        assert mask.shape == (small.height, small.width)
        shifts.append(np.mean(np.nonzero(mask), axis=1) - np.mean(np.nonzero(expected), axis=1))
        outline_px = 2 * np.pi * radius * small.K[0, 0]
        fat.append((mask.sum() - expected.sum()) / outline_px)
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.05
    assert abs(np.mean(fat)) < 0.05


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.5, 0.125, 64 / 500])
def test_a_ramp_keeps_its_values(size: tuple[int, int], scale: float) -> None:
    camera = camera_of(*size)
    small = camera.scaled(scale)
    resized = shrink(plane(camera)[..., 0].astype(np.float32), scale)
    # Within half a pixel of the large image; the last column may average over repeated pixels.
    error = (resized - plane(small)[..., 0]) * camera.K[0, 0]
    assert np.abs(error[:, :-1]).max() < 0.55


def test_colours_and_type_are_kept() -> None:
    image = np.full((33, 41, 3), (10, 20, 30), np.uint8)
    small = shrink(image, 0.5)
    assert small.dtype == np.uint8 and small.shape == (16, 20, 3)
    np.testing.assert_array_equal(small, np.broadcast_to([10, 20, 30], small.shape))


def test_full_size_is_passed_through() -> None:
    mask = np.random.default_rng(0).random((9, 7)) < 0.5
    np.testing.assert_array_equal(shrink_mask(mask, 1.0), mask)


@pytest.mark.parametrize("edge", range(8, 16))
def test_vertical_edges_of_any_place_are_unbiased_together(edge: int) -> None:
    mask = np.zeros((32, 32), bool)
    mask[:, :edge] = True
    small = shrink_mask(mask, 0.5)
    # Full pixels reach half a pixel beyond their centres: the edge is at `edge` pixels' width.
    assert small.sum() / 16 == pytest.approx(edge / 2)
