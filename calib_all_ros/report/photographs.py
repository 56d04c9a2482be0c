# SPDX-License-Identifier: Apache-2.0
"""Photographs inside the page: a JPEG each, with outlines over it as vector graphics.

Outlines that are not part of the photograph stay sharp at any size, and one photograph serves the
robot before and after the refinement.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.pictures.display import best_row, expected_mark
from calib_all_ros.pictures.overlay import outline_lines
from calib_all_ros.pictures.results import STAGE_BEFORE, DrawnScene
from calib_all_ros.report import words
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.records import FrameQuality
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.mark import MarkTrack
from calib_all_ros.solving.observations import View

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LARGEST_WIDTH_PX = 960
_MOST_BYTES = 220_000
_QUALITIES = (85, 75, 60, 45, 30)
_TOLERANCE_PX = 0.2
_MOST_TRACK_POINTS = 600


@dataclass(frozen=True)
class Photograph:
    """An image of the recording, without lens distortion.

    Attributes:
        uri: The JPEG as a data URI.
        width: Pixels.
        height: Pixels.
    """

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class BeforeAfter:
    """The robot drawn on an image.

    Attributes:
        photograph: The image.
        frame: Its figures.
        label: Which one it is, e.g. "worst".
        before: SVG path of the outline at the coarse pose, "" where there was none.
        after: SVG path of the outline at the final pose.
        caption: What became of the image, in words.
        middle_percent: Where the robot is, from the left; the wipe begins there.
    """

    photograph: Photograph
    frame: FrameQuality
    label: str
    before: str
    after: str
    caption: str
    middle_percent: int


@dataclass(frozen=True)
class SeenMask:
    """What was taken for the robot in an image.

    Attributes:
        photograph: The image.
        number: Of the image in the recording.
        seen: SVG path around it.
        after: SVG path of the outline at the final pose.
        recorded: Whether it was recorded, or else found in the images.
    """

    photograph: Photograph
    number: int
    seen: str
    after: str
    recorded: bool


@dataclass(frozen=True)
class TrackPicture:
    """Where a mark was followed to.

    Attributes:
        photograph: The image it was given in.
        number: Of that image in the recording.
        link: That carries the mark.
        given: SVG coordinates of the mark.
        path: SVG path from image to image.
        expected: SVG coordinates of where the final pose puts it in images in which it was lost.
    """

    photograph: Photograph
    number: int
    link: str
    given: tuple[float, float]
    path: str
    expected: tuple[tuple[float, float], ...]


def before_after_pictures(scene: DrawnScene, view: View, most: int) -> tuple[BeforeAfter, ...]:
    """Return the worst and the best images, taking turns, at most so many.

    Worst and best are by overlap, as in the names of the overlays' files.
    """
    frames = scene.calibration.frames
    before = scene.calibration.stages.get(STAGE_BEFORE)
    poses = [scene.calibration.T_camera_base, *([] if before is None else [before])]
    pictures = []
    for row, label in _worst_and_best(frames, most):
        outlines = scene.masks(row, view.camera, poses)
        pictures.append(
            BeforeAfter(
                photograph(view.image(scene.recording.images[frames[row].index])),
                frames[row],
                label,
                "" if before is None else outline_path(outlines[1]),
                outline_path(outlines[0]),
                _caption(frames[row]),
                _middle_percent(outlines[0]),
            )
        )
    return tuple(pictures)


def mask_picture(scene: DrawnScene, view: View, masks: NDArray[np.bool_] | None) -> SeenMask | None:
    """Return what was taken for the robot in the image that agrees best.

    Args:
        scene: What is drawn.
        view: How raw images become those of the masks.
        masks: (M, H, W) masks of the calibration's frames; None takes the recorded ones.

    Returns:
        None where no masks are known.
    """
    row = best_row(scene.calibration)
    number = scene.calibration.frames[row].index
    recorded = scene.recording.masks
    if masks is not None:
        seen = masks[row]
    else:
        raw = None if recorded is None else recorded[number]
        if raw is None:
            return None
        seen = view.mask(raw)
    after = scene.masks(row, view.camera, [scene.calibration.T_camera_base])[0]
    return SeenMask(
        photograph(view.image(scene.recording.images[number])),
        number,
        outline_path(seen),
        outline_path(after),
        recorded is not None,
    )


def track_picture(scene: DrawnScene, view: View, track: MarkTrack, robot: Robot) -> TrackPicture:
    """Return the way of a mark through the images."""
    expected = expected_mark(scene.calibration, view, track, scene.recording, robot)
    lost = [] if expected is None else [_place(pixel) for pixel in expected[~track.seen]]
    size = (view.camera.width, view.camera.height)
    inside = [(u, v) for u, v in lost if 0.0 <= u <= size[0] and 0.0 <= v <= size[1]]
    step = -(-len(track.pixels) // _MOST_TRACK_POINTS)
    given = int(np.searchsorted(track.frames, track.mark.frame))
    return TrackPicture(
        photograph(view.image(scene.recording.images[track.mark.frame])),
        track.mark.frame,
        track.mark.link,
        _place(track.pixels[given]),
        _track_path(track.pixels[::step]),
        tuple(inside[::step]),
    )


def photograph(image: Image) -> Photograph:
    """Return an RGB (H, W, 3) image as a JPEG that is small enough for a page.

    Raises:
        ResultError: OpenCV cannot encode it.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not encoded:
            raise ResultError(f"cannot encode an image of shape {image.shape} for the report")
        if len(data) <= _MOST_BYTES:
            break
    uri = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
    return Photograph(uri, image.shape[1], image.shape[0])


def outline_path(mask: Mask) -> str:
    """Return the SVG path around a mask (H, W); holes come with it, for the even-odd rule."""
    pieces = []
    for line in outline_lines(mask):
        points = cv2.approxPolyDP(line.astype(np.float32).reshape(-1, 1, 2), _TOLERANCE_PX, True)
        if len(points) > 2:
            places = (_place(pixel) for pixel in points[:, 0])
            pieces.append("M" + "L".join(f"{u:.1f} {v:.1f}" for u, v in places) + "Z")
    return "".join(pieces)


def _worst_and_best(frames: Sequence[FrameQuality], most: int) -> list[tuple[int, str]]:
    """Return rows and labels: the worst, the best, and so on."""
    rows = [row for row, f in enumerate(frames) if f.iou is not None and np.isfinite(f.iou)]
    rows.sort(key=lambda row: frames[row].iou or 0.0)
    if len(rows) < 2:
        return [(row, "only") for row in (rows or range(min(1, len(frames))))]
    ranks = ("", "second ", "third ", "fourth ")
    chosen = []
    for rank in range(min(most, len(rows)) // 2):
        chosen.append((rows[rank], f"{ranks[rank]}worst"))
        chosen.append((rows[-1 - rank], f"{ranks[rank]}best"))
    return chosen


def _caption(frame: FrameQuality) -> str:
    parts = ["Used" if frame.used else "Left out"]
    if frame.iou is not None:
        parts.append(f"overlap {frame.iou:.3f}")
    if frame.contour_px is not None:
        parts.append(f"outline off by {frame.contour_px:.2f} pixels (median)")
    if frame.lag_ms is not None:
        parts.append(f"stamped {words.lag(frame.lag_ms)} by itself, which is not drawn")
    return "; ".join(parts) + "."


def _middle_percent(mask: Mask) -> int:
    columns = np.flatnonzero(mask.any(axis=0))
    if len(columns) == 0:
        return 50
    return int(100 * (columns[0] + columns[-1] + 1) / (2 * mask.shape[1]))


def _track_path(pixels: NDArray[np.float64]) -> str:
    """Return an SVG path that stops where the mark was lost."""
    commands, drawing = [], False
    for pixel in pixels:
        if not np.isfinite(pixel).all():
            drawing = False
            continue
        u, v = _place(pixel)
        commands.append(f"{'L' if drawing else 'M'}{u:.1f} {v:.1f}")
        drawing = True
    return "".join(commands)


def _place(pixel: NDArray[np.floating]) -> tuple[float, float]:
    """Return SVG coordinates, whose origin is the corner of a pixel instead of its centre."""
    return round(float(pixel[0]) + 0.5, 1), round(float(pixel[1]) + 0.5, 1)
