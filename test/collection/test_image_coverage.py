# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.collection.coverage import ImageCoverage, look_at

RNG = np.random.default_rng(0)
BACKGROUND = cv2.GaussianBlur(RNG.integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 2.0)


def picture(left: int | None = None) -> NDArray[np.uint8]:
    """The background, with noise; a white square of 80x80 at ``left`` if that is given."""
    image = BACKGROUND.copy()
    if left is not None:
        image[40:120, left : left + 80] = 255
    noise = RNG.normal(0.0, 3.0, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_noise_is_no_change() -> None:
    coverage = ImageCoverage()
    for _ in range(20):
        assert coverage.add(look_at(picture()))
    figures = coverage.figures()
    assert (figures.inspected, figures.blurred, figures.changed_share) == (20, 0, 0.0)


def test_changed_share_is_where_something_was_or_went() -> None:
    coverage = ImageCoverage()
    for left in (0, 160):
        coverage.add(look_at(picture(left)))
    two_squares = 2 * 80 * 80 / (240 * 320)
    assert coverage.figures().changed_share == pytest.approx(two_squares, abs=0.02)


def test_blurred_images_are_told_and_change_nothing() -> None:
    coverage = ImageCoverage()
    for _ in range(5):
        coverage.add(look_at(picture()))
    for left in (0, 100, 200):
        blurred = np.asarray(cv2.GaussianBlur(picture(left), (0, 0), 4.0), np.uint8)
        assert not coverage.add(look_at(blurred))
    figures = coverage.figures()
    assert figures.blurred == 3 and figures.inspected == 8
    assert figures.changed_share == 0.0


def test_most_may_be_blurred() -> None:
    coverage = ImageCoverage()
    sharp = [
        coverage.add(look_at(np.asarray(cv2.GaussianBlur(picture(), (0, 0), 4.0), np.uint8)))
        if i % 5
        else coverage.add(look_at(picture()))
        for i in range(50)
    ]
    assert [bool(s) for s in sharp] == [i % 5 == 0 for i in range(50)]


def test_another_size_begins_anew() -> None:
    coverage = ImageCoverage()
    coverage.add(look_at(picture(0)))
    coverage.add(look_at(picture(200)[:200]))
    assert coverage.figures().changed_share == 0.0
    assert look_at(picture()[:200]).size == (320, 200)


def test_no_images() -> None:
    assert ImageCoverage().figures().changed_share == 0.0
