# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.diagnosis.scene_images import light_course

COUNT, HEIGHT, WIDTH = 8, 120, 160
U, V = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
FREE = np.zeros((COUNT, HEIGHT, WIDTH), dtype=bool)


def pictures(factors: list[np.ndarray | float]) -> np.ndarray:
    rng = np.random.default_rng(0)
    scene = rng.uniform(60.0, 140.0, (HEIGHT, WIDTH, 3))
    images = [scene * np.reshape(f, (*np.shape(f), 1) if np.ndim(f) else ()) for f in factors]
    return np.round(np.stack(images) + rng.normal(0, 1, (len(images), 1, 1, 1))).astype(np.uint8)


def test_gain_is_no_local_change() -> None:
    gains = [1.0, 1.1, 0.9, 1.2, 1.0, 0.8, 1.05, 0.95]
    light = light_course(pictures(list(gains)), FREE)
    assert light is not None and light.known.all()
    relative = light.log_gain.mean(axis=1) - light.log_gain[0].mean()
    np.testing.assert_allclose(relative, np.log(gains), atol=0.03)
    assert light.local.max() < 0.02


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_gradient_is_local(strength: float) -> None:
    factors = [1.0] * 5 + [np.exp(strength * U)] * 3
    images = pictures(factors)
    light = light_course(images, FREE)
    assert light is not None
    assert light.local[:5].max() < 0.02
    np.testing.assert_allclose(light.local[5:], strength / np.sqrt(3), rtol=0.15)
    corrected = light.corrected(images)
    assert (
        np.abs(corrected[6] - corrected[0]).mean()
        < 0.3 * np.abs(images[6].astype(float) - images[0]).mean()
    )


def test_something_small_is_not_light() -> None:
    images = pictures([1.0] * COUNT)
    images[5, 40:80, 40:80] = 20
    light = light_course(images, FREE)
    assert light is not None and light.local.max() < 0.02


def test_nothing_is_said_of_darkness_or_too_few() -> None:
    assert light_course(np.zeros((COUNT, HEIGHT, WIDTH, 3), np.uint8), FREE) is None
    assert light_course(pictures([1.0] * COUNT), ~FREE) is None
    assert light_course(pictures([1.0] * 3), FREE[:3]) is None


def test_white_images_are_not_known() -> None:
    images = pictures([1.0] * COUNT)
    images[3] = 255
    light = light_course(images, FREE)
    assert light is not None
    assert np.flatnonzero(~light.known).tolist() == [3]
