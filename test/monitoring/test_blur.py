# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib_all_ros.monitoring.watch import BlurCheck


def picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 230, (48, 64, 3), dtype=np.uint8)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_LINEAR)


@pytest.fixture
def check() -> BlurCheck:
    check = BlurCheck()
    assert not check.is_blurred(picture())
    return check


@pytest.mark.parametrize("sigma_px", [3.0, 6.0])
def test_blur(check: BlurCheck, sigma_px: float) -> None:
    assert check.is_blurred(cv2.GaussianBlur(picture(), (0, 0), sigma_px))
    assert not check.is_blurred(picture())


def test_light_is_no_blur(check: BlurCheck) -> None:
    assert not check.is_blurred((0.4 * picture()).astype(np.uint8))


def test_something_smooth_before_half_of_the_image_is_no_blur(check: BlurCheck) -> None:
    image = picture()
    image[:, :160] = 100
    assert not check.is_blurred(image)
    assert not check.is_blurred(picture())


def test_plain_image() -> None:
    check = BlurCheck()
    plain = np.full((240, 320, 3), 100, np.uint8)
    assert not check.is_blurred(plain)
    assert not check.is_blurred(plain)
