# SPDX-License-Identifier: Apache-2.0
"""Ways of the end-effector drawn on an image, pale at their beginning and full at their end."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.action_paths import EXECUTED, SeenPath
from calib_all_ros.pictures.overlay import Colour, LegendEntry, with_caption

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

EXECUTED_COLOUR: Colour = (0, 210, 80)
PREDICTED_COLOURS: tuple[Colour, ...] = (
    (255, 120, 0),
    (40, 130, 255),
    (255, 0, 190),
    (250, 220, 0),
    (0, 225, 225),
    (170, 80, 255),
)

_WIDTH_PX = 1200
_LARGEST_SCALE = 4.0
_LARGEST_MARGIN = 0.25
_MARGIN_GAP_PX = 12
_DARK = 40
_PALE = 0.75
_DOT_DISTANCE_PX = 16.0
_DASH_PX, _GAP_PX = 8.0, 16.0
_SUBPIXEL_BITS = 4
_FARTHEST_PX = 1e5


def path_colour(name: str, rank: int) -> Colour:
    """Return the colour of a way; ``rank`` counts the predicted ones."""
    if name == EXECUTED:
        return EXECUTED_COLOUR
    return PREDICTED_COLOURS[rank % len(PREDICTED_COLOURS)]


def draw_paths(image: Image, paths: Sequence[SeenPath], caption: str) -> Image:
    """Return an image with ways on it, under a caption and a legend.

    Dots are steps; parts that the robot hides are dashed and their dots are rings; parts outside
    the image lie on a dark margin, which is as wide as they need, up to a quarter of the image.

    Args:
        image: (H, W, 3) RGB.
        paths: The ways; the first drawn lies lowest.
        caption: One or two lines.
    """
    scale = float(np.clip(_WIDTH_PX / image.shape[1], 1.0, _LARGEST_SCALE))
    enlarged = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    scaled = [scale * (path.pixels + 0.5) - 0.5 for path in paths]
    top, bottom, left, right = _margins(enlarged.shape[:2], scaled)
    drawn: Image = np.asarray(
        cv2.copyMakeBorder(
            enlarged, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(_DARK,) * 3
        ),
        dtype=np.uint8,
    )
    legend, rank = [], 0
    for path, pixels in zip(paths, scaled, strict=True):
        colour = path_colour(path.path.name, rank)
        rank += path.path.name != EXECUTED
        _draw(drawn, path, pixels + np.array([left, top]), colour)
        legend.append(LegendEntry(path.path.name, colour))
    if any(any(path.hidden_by) for path in paths):
        legend.append(LegendEntry("behind the robot", (200, 200, 200), dashed=True))
    return with_caption(drawn, caption, legend)


def _margins(size: tuple[int, ...], paths: Sequence[Points]) -> tuple[int, int, int, int]:
    """Return how much to add at the top, bottom, left and right."""
    height, width = size
    points = np.concatenate([np.zeros((0, 2)), *paths])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return 0, 0, 0, 0
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    beyond = (-top, bottom - height + 1, -left, right - width + 1)
    sizes = (height, height, width, width)
    top, bottom, left, right = (
        int(min(over + _MARGIN_GAP_PX, _LARGEST_MARGIN * whole)) if over > 0 else 0
        for over, whole in zip(beyond, sizes, strict=True)
    )
    return top, bottom, left, right


def _draw(image: Image, path: SeenPath, pixels: Points, colour: Colour) -> None:
    steps = len(pixels)
    shares = np.linspace(0.0, 1.0, steps)
    hidden = [bool(name) for name in path.hidden_by]
    along = 0.0
    for step in range(steps - 1):
        start, end = pixels[step], pixels[step + 1]
        if not (_drawable(start) and _drawable(end)):
            continue
        tone = _tone(colour, float(shares[step]))
        dashed = hidden[step] or hidden[step + 1]
        for first, last in _dashes(start, end, along) if dashed else [(start, end)]:
            _line(image, first, last, tone)
        along += float(np.linalg.norm(end - start))
    for step in _dotted(pixels):
        if _drawable(pixels[step]):
            radius = 6 if step in (0, steps - 1) else 3
            _dot(image, pixels[step], radius, _tone(colour, float(shares[step])), hidden[step])


def _dotted(pixels: Points) -> list[int]:
    """Return the steps that get a dot: the first and the last, and others not too close."""
    chosen, last = [0], len(pixels) - 1
    for step in range(1, last):
        away = np.linalg.norm(pixels[step] - pixels[chosen[-1]])
        if not away < _DOT_DISTANCE_PX:
            chosen.append(step)
    return chosen if last == 0 else [*chosen, last]


def _tone(colour: Colour, share: float) -> Colour:
    """Return a colour that is pale at the beginning and full at the end."""
    white = _PALE * (1.0 - share)
    red, green, blue = (round(white * 255 + (1.0 - white) * part) for part in colour)
    return red, green, blue


def _dashes(start: Points, end: Points, along: float) -> list[tuple[Points, Points]]:
    """Return the drawn parts of a piece of a dashed line that begins ``along`` its length."""
    length = float(np.linalg.norm(end - start))
    if length == 0.0:
        return []
    period = _DASH_PX + _GAP_PX
    first = np.floor(along / period) * period - along
    begins = np.arange(first, length, period)
    spans = [(max(0.0, b), min(length, b + _DASH_PX)) for b in begins]
    step = (end - start) / length
    return [(start + a * step, start + b * step) for a, b in spans if b > a]


def _line(image: Image, start: Points, end: Points, colour: Colour) -> None:
    # A dark border keeps pale lines visible on a bright table.
    for tone, thickness in (((0, 0, 0), 5), (colour, 3)):
        ends = _fixed(start), _fixed(end)
        cv2.line(image, *ends, tone, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(image: Image, point: Points, radius_px: int, colour: Colour, ring: bool) -> None:
    # A ring shows what is below it.
    rims = ((4, radius_px), (2, radius_px)) if ring else ((-1, radius_px + 1), (-1, radius_px))
    for tone, (thickness, radius) in zip(((0, 0, 0), colour), rims, strict=True):
        fixed = radius << _SUBPIXEL_BITS
        cv2.circle(image, _fixed(point), fixed, tone, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _drawable(point: Points) -> bool:
    return bool(np.isfinite(point).all() and np.abs(point).max() < _FARTHEST_PX)


def _fixed(point: Points) -> tuple[int, int]:
    u, v = np.rint(point * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(u), int(v)
