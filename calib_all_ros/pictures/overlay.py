# SPDX-License-Identifier: Apache-2.0
"""Outlines of the robot drawn on camera images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.results.atomic_file import ResultError, write_atomically
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.solving.estimate import Estimate

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SCALE = 0.45
_SMALLEST_SCALE = 0.3
_LINE_PX = 20
_MARGIN_PX = 6
_SWATCH_PX = 22
_BACKGROUND = 24
_TEXT = (235, 235, 235)
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


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB (H, W, 3) image as PNG, atomically.

    Raises:
        ResultError: the file cannot be written, or OpenCV cannot encode the image.
    """
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ResultError(f"cannot encode {path.name} from an image of shape {image.shape}")
    write_atomically(path, data.tobytes())


def estimate_of(calibration: Calibration, kinematics: Kinematics) -> Estimate:
    """Return the pose of a result with all that was estimated beside it and moves its drawing."""
    offsets = None
    if calibration.joint_offsets is not None:
        known = calibration.joint_offsets
        offsets = np.array([known.get(name, 0.0) for name in kinematics.joint_names])
    return Estimate(
        calibration.T_camera_base,
        lag_s=(calibration.lag_ms or 0.0) / 1e3,
        focal_scale=calibration.focal_scale or 1.0,
        joint_offsets=offsets,
    )


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
