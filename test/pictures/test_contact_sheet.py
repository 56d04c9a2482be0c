# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.pictures.results import contact_sheet
from calib_all_ros.results.atomic_file import ResultError


def tile(value: int, height: int = 60, width: int = 80) -> np.ndarray:
    """Return a tile of a colour that text and background do not have."""
    return np.full((height, width, 3), (value, 0, 0), dtype=np.uint8)


def test_every_tile_is_on_the_sheet_in_reading_order() -> None:
    values = [100, 120, 140, 160, 180]
    sheet = contact_sheet([tile(v) for v in values], ["a"] * 5, 3, tile_width_px=80)
    assert sheet.shape[1] == 3 * 80 + 4 * 6
    places = [np.argwhere((sheet == (value, 0, 0)).all(axis=2)).min(axis=0) for value in values]
    for value, (top, left) in zip(values, places, strict=True):
        assert (sheet[top : top + 60, left : left + 80] == (value, 0, 0)).all()
    assert places == sorted(places, key=tuple)
    assert len({top for top, _ in places}) == 2


def test_sizes_may_differ_and_few_tiles_make_a_narrow_sheet() -> None:
    sheet = contact_sheet([tile(100, 200, 100), tile(120, 10, 300)], ["a", "b"], 5)
    assert sheet.shape[1] == 2 * 320 + 3 * 6


@pytest.mark.parametrize(("count", "captions", "columns"), [(0, 0, 1), (2, 1, 1), (1, 1, 0)])
def test_wrong_use_is_explained(count: int, captions: int, columns: int) -> None:
    with pytest.raises(ResultError, match="contact sheet needs"):
        contact_sheet([tile(1)] * count, ["x"] * captions, columns)
