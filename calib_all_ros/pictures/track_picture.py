# SPDX-License-Identifier: Apache-2.0
"""The path of a mark through the images, drawn on the image in which it was given."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.pictures.overlay import Colour, LegendEntry, with_caption

Image = NDArray[np.uint8]

FOLLOWED: Colour = (255, 220, 0)
LOST: Colour = (255, 70, 70)
GIVEN: Colour = (255, 255, 255)

_SUBPIXEL_BITS = 4


def draw_track(
    image: Image,
    pixels: NDArray[np.float64],
    given: int,
    expected: NDArray[np.float64] | None,
    caption: str,
) -> Image:
    """Return the image with a mark's path, under a bar with the caption.

    Args:
        image: (H, W, 3) RGB, the image in which the mark was given.
        pixels: (T, 2) where the mark was followed to, NaN where it was lost.
        given: Row of ``pixels`` that belongs to ``image``.
        expected: (T, 2) where the final pose puts the mark, NaN where it is not known; drawn for
            the images in which the mark was lost. None draws nothing there.
        caption: One or two lines.
    """
    drawn: Image = image.copy()
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(pixels).all(axis=1))
    legend = [LegendEntry("followed", FOLLOWED)]
    if not seen.all():
        text = "lost" if expected is None else "lost; where the final pose puts it"
        legend.append(LegendEntry(text, LOST))
    if expected is not None:
        for pixel in expected[~seen]:
            draw_dot(drawn, pixel, 2, LOST)
    draw_path(drawn, pixels)
    for pixel in pixels[seen]:
        draw_dot(drawn, pixel, 2, FOLLOWED)
    for row in _last_before_lost(seen):
        draw_cross(drawn, pixels[row], 6, LOST)
    draw_cross(drawn, pixels[given], 9, GIVEN)
    legend.append(LegendEntry("as given", GIVEN))
    return with_caption(drawn, caption, legend)


def draw_path(image: Image, pixels: NDArray[np.float64]) -> None:
    """Draw lines between (T, 2) pixels; none to or from NaN."""
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(pixels).all(axis=1))
    joined = seen[:-1] & seen[1:]
    for start, end in zip(pixels[:-1][joined], pixels[1:][joined], strict=True):
        cv2.line(image, _fixed(start), _fixed(end), FOLLOWED, 1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _last_before_lost(seen: NDArray[np.bool_]) -> list[int]:
    """Return the rows next to which the mark was lost."""
    rows = np.flatnonzero(seen)
    return [
        int(row)
        for row in rows
        if (row > 0 and not seen[row - 1]) or (row + 1 < len(seen) and not seen[row + 1])
    ]


def draw_dot(image: Image, pixel: NDArray[np.float64], radius_px: int, color: Colour) -> None:
    """Draw a disc, or nothing where the pixel is NaN or far away."""
    if np.isfinite(pixel).all() and np.abs(pixel).max() < 1e5:
        radius = radius_px << _SUBPIXEL_BITS
        cv2.circle(image, _fixed(pixel), radius, color, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_cross(image: Image, pixel: NDArray[np.float64], reach_px: int, color: Colour) -> None:
    """Draw a diagonal cross."""
    for step in (np.array([reach_px, reach_px]), np.array([reach_px, -reach_px])):
        ends = _fixed(pixel - step), _fixed(pixel + step)
        cv2.line(image, *ends, color, 2, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(pixel: NDArray[np.float64]) -> tuple[int, int]:
    u, v = np.rint(pixel * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(u), int(v)
