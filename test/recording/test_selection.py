# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations, pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.recording.frame_selection import select_frames, sharpness


def textured(seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (30, 40, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_NEAREST))


def test_blur_lowers_sharpness_at_every_step() -> None:
    image = textured()
    values = [sharpness(cv2.GaussianBlur(image, (0, 0), s)) for s in (0.5, 1.0, 2.0, 4.0)]
    assert all(a > 1.5 * b for a, b in pairwise(values))


def test_exposure_does_not_change_sharpness() -> None:
    image = textured()
    darker = (image * 0.6).astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(image), rel=0.02)


def test_uniform_image_has_none() -> None:
    assert sharpness(np.full((40, 40, 3), 90, np.uint8)) == 0.0


def test_extremes_come_first() -> None:
    positions = np.linspace(0, 1, 11)[:, None]
    chosen = select_frames(positions, np.ones(11), 3)
    assert chosen.tolist() == [0, 5, 10]


def test_chosen_poses_are_at_least_half_as_far_apart_as_is_possible() -> None:
    """Gonzalez 1985: greedy farthest-point selection is within a factor of two of the optimum."""
    positions = np.random.default_rng(1).uniform(0, 1, (12, 2))
    scaled = positions / np.ptp(positions, axis=0)

    def apart(indices: tuple[int, ...]) -> float:
        return min(
            float(np.linalg.norm(scaled[i] - scaled[j])) for i, j in combinations(indices, 2)
        )

    best = max(apart(c) for c in combinations(range(12), 4))
    chosen = select_frames(positions, np.ones(12), 4)
    assert apart(tuple(chosen)) >= best / 2


def test_joints_count_by_their_range() -> None:
    """A joint that moves a centimetre is not drowned by one that moves a turn."""
    turn = np.array([0, 0, 6.0, 6.0])
    slide = np.array([0, 0.1, 0, 0.1])
    twins = np.tile(np.stack([turn, slide], axis=1), (5, 1))
    chosen = select_frames(twins, np.ones(20), 4)
    assert {(turn[i % 4], slide[i % 4]) for i in chosen} == {(0, 0), (0, 0.1), (6, 0), (6, 0.1)}


def test_noise_of_a_joint_at_rest_does_not_count() -> None:
    moving = np.repeat(np.linspace(0, 1, 4), 5)
    noise = np.random.default_rng(2).normal(0, 1e-4, 20)
    chosen = select_frames(np.stack([moving, noise], axis=1), np.ones(20), 4)
    assert sorted(moving[chosen]) == pytest.approx(np.linspace(0, 1, 4))


def test_blurred_and_invalid_frames_are_skipped() -> None:
    positions = np.linspace(0, 1, 11)[:, None]
    sharp = np.ones(11)
    sharp[0] = 0.3
    valid = np.ones(11, dtype=bool)
    valid[10] = False
    chosen = select_frames(positions, sharp, 3, valid)
    assert 0 not in chosen and 10 not in chosen
    assert {1, 9} < set(chosen.tolist())


def test_blurred_frames_are_better_than_too_few() -> None:
    sharp = np.array([9.0, 0.1, 8.0, 0.3, 7.0, 0.2, 6.0])
    positions = np.arange(7.0)[:, None]
    assert select_frames(positions, sharp, 5).tolist() == [0, 2, 3, 4, 6]


def test_few_frames_are_all_taken() -> None:
    assert select_frames(np.zeros((3, 2)), np.zeros(3), 5).tolist() == [0, 1, 2]
    assert select_frames(np.zeros((0, 2)), np.zeros(0), 5).tolist() == []


def test_equal_poses_are_still_different_frames() -> None:
    assert len(set(select_frames(np.zeros((9, 2)), np.ones(9), 4).tolist())) == 4
