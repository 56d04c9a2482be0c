# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.diagnosis.dynamic_objects import find_dynamic_objects

COUNT, HEIGHT, WIDTH = 12, 120, 160
NOTHING = np.zeros((COUNT, HEIGHT, WIDTH), dtype=bool)


def background() -> np.ndarray:
    rng = np.random.default_rng(0)
    scene = 100.0 + rng.normal(0.0, 2.0, (HEIGHT, WIDTH, 3))
    noise = rng.normal(0.0, 2.0, (COUNT, HEIGHT, WIDTH, 3))
    return (scene + noise).astype(np.float32)


def with_robot() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of a light bar that swings on the left, where it is, and that with a margin."""
    images, robot, covered = background(), NOTHING.copy(), NOTHING.copy()
    for i in range(COUNT):
        top = 10 + 7 * i
        images[i, top : top + 14, 10:50] = 220.0
        robot[i, top : top + 14, 10:50] = True
        covered[i, max(top - 5, 0) : top + 19, 5:55] = True
    return images, robot, covered


def textured(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.0, 255.0, (30, 12, 3)).astype(np.float32)


def walk(images: np.ndarray) -> None:
    """Let something walk by on the right."""
    for i in range(COUNT):
        images[i, 60:90, 62 + 7 * i : 74 + 7 * i] = textured()


def test_robot_alone() -> None:
    found = find_dynamic_objects(*with_robot(), NOTHING)
    assert found is not None
    assert found.share.max() == 0.0 and found.apart.max() == 0.0
    assert found.explained > 0.95


def test_somebody_walks_by() -> None:
    images, robot, covered = with_robot()
    walk(images)
    found = find_dynamic_objects(images, robot, covered, NOTHING)
    assert found is not None
    assert np.median(found.share) == pytest.approx(30 * 12 / (HEIGHT * WIDTH), rel=0.3)
    assert np.mean(found.apart > 0.01) > 0.7
    assert found.explained > 0.9


def test_robot_drawn_elsewhere() -> None:
    images, robot, covered = with_robot()
    wrong = np.roll(robot, 80, axis=2), np.roll(covered, 80, axis=2)
    found = find_dynamic_objects(images, *wrong, NOTHING)
    assert found is not None
    assert found.explained < 0.1
    assert found.apart.max() == 0.0
    walk(images)
    found = find_dynamic_objects(images, *wrong, NOTHING)
    assert found is not None
    assert np.mean(found.apart > 0.01) > 0.5


def test_shadows_are_no_dynamic_objects() -> None:
    images, robot, covered = with_robot()
    for i in range(COUNT):
        images[i, 20:70, 62 + 8 * i : 78 + 8 * i] *= 0.6
    found = find_dynamic_objects(images, robot, covered, NOTHING)
    assert found is not None
    assert found.share.max() == 0.0 and found.apart.max() == 0.0
    assert found.shadow.mean() > 0.02


def test_what_left_for_good_is_not_something_that_moves_apart() -> None:
    """Something that stood in most images leaves a place that differs from then on."""
    images, robot, covered = with_robot()
    images[:7, 60:90, 120:150] = 30.0
    found = find_dynamic_objects(images, robot, covered, NOTHING)
    assert found is not None and found.apart.max() == 0.0


def test_nothing_is_said_of_too_little() -> None:
    images, robot, covered = with_robot()
    assert find_dynamic_objects(images[:3], robot[:3], covered[:3], NOTHING[:3]) is None
    assert find_dynamic_objects(images, robot, ~NOTHING, NOTHING) is None
