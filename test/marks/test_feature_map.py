# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.marks.errors import MarkError
from calib_all_ros.marks.feature_map import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    FeatureMap,
    PatchGrid,
    on_patch_grid,
    unit_length,
)


def blob(width: int, height: int, u: float, v: float, sigma: float) -> np.ndarray:
    """A black image with one soft white spot."""
    x, y = np.meshgrid(np.arange(width) - u, np.arange(height) - v)
    level = 255.0 * np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return np.repeat(np.rint(level).astype(np.uint8)[..., None], 3, axis=2)


def test_known_sizes() -> None:
    pixels, grid = on_patch_grid(np.zeros((480, 640, 3), np.uint8), 14, 784)
    assert pixels.shape == (588, 784, 3) and pixels.dtype == np.float32
    np.testing.assert_allclose(grid.step_px, 14 / 1.225)
    np.testing.assert_allclose(grid.origin_px, 7 / 1.225 - 0.5)
    # 784x441 lacks seven rows to whole patches: three above, four below.
    pixels, grid = on_patch_grid(np.zeros((360, 640, 3), np.uint8), 14, 784)
    assert pixels.shape == (448, 784, 3)
    np.testing.assert_allclose(grid.origin_px, [7 / 1.225 - 0.5, (7 - 3) / 1.225 - 0.5])


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (1920, 1080), (333, 517), (101, 100), (1000, 31)]
)
def test_coordinates_come_back_and_aspect_stays(width: int, height: int) -> None:
    u, v, patch = 0.62 * width, 0.43 * height, 14
    longer = max(width, height)
    image = blob(width, height, u, v, max(1.5, longer / 80))
    pixels, grid = on_patch_grid(image, patch, 392)
    assert pixels.shape[0] % patch == 0 and pixels.shape[1] % patch == 0
    assert max(pixels.shape) == 392
    weight = pixels[..., 0] - pixels[..., 0].min()
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    seen = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    back = grid.pixels((seen - (patch - 1) / 2) / patch)
    assert np.abs(back - [u, v]).max() < 0.001 * longer
    assert abs(grid.step_px[0] / grid.step_px[1] - 1.0) < 0.05
    shorter = min(width, height) * 392 / longer
    assert shorter - 1 <= min(pixels.shape[:2]) <= shorter + patch


def test_normalised_as_imagenet() -> None:
    image = np.full((28, 28, 3), (255, 0, 51), np.uint8)
    pixels, _ = on_patch_grid(image, 14, 28)
    expected = (np.array([1.0, 0.0, 0.2]) - IMAGENET_MEAN) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), atol=1e-6)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))]
)
def test_what_is_no_rgb_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(MarkError, match="RGB"):
        on_patch_grid(image, 14, 28)


def test_cells_and_pixels_are_inverse() -> None:
    grid = PatchGrid(np.array([3.0, 5.0]), np.array([10.0, 20.0]))
    np.testing.assert_allclose(grid.pixels((2, 1)), [23.0, 25.0])
    np.testing.assert_allclose(grid.cells(grid.pixels([[0.3, 7.1], [2, 2]])), [[0.3, 7.1], [2, 2]])


def test_feature_between_patches() -> None:
    axes = np.eye(4, dtype=np.float32).reshape(2, 2, 4)
    features = FeatureMap(axes, PatchGrid(np.array([5.0, 5.0]), np.array([10.0, 10.0])))
    np.testing.assert_allclose(features.at((5, 5)), [1, 0, 0, 0])
    np.testing.assert_allclose(features.at((15, 5)), [0, 1, 0, 0])
    np.testing.assert_allclose(features.at((5, 15)), [0, 0, 1, 0])
    np.testing.assert_allclose(features.at((7.5, 5)), unit_length(np.array([0.75, 0.25, 0, 0])))
    np.testing.assert_allclose(features.at((10, 10)), np.full(4, 0.5))
    # Beyond the outermost centres there is nothing to interpolate with.
    np.testing.assert_allclose(features.at((0, 0)), [1, 0, 0, 0])
    np.testing.assert_allclose(features.at((19.5, 15)), [0, 0, 0, 1])


def test_bad_features_are_refused() -> None:
    grid = PatchGrid(np.zeros(2), np.ones(2))
    with pytest.raises(MarkError, match="NaN"):
        FeatureMap(np.full((2, 2, 3), np.nan, np.float32), grid)
    with pytest.raises(MarkError, match="shape"):
        FeatureMap(np.zeros((2, 3), np.float32), grid)


def test_unit_length_keeps_zeros() -> None:
    np.testing.assert_array_equal(
        unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]]
    )
