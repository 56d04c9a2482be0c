# SPDX-License-Identifier: Apache-2.0
"""A bar of text above an image, so that the words never cover the robot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SCALE = 0.45
_SMALLEST_SCALE = 0.3
_LINE_PX = 20
_MARGIN_PX = 6
_SWATCH_PX = 22
_BACKGROUND = 24
_TEXT = (235, 235, 235)


@dataclass(frozen=True)
class LegendEntry:
    """What a colour means.

    Attributes:
        text: one or two words.
        color: RGB.
        filled: an area rather than a line.
        dashed: a line with gaps.
    """

    text: str
    color: tuple[int, int, int]
    filled: bool = False
    dashed: bool = False


def with_caption(image: Image, caption: str, legend: Sequence[LegendEntry] = ()) -> Image:
    """Return the RGB image under a dark bar with the caption and, below it, the legend."""
    lines = _wrapped(caption, image.shape[1] - 2 * _MARGIN_PX)
    rows = len(lines) + (1 if legend else 0)
    width = image.shape[1]
    bar = np.full((rows * _LINE_PX + _MARGIN_PX, width, 3), _BACKGROUND, dtype=np.uint8)
    for row, line in enumerate(lines):
        _write(bar, line, (_MARGIN_PX, (row + 1) * _LINE_PX - 4), _SCALE)
    if legend:
        _draw_legend(bar, legend, rows * _LINE_PX - 4)
    return np.concatenate([bar, image])


def _wrapped(text: str, width_px: int) -> list[str]:
    """Return the text in lines no wider than ``width_px``, broken at spaces."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer, _SCALE) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _draw_legend(bar: Image, legend: Sequence[LegendEntry], baseline: int) -> None:
    def total(scale: float) -> int:
        return sum(_SWATCH_PX + 3 * _MARGIN_PX + _width(entry.text, scale) for entry in legend)

    room = bar.shape[1] - _MARGIN_PX
    scale = max(_SMALLEST_SCALE, min(_SCALE, _SCALE * room / total(_SCALE)))
    x = _MARGIN_PX
    for entry in legend:
        _draw_swatch(bar, entry, x, baseline - 4)
        x += _SWATCH_PX + _MARGIN_PX
        _write(bar, entry.text, (x, baseline), scale)
        x += _width(entry.text, scale) + 2 * _MARGIN_PX


def _draw_swatch(bar: Image, entry: LegendEntry, x: int, y: int) -> None:
    if entry.filled:
        cv2.rectangle(bar, (x, y - 5), (x + _SWATCH_PX, y + 5), entry.color, cv2.FILLED)
        return
    dashes = [(0, 6), (8, 14), (16, 22)] if entry.dashed else [(0, _SWATCH_PX)]
    for first, last in dashes:
        cv2.line(bar, (x + first, y), (x + last, y), entry.color, 2)


def _write(bar: Image, text: str, origin: tuple[int, int], scale: float) -> None:
    # OpenCV's fonts have ASCII only and show anything else as question marks.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(bar, plain, origin, _FONT, scale, _TEXT, 1, cv2.LINE_AA)


def _width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])
