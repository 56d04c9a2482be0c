# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.dataset.background import (
    MOVED_PX,
    Likeness,
    alike,
    background_of,
    displacement_px,
    likeness,
)
from calib_all_ros.recording.recording import Recording


@pytest.fixture(scope="module")
def room() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(size=(240, 320)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3.0)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def shifted(image: NDArray[np.uint8], du: float, dv: float = 0.0) -> NDArray[np.uint8]:
    motion = np.array([[1.0, 0.0, du], [0.0, 1.0, dv]])
    size = image.shape[1], image.shape[0]
    moved = cv2.warpAffine(image, motion, size, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, dtype=np.uint8)


@pytest.mark.parametrize("shift", [(0.6, 0.0), (0.0, -2.0), (3.0, 4.0)])
def test_displacement_is_that_of_the_camera(
    room: NDArray[np.uint8], shift: tuple[float, float]
) -> None:
    assert displacement_px(room, shifted(room, *shift)) == pytest.approx(np.hypot(*shift), abs=0.1)
    assert likeness(room, shifted(room, *shift)) is Likeness.MOVED


def test_other_light_and_other_things_are_no_motion(room: NDArray[np.uint8]) -> None:
    other = (0.6 * room + 10).astype(np.uint8)
    other[40:110, 60:150] = 200
    assert likeness(room, other) is Likeness.SAME


def test_plain_and_foreign_backgrounds_say_nothing(room: NDArray[np.uint8]) -> None:
    assert likeness(room, np.full_like(room, 128)) is Likeness.UNKNOWN
    assert likeness(room, room[:, ::-1].copy()) is Likeness.UNKNOWN
    assert likeness(room, room[:200]) is Likeness.UNKNOWN


def test_a_camera_that_creeps_is_split_and_one_that_returns_is_not(
    room: NDArray[np.uint8],
) -> None:
    step = 0.3 * MOVED_PX
    creeping = [shifted(room, step * i) for i in range(8)]
    groups = alike([lambda picture=picture: picture for picture in creeping])
    assert [len(group) for group in groups] == [4, 4]
    places = [shifted(room, du) for du in (0.0, 5.0, 0.0, 5.0, 5.0)]
    finished: list[None] = []
    groups = alike(
        [lambda picture=picture: picture for picture in places], lambda: finished.append(None)
    )
    assert groups == [[0, 2], [1, 3, 4]]
    assert len(finished) == 5


def test_the_median_shows_the_room_without_the_robot(simulated_recording: Recording) -> None:
    background = background_of(simulated_recording)
    assert background.shape == (240, 320)
    halves = (simulated_recording.subset(np.arange(20) % 2 == i) for i in (0, 1))
    assert likeness(*map(background_of, halves)) is Likeness.SAME
