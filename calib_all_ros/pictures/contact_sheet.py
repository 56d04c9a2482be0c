# SPDX-License-Identifier: Apache-2.0
"""Many small pictures, each under its caption, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.pictures.caption import with_caption
from calib_all_ros.results.errors import ResultError

Image = NDArray[np.uint8]

_GAP_PX = 6
_BACKGROUND = 60


def contact_sheet(
    tiles: Sequence[Image], captions: Sequence[str], columns: int, *, tile_width_px: int = 320
) -> Image:
    """Return the tiles row by row on one RGB image.

    Args:
        tiles: RGB images of any size; they are scaled to the tile width.
        captions: one line for each.
        columns: tiles in a row.
        tile_width_px: width of a tile.

    Raises:
        ResultError: no tiles, no columns, or not one caption a tile.
    """
    if not tiles or columns < 1 or len(tiles) != len(captions):
        raise ResultError(
            f"a contact sheet needs tiles, one caption for each and at least one column, got "
            f"{len(tiles)} tiles, {len(captions)} captions and {columns} columns"
        )
    framed = [
        with_caption(_fitted(tile, tile_width_px), caption)
        for tile, caption in zip(tiles, captions, strict=True)
    ]
    columns = min(columns, len(framed))
    rows = [framed[first : first + columns] for first in range(0, len(framed), columns)]
    heights = [max(tile.shape[0] for tile in row) for row in rows]
    size = (
        sum(heights) + _GAP_PX * (len(rows) + 1),
        columns * tile_width_px + _GAP_PX * (columns + 1),
    )
    sheet = np.full((*size, 3), _BACKGROUND, dtype=np.uint8)
    top = _GAP_PX
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = _GAP_PX + column * (tile_width_px + _GAP_PX)
            # Images of one row stand on one line, also where a caption takes two.
            bottom = top + height
            sheet[bottom - tile.shape[0] : bottom, left : left + tile.shape[1]] = tile
        top += height + _GAP_PX
    return sheet


def _fitted(tile: Image, width_px: int) -> Image:
    height, width = tile.shape[:2]
    size = (width_px, max(1, round(height * width_px / width)))
    method = cv2.INTER_AREA if width_px < width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(tile, size, interpolation=method), dtype=np.uint8)
