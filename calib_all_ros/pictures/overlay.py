# SPDX-License-Identifier: Apache-2.0
"""Outlines of the robot drawn on camera images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.pictures.caption import LegendEntry, with_caption

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]

BEFORE: Colour = (255, 140, 0)
AFTER: Colour = (0, 230, 90)
TARGET: Colour = (80, 160, 255)

_SUBPIXEL_BITS = 4
_ENLARGED = 4
_DASH_PX = 6
_GAP_PX = 5
_TINT = 0.35


def draw_outline(
    image: Image, mask: Mask, color: Colour, thickness: int = 1, *, dashed: bool = False
) -> Image:
    """Return a copy of ``image`` with the outline of ``mask``, smooth, on the mask's boundary.

    Args:
        image: (H, W, 3) RGB.
        mask: (H, W).
        color: RGB.
        thickness: of the line, pixels.
        dashed: whether to leave gaps.
    """
    drawn: Image = image.copy()
    corner = np.array(mask.shape[::-1]) - 1.0
    for line in outline_lines(mask):
        # Where the robot leaves the image its outline runs along the image's border.
        line = np.clip(line, 0.0, corner)
        pieces = _dashes(line) if dashed else [line]
        for piece in pieces:
            fixed = np.rint(piece * (1 << _SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(drawn, [fixed], not dashed, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return drawn


def before_after(
    image: Image,
    mask_before: Mask | None,
    mask_after: Mask,
    target_mask: Mask | None,
    caption: str,
) -> Image:
    """Return the image with the robot's outline before and after, under a bar with the caption.

    Args:
        image: (H, W, 3) RGB.
        mask_before: (H, W) rendered with the first pose: dashed orange.
        mask_after: (H, W) rendered with the final pose: green.
        target_mask: (H, W) the robot as seen: tinted blue.
        caption: one line, e.g. frame number, IoU and lag.
    """
    drawn: Image = image.copy()
    legend = []
    if target_mask is not None:
        drawn[target_mask] = (1 - _TINT) * drawn[target_mask] + _TINT * np.array(TARGET)
        legend.append(LegendEntry("robot as seen", TARGET, filled=True))
    if mask_before is not None:
        drawn = draw_outline(drawn, mask_before, BEFORE, dashed=True)
        legend.append(LegendEntry("before", BEFORE, dashed=True))
    drawn = draw_outline(drawn, mask_after, AFTER)
    legend.append(LegendEntry("after", AFTER))
    return with_caption(drawn, caption, legend)


def outline_lines(mask: Mask) -> list[NDArray[np.float64]]:
    """Return closed lines (N, 2) of pixels between a mask (H, W) and what surrounds it, smooth.

    A contour runs through the centres of the mask's outermost pixels; of the enlarged mask these
    lie close to its edge.
    """
    enlarged = cv2.resize(
        np.pad(mask, 1).astype(np.uint8),
        None,
        fx=_ENLARGED,
        fy=_ENLARGED,
        interpolation=cv2.INTER_NEAREST,
    )
    contours, _ = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A running mean over about two pixels turns the staircase into a line.
    reach = _ENLARGED
    weights = np.full(2 * reach + 1, 1 / (2 * reach + 1))
    lines = []
    for contour in contours:
        line = (contour.reshape(-1, 2) + 0.5) / _ENLARGED - 0.5 - 1.0
        around = np.pad(line, ((reach, reach), (0, 0)), mode="wrap")
        lines.append(np.stack([np.convolve(axis, weights, "valid") for axis in around.T], 1))
    return lines


def _dashes(line: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the pieces of a closed line that are drawn."""
    closed = np.concatenate([line, line[:1]])
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(closed, axis=0), axis=1).cumsum()])
    drawn = along % (_DASH_PX + _GAP_PX) < _DASH_PX
    edges = np.flatnonzero(np.diff(drawn.astype(int))) + 1
    pieces = np.split(np.arange(len(closed)), edges)
    return [closed[piece] for piece in pieces if drawn[piece[0]] and len(piece) > 1]
