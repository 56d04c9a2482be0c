# SPDX-License-Identifier: Apache-2.0
"""Boxes in image coordinates with pixel centres at integers."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.masks.segmentation import (
    box_area,
    box_around,
    box_iou,
    box_union,
    pixels_in_box,
    share_in_box,
)


def test_the_box_around_one_pixel_is_that_pixel() -> None:
    mask = np.zeros((20, 30), bool)
    mask[7, 11] = True
    box = box_around(mask)
    assert box.tolist() == [10.5, 6.5, 11.5, 7.5]
    assert box_area(box) == 1.0
    assert pixels_in_box(mask, box) == 1


def test_a_full_mask_fills_the_image() -> None:
    mask = np.ones((20, 30), bool)
    assert box_around(mask).tolist() == [-0.5, -0.5, 29.5, 19.5]
    assert pixels_in_box(mask, box_around(mask)) == 600


def test_pixels_count_by_their_centres() -> None:
    mask = np.ones((20, 30), bool)
    assert pixels_in_box(mask, np.array([2.0, 3.0, 4.0, 3.4])) == 3
    assert pixels_in_box(mask, np.array([2.1, 3.0, 3.9, 3.4])) == 1
    assert share_in_box(mask, np.array([-9.0, -9.0, 14.2, 99.0])) == 0.5
    assert pixels_in_box(mask, np.array([-9.0, -9.0, -3.0, -3.0])) == 0


def test_overlap_of_boxes() -> None:
    a, b = np.array([0.0, 0.0, 2.0, 2.0]), np.array([1.0, 0.0, 3.0, 2.0])
    assert box_iou(a, b) == pytest.approx(1 / 3)
    assert box_iou(a, a) == 1.0
    assert box_iou(a, b + 5) == 0.0
    assert box_union(np.stack([a, b])).tolist() == [0.0, 0.0, 3.0, 2.0]


def test_nothing_is_in_an_empty_mask() -> None:
    assert share_in_box(np.zeros((4, 4), bool), np.array([0.0, 0.0, 3.0, 3.0])) == 0.0
