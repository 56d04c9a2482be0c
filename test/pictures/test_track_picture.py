# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from calib_all_ros.pictures.track_picture import FOLLOWED, GIVEN, LOST, draw_track

GREY = np.full((120, 160, 3), 90, np.uint8)
PATH = np.stack([np.linspace(20, 140, 13), np.full(13, 60.0)], axis=1)
BELOW = np.array([0.0, 10.0])


def like(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the picture, less its caption, has nearly that colour."""
    drawn = picture[-GREY.shape[0] :].astype(int)
    return np.asarray(np.abs(drawn - colour).max(axis=2) < 40)


def followed(until: int) -> np.ndarray:
    pixels = PATH.copy()
    pixels[until:] = np.nan
    return pixels


def test_a_mark_that_is_never_lost() -> None:
    picture = draw_track(GREY, PATH, 0, None, "mark")
    assert like(picture, FOLLOWED)[60, 40:140].mean() > 0.8
    assert like(picture, GIVEN)[52:69, 12:29].sum() > 20
    assert not like(picture, LOST).any()
    assert picture.shape[0] > GREY.shape[0] and picture.shape[1] == GREY.shape[1]


def test_where_it_was_lost_is_told_apart() -> None:
    picture = draw_track(GREY, followed(5), 0, None, "mark")
    assert not like(picture, FOLLOWED)[:, 75:].any()
    lost = np.argwhere(like(picture, LOST))
    assert len(lost) and np.abs(lost - [60, 60]).max() <= 8


def test_lost_images_show_where_the_pose_puts_the_mark() -> None:
    expected = PATH + BELOW
    expected[8] = np.nan
    picture = draw_track(GREY, followed(5), 0, expected, "mark")
    lost = like(picture, LOST)
    for row, (u, v) in enumerate((PATH + BELOW).astype(int)):
        assert lost[v, u] == (row >= 5 and row != 8), row


def test_the_image_itself_stays_as_it_is() -> None:
    before = GREY.copy()
    draw_track(GREY, followed(5), 0, PATH, "mark")
    np.testing.assert_array_equal(GREY, before)
