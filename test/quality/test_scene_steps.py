# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.quality.scene_steps import describe

COUNT = 30


def noise(size: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, size, (COUNT, 2))


def test_nothing_happens() -> None:
    course = describe(noise(0.1), 0.5)
    assert course.starts == () and course.drift == 0.0
    assert course.scatter == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize("start", [2, 13, COUNT - 2])
def test_a_step_is_found_where_it_is(start: int) -> None:
    values = noise(0.1)
    values[start:] += [3.0, -4.0]
    course = describe(values, 0.5)
    assert course.starts == (start,)
    assert course.sizes[0] == pytest.approx(np.sqrt((9 + 16) / 2), rel=0.1)
    assert course.scatter < 0.15 and course.drift == 0.0


def test_two_steps() -> None:
    values = noise(0.1)
    values[8:20] += 2.0
    course = describe(values, 0.5)
    assert course.starts == (8, 20)
    assert course.sizes == pytest.approx((2.0, 2.0), rel=0.1)


def test_a_drift_is_no_step() -> None:
    values = noise(0.1) + np.linspace(0.0, 5.0, COUNT)[:, None]
    course = describe(values, 0.5)
    assert course.starts == ()
    assert course.drift == pytest.approx(5.0, rel=0.1)
    assert course.scatter < 0.15


def test_scatter_is_neither() -> None:
    course = describe(noise(3.0), 0.5)
    assert course.starts == () and course.drift == 0.0
    assert course.scatter == pytest.approx(3.0, rel=0.3)


def test_one_value_that_differs_is_no_step() -> None:
    values = noise(0.05)
    values[12] += 4.0
    assert describe(values, 0.5).starts == ()


def test_small_steps_are_scatter() -> None:
    values = noise(0.01)
    values[15:] += 0.3
    assert describe(values, 0.5).starts == ()
