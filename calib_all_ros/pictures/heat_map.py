# SPDX-License-Identifier: Apache-2.0
"""Heat map of the similarity to reference marks, and what was made of it.

As figure 4 of the CalibAll paper, the similarity in colours on the image and a star where it is
highest; beside it the reference picture, for a wrong match is often plain to see there.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.marks.finder import Vote
from calib_all_ros.marks.matching import PatchGrid
from calib_all_ros.pictures.overlay import Colour, LegendEntry, with_caption
from calib_all_ros.pictures.results import contact_sheet

Image = NDArray[np.uint8]

HEAT_MAP_NAME = "mark_heat_map.png"
BEST: Colour = (255, 60, 60)
SECOND: Colour = (255, 220, 0)
MARK: Colour = (255, 255, 255)
RESULT: Colour = (0, 230, 90)

_TILE_WIDTH_PX = 420
_MOST_ROWS = 6
_OPACITY = 0.6
_SUBPIXEL_BITS = 4


def draw_votes(
    image: Image, votes: Sequence[Vote], caption: str, pixel: ArrayLike | None = None
) -> Image:
    """Return one row for each reference: its picture, the heat map, the places found.

    Args:
        image: (H, W, 3) RGB, what was searched.
        votes: What each reference says. Of very many, those that count most are shown.
        caption: What came of it.
        pixel: (2,) where the mark was found in the end; None where it was not.
    """
    shown = sorted(votes, key=lambda vote: (not vote.agrees, len(vote.doubts)))[:_MOST_ROWS]
    tiles: list[Image] = []
    captions: list[str] = []
    for vote in shown:
        reference = vote.reference
        tiles.append(
            _with_cross(_scaled(reference.image), _drawn(reference.pixel, reference.image))
        )
        captions.append(f"reference {reference.name}, mark on {reference.link}")
        heat = vote.match.heat
        tiles.append(_scaled(heat_overlay(image, heat, vote.match.grid)))
        captions.append(
            f"similarity of patches {heat.min():.2f} (dark) to {heat.max():.2f} (yellow)"
        )
        tiles.append(_with_places(image, vote, pixel))
        captions.append(_verdict(vote))
    sheet = contact_sheet(tiles, captions, 3, tile_width_px=_TILE_WIDTH_PX)
    if len(shown) < len(votes):
        caption = f"{caption} ({len(shown)} of {len(votes)} references shown)"
    legend = [
        LegendEntry("mark as given", MARK),
        LegendEntry("most similar (star)", BEST, filled=True),
        LegendEntry("next best elsewhere (ring)", SECOND),
    ]
    if pixel is not None:
        legend.append(LegendEntry("result (square)", RESULT))
    return with_caption(sheet, caption, legend)


def heat_overlay(image: Image, heat: NDArray[np.float64], grid: PatchGrid) -> Image:
    """Return an (H, W, 3) RGB image under the colours of a heat map, from its least to its most.

    Args:
        image: (H, W, 3) RGB.
        heat: (h, w), one number for each patch.
        grid: Where the patches are in ``image``.
    """
    height, width = image.shape[:2]
    columns = (np.arange(width) - grid.origin_px[0]) / grid.step_px[0]
    rows = (np.arange(height) - grid.origin_px[1]) / grid.step_px[1]
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(columns, rows))
    least, most = float(heat.min()), float(heat.max())
    share = ((heat - least) / max(most - least, 1e-9)).astype(np.float32)
    spread = cv2.remap(share, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    levels = np.rint(255.0 * spread).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.addWeighted(image, 1.0 - _OPACITY, colours, _OPACITY, 0.0), np.uint8)


def _verdict(vote: Vote) -> str:
    u, v = vote.match.best.pixel
    place = f"found at ({u:.0f}, {v:.0f}), similarity {vote.match.best.similarity:.2f}"
    if vote.doubts:
        return f"does not count: {', and '.join(vote.doubts)}"
    return f"{place}, margin {vote.match.margin:.2f}{'' if vote.agrees else '; not agreed'}"


def _with_places(image: Image, vote: Vote, pixel: ArrayLike | None) -> Image:
    tile = _scaled(image)
    if vote.match.second is not None:
        centre = _fixed(_drawn(vote.match.second.pixel, image))
        cv2.circle(tile, centre, 8 << _SUBPIXEL_BITS, SECOND, 2, cv2.LINE_AA, _SUBPIXEL_BITS)
    star = _star(_drawn(vote.match.best.pixel, image))
    cv2.fillPoly(tile, [star], BEST, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.polylines(tile, [star], True, MARK, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    if pixel is not None:
        centre_px = _drawn(np.asarray(pixel, dtype=np.float64), image)
        corners = _fixed(centre_px - 12.0), _fixed(centre_px + 12.0)
        cv2.rectangle(tile, *corners, RESULT, 2, cv2.LINE_AA, _SUBPIXEL_BITS)
    return tile


def _star(centre: NDArray[np.float64]) -> NDArray[np.int32]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 10.0, 4.2)
    points = centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    fixed = np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    return np.asarray(fixed.reshape(-1, 1, 2))


def _with_cross(tile: Image, centre: NDArray[np.float64]) -> Image:
    for step in (np.array([9.0, 9.0]), np.array([9.0, -9.0])):
        ends = _fixed(centre - step), _fixed(centre + step)
        # A dark rim shows the cross on white robots.
        cv2.line(tile, *ends, (0, 0, 0), 4, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.line(tile, *ends, MARK, 2, cv2.LINE_AA, _SUBPIXEL_BITS)
    return tile


def _scaled(image: Image) -> Image:
    """Return a copy as wide as a tile."""
    height, width = image.shape[:2]
    size = (_TILE_WIDTH_PX, max(1, round(height * _TILE_WIDTH_PX / width)))
    method = cv2.INTER_AREA if width > _TILE_WIDTH_PX else cv2.INTER_LINEAR
    return np.array(cv2.resize(image, size, interpolation=method), dtype=np.uint8)


def _drawn(pixel: NDArray[np.float64], image: Image) -> NDArray[np.float64]:
    """Return where a pixel of an image is on its tile."""
    return np.asarray((pixel + 0.5) * (_TILE_WIDTH_PX / image.shape[1]) - 0.5)


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    u, v = np.rint(point * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(u), int(v)
