# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np

from calib_all_ros.marks.finder import Vote
from calib_all_ros.marks.matching import Match, PatchGrid, Peak
from calib_all_ros.marks.references import ReferenceMark
from calib_all_ros.pictures.heat_map import BEST, RESULT, SECOND, draw_votes, heat_overlay

IMAGE = np.full((240, 420, 3), 90, np.uint8)
GRID = PatchGrid(np.array([9.5, 9.5]), np.array([20.0, 20.0]))


def vote(name: str = "hand", doubts: tuple[str, ...] = (), second: bool = True) -> Vote:
    heat = np.zeros((12, 21))
    heat[3, 15] = 1.0
    reference = ReferenceMark(
        name, IMAGE[:, :300] // 2, np.array([150.0, 60.0]), "tool0", "", Path("hand.yaml")
    )
    rival = Peak(np.array([60.0, 200.0]), 0.4) if second else None
    match = Match(Peak(np.array([300.0, 70.0]), 0.8), rival, heat, GRID, 0.2)
    return Vote(reference, match, doubts, agrees=not doubts)


def places(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(N, 2) pixels (u, v) that have nearly that colour."""
    near = np.abs(picture.astype(int) - colour).max(axis=2) < 40
    return np.argwhere(near)[:, ::-1]


def tile(picture: np.ndarray, column: int) -> np.ndarray:
    """The last row's picture in a column, without its caption."""
    left = 6 + column * (420 + 6)
    return picture[-(240 + 6) : -6, left : left + 420]


def test_heat_is_brightest_at_its_patch() -> None:
    heat = np.zeros((12, 21))
    heat[3, 15] = 1.0
    overlay = heat_overlay(IMAGE, heat, GRID).astype(int)
    assert overlay.shape == IMAGE.shape
    # Viridis goes from violet to yellow.
    yellowness = overlay[..., 0] + overlay[..., 1] - overlay[..., 2]
    bright = np.argwhere(yellowness >= yellowness.max() - 2)
    np.testing.assert_allclose(bright.mean(axis=0), [9.5 + 3 * 20, 9.5 + 15 * 20], atol=0.6)
    # Linear to the next patch, nothing beyond it.
    row = yellowness[69]
    assert row[309] > row[319] > row[328] >= row[330] == row[0]


def test_an_even_heat_map_is_drawn() -> None:
    assert np.ptp(heat_overlay(IMAGE, np.full((12, 21), 0.3), GRID)) > 0


def test_places_are_where_they_were_found() -> None:
    picture = draw_votes(IMAGE, [vote()], "found", np.array([303.0, 72.0]))
    found = tile(picture, 2)
    np.testing.assert_allclose(places(found, BEST).mean(axis=0), [300, 70], atol=1.0)
    np.testing.assert_allclose(places(found, SECOND).mean(axis=0), [60, 200], atol=1.0)
    np.testing.assert_allclose(places(found, RESULT).mean(axis=0), [303, 72], atol=1.5)
    # The reference is 300 px wide and drawn 420 px wide.
    cross = places(picture[:, 6:426], (255, 255, 255))
    below = cross[cross[:, 1] > 100]
    np.testing.assert_allclose(below[:, 0].mean(), 150.5 * 1.4 - 0.5, atol=1.5)


def test_an_unsure_match_has_no_result() -> None:
    picture = draw_votes(IMAGE, [vote(doubts=("it is too dark",), second=False)], "not found")
    assert len(places(picture, RESULT)) == 0
    assert len(places(tile(picture, 2), SECOND)) == 0
    assert len(places(tile(picture, 2), BEST)) > 20


def test_one_row_for_each_reference_up_to_six() -> None:
    heights = [
        draw_votes(IMAGE, [vote(str(number)) for number in range(count)], "found").shape[0]
        for count in (1, 2, 6, 9)
    ]
    assert heights[1] - heights[0] > 240
    assert heights[2] - heights[0] == 5 * (heights[1] - heights[0])
    assert heights[3] == heights[2]


def test_the_image_itself_stays_as_it_is() -> None:
    before = IMAGE.copy()
    draw_votes(IMAGE, [vote()], "found", (1.0, 1.0))
    np.testing.assert_array_equal(IMAGE, before)
