# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from calib_all_ros.annotation.action_paths import EXECUTED, ActionPath, PathErrors, SeenPath
from calib_all_ros.annotation.path_files import write_path_files
from calib_all_ros.annotation.path_picture import (
    EXECUTED_COLOUR,
    PREDICTED_COLOURS,
    draw_paths,
    path_colour,
)

GREY = np.full((300, 1200, 3), 120, np.uint8)


def seen(name: str, pixels: list[tuple[float, float]], hidden: tuple[int, ...] = ()) -> SeenPath:
    points = np.array(pixels, dtype=np.float64)
    count = len(points)
    path = ActionPath(name, np.arange(float(count)), np.zeros((count, 3)))
    names = tuple("arm" if i in hidden else "" for i in range(count))
    return SeenPath(path, points, np.ones(count), np.ones(count, bool), names)


def close_to(picture: np.ndarray, colour: tuple[int, int, int], limit: int = 12) -> np.ndarray:
    return np.abs(picture.astype(int) - colour).max(axis=-1) <= limit


def test_ways_are_pale_first_and_full_at_their_end() -> None:
    way = seen("pi0", [(100, 150), (400, 150), (700, 150), (1000, 150)])
    picture = draw_paths(GREY, [way], "caption")[-300:]
    assert close_to(picture[150, 1000], PREDICTED_COLOURS[0])
    start = picture[150, 100].astype(int)
    assert (start >= np.array(PREDICTED_COLOURS[0]) - 1).all() and start.min() > 180


def test_each_way_has_its_colour_and_the_executed_one_always_the_same() -> None:
    assert path_colour(EXECUTED, 5) == EXECUTED_COLOUR
    ways = [
        seen(EXECUTED, [(100, 50), (900, 50)]),
        seen("a", [(100, 150), (900, 150)]),
        seen("b", [(100, 250), (900, 250)]),
    ]
    picture = draw_paths(GREY, ways, "caption")[-300:]
    expected = (EXECUTED_COLOUR, PREDICTED_COLOURS[0], PREDICTED_COLOURS[1])
    for v, colour in zip((50, 150, 250), expected, strict=True):
        assert close_to(picture[v, 900], colour)


def test_hidden_parts_have_gaps() -> None:
    shown = [(100.0, 100.0), (500.0, 100.0), (900.0, 100.0)]
    below = [(u, 200.0) for u, _ in shown]
    ways = [seen("a", shown), seen("b", below, hidden=(1, 2))]
    picture = draw_paths(GREY, ways, "caption")[-300:]
    untouched = close_to(picture, (120, 120, 120), 2)
    assert not untouched[100, 550:850].any()
    assert 0.3 < untouched[200, 550:850].mean() < 0.7


def test_margin_grows_where_ways_leave_the_image_and_no_further() -> None:
    inside = draw_paths(GREY, [seen("a", [(10, 10), (1190, 290)])], "caption")
    assert inside.shape[1] == 1200
    left = draw_paths(GREY, [seen("a", [(-50, 100), (600, 100)])], "caption")
    assert left.shape[1] == 1200 + 62 and left.shape[0] == inside.shape[0]
    # The way begins on the margin.
    assert not close_to(left[-200, 12], (40, 40, 40)).all()
    far = draw_paths(GREY, [seen("a", [(-9e9, 100), (600, 5000), (np.nan, np.nan)])], "caption")
    assert far.shape[1] == 1200 + 300 and far.shape[0] == inside.shape[0] + 75


def test_small_images_are_enlarged() -> None:
    small = np.full((120, 160, 3), 120, np.uint8)
    picture = draw_paths(small, [seen("a", [(20, 60), (100, 60)])], "caption")
    assert picture.shape[1] == 640
    # Pixel centres are at integers: 100 becomes 4 * 100.5 - 0.5.
    v, u = 4 * 60.5 - 0.5, 4 * 100.5 - 0.5
    assert close_to(picture[-480:][round(v), round(u)], PREDICTED_COLOURS[0])


def test_tables(tmp_path: Path) -> None:
    ways = [seen(EXECUTED, [(1.5, 2.5)]), seen("a", [(3, 4), (np.nan, np.nan)], hidden=(0,))]
    write_path_files(tmp_path, ways, {"a": PathErrors(2, 0.1, 0.2, 3.0, 4.0), "b": None})
    points = list(csv.DictReader((tmp_path / "points.csv").open()))
    assert [(p["trajectory"], p["step"]) for p in points] == [
        (EXECUTED, "0"),
        ("a", "0"),
        ("a", "1"),
    ]
    assert (points[0]["u_px"], points[1]["hidden_by"], points[2]["u_px"]) == ("1.5", "arm", "")
    (errors,) = csv.DictReader((tmp_path / "errors.csv").open())
    assert errors["trajectory"] == "a" and float(errors["final_px"]) == 4.0
