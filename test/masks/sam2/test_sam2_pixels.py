# SPDX-License-Identifier: Apache-2.0
"""Pixels of the image and of the model, with the answers known."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.masks.sam2_pixels import image_masks, model_points


def test_outer_edges_and_centre_fall_on_those_of_the_square() -> None:
    corners = np.array([[-0.5, -0.5], [639.5, 479.5], [319.5, 239.5]])
    found = model_points(corners, (480, 640, 3), 1024)
    np.testing.assert_allclose(found, [[-0.5, -0.5], [1023.5, 1023.5], [511.5, 511.5]])


def test_the_pixels_of_an_image_of_the_models_size_stay() -> None:
    points = np.array([[[3.0, 4.0], [100.25, 7.5]]])
    np.testing.assert_allclose(model_points(points, (128, 128, 3), 128), points)


def test_planted_logits_become_the_pixels_that_they_cover() -> None:
    logits = np.full((2, 64, 64), -3.0, dtype=np.float32)
    logits[0, 10:20, 30:50] = 3.0
    logits[1, 63, 0] = 3.0
    masks = image_masks(logits, (128, 256, 3))
    expected = np.zeros((2, 128, 256), dtype=bool)
    expected[0, 20:40, 120:200] = True
    assert masks.dtype == bool and masks.shape == (2, 128, 256)
    # Interpolation takes the corners off, nothing else.
    differing = np.argwhere(masks[0] != expected[0]).tolist()
    assert differing == [[20, 120], [20, 199], [39, 120], [39, 199]]
    rows, columns = np.nonzero(masks[1])
    # A lone cell shrinks towards its centre, and reaches the corner of the image.
    assert (rows.max(), columns.min()) == (127, 0) and rows.min() >= 126 and columns.max() <= 3


def test_a_mask_is_not_moved_by_resizing_to_an_odd_size() -> None:
    v, u = np.mgrid[0:64, 0:64]
    logits = (12.0 - np.hypot(u - 31.5, v - 31.5)).astype(np.float32)[None]
    rows, columns = np.nonzero(image_masks(logits, (97, 131))[0])
    assert (rows.mean(), columns.mean()) == (48.0, 65.0)


def test_no_logits_no_masks() -> None:
    assert image_masks(np.zeros((0, 8, 8), dtype=np.float32), (20, 30)).shape == (0, 20, 30)


def test_resizing_is_that_of_the_authors() -> None:
    torch = pytest.importorskip("torch", reason="pip install '.[foundation]'")
    logits = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], (45, 77), mode="bilinear", align_corners=False
    )[0]
    assert np.mean(image_masks(logits, (45, 77)) != (theirs.numpy() > 0)) < 1e-3
