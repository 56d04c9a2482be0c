# SPDX-License-Identifier: Apache-2.0
"""A mark on its way through the images: the whole picture, and beside it the mark from near."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.evidence.record import Evidence
from calib_all_ros.pictures.display import expected_mark
from calib_all_ros.pictures.overlay import LegendEntry, save_png, with_caption
from calib_all_ros.pictures.track_picture import (
    FOLLOWED,
    GIVEN,
    LOST,
    Image,
    draw_cross,
    draw_dot,
    draw_path,
    draw_track,
)
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.atomic_file import ResultError, write_atomically
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.mark import TrackedImages
from calib_all_ros.tracking.track import ImageSequence

_ANIMATED = 0x02
_WHOLE_FRAME = 0x02  # replaces what was there instead of being blended with it
_LARGEST_PX = 1 << 14
Array = NDArray[np.float64]
TRACK_PICTURE_NAME = "track.png"
TRACK_VIDEO_NAME = "track.webp"
MOST_FRAMES = 90
_WIDTH_PX = 480
_SHOWN_MS = 125
# Of the image's width, what is seen from near.
_NEAR = 1 / 8
_TRAIL_IMAGES = 25
_SHRINK = cv2.INTER_AREA
_LEGEND = (
    LegendEntry("followed", FOLLOWED),
    LegendEntry("lost; where the final pose puts it", LOST),
)


def animated_webp(frames: Iterable[Image], duration_ms: int, quality: int = 70) -> bytes:
    """Return an animation that repeats for ever, as the WebP container specification has it.

    Args:
        frames: RGB images (H, W, 3) of one size, at least one.
        duration_ms: How long each is shown.
        quality: Of the images, up to 100.

    Raises:
        ResultError: No image, images of several sizes or too large ones, or an OpenCV without WebP.
    """
    parts: list[bytes] = []
    shape: tuple[int, ...] = ()
    for frame in frames:
        if parts and frame.shape != shape:
            raise ResultError(f"an animation of images of {shape} and {frame.shape} is none")
        shape = frame.shape
        parts.append(_frame(frame, duration_ms, quality))
    if not parts:
        raise ResultError("an animation needs at least one image")
    size = _dimensions(shape)
    header = _chunk(b"VP8X", bytes([_ANIMATED, 0, 0, 0]) + size)
    loop = _chunk(b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0))
    return _chunk(b"RIFF", b"".join([b"WEBP", header, loop, *parts]))


def _frame(image: Image, duration_ms: int, quality: int) -> bytes:
    if max(image.shape[:2]) >= _LARGEST_PX:
        raise ResultError(f"an image of {image.shape[1]}x{image.shape[0]} is too large for WebP")
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    try:
        encoded, data = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise ResultError(f"this OpenCV cannot write WebP: {error.err}") from error
    if not encoded:
        raise ResultError(f"cannot encode WebP from an image of shape {image.shape}")
    # Behind "RIFF", size and "WEBP" the file of a single image is the chunk that a frame needs.
    place = b"\0" * 6
    shown = duration_ms.to_bytes(3, "little") + bytes([_WHOLE_FRAME])
    return _chunk(b"ANMF", place + _dimensions(image.shape) + shown + data.tobytes()[12:])


def _dimensions(shape: tuple[int, ...]) -> bytes:
    height, width = shape[:2]
    return (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def write_track(
    folder: Path,
    calibration: Calibration,
    evidence: Evidence,
    recording: Recording,
    robot: Robot,
) -> list[Path]:
    """Show where a mark was followed to, in ``track.png`` and, moving, in ``track.webp``.

    Where it was lost they show where the final pose puts it, if that is known.

    Args:
        folder: Where to write; made if missing.
        calibration: The result.
        evidence: What was seen in the images, with the track.
        recording: What it was calibrated from.
        robot: The robot, with the base frame of the calibration.

    Returns:
        The files; none without a mark.

    Raises:
        ResultError: A file cannot be written.
    """
    track = evidence.track
    if track is None:
        return []
    images = TrackedImages(recording, evidence.view, track.frames)
    given = int(np.searchsorted(track.frames, track.mark.frame))
    expected = expected_mark(calibration, evidence.view, track, recording, robot)
    video, picture = folder / TRACK_VIDEO_NAME, folder / TRACK_PICTURE_NAME
    frames = video_frames(images, track.frames, track.pixels, given, expected)
    write_atomically(video, animated_webp(frames, _SHOWN_MS))
    caption = f"mark on {track.mark.link}, image {track.mark.frame}: {evidence.mark_summary}"
    save_png(picture, draw_track(images[given], track.pixels, given, expected, caption))
    return [picture, video]


def video_frames(
    images: ImageSequence,
    numbers: NDArray[np.intp],
    pixels: Array,
    given: int,
    expected: Array | None,
) -> Iterator[Image]:
    """Yield what the video shows: at most ``MOST_FRAMES`` images, all of one size.

    Args:
        images: T RGB images that the mark was followed through.
        numbers: (T,) their numbers in the recording.
        pixels: (T, 2) where the mark was followed to, NaN where it was lost.
        given: Row of the image in which the mark was given.
        expected: (T, 2) where the final pose puts the mark, NaN where it is not known, or None.
    """
    places = _places(pixels, expected)
    for row in _spread(len(pixels), given):
        image = images[row]
        scale = _WIDTH_PX / image.shape[1]
        side = max(2, round(scale * image.shape[0]))
        whole: Image = np.asarray(cv2.resize(image, (_WIDTH_PX, side), interpolation=_SHRINK))
        near = _from_near(image, places[row], side)
        draw_path(whole, _scaled(pixels[max(0, row - _TRAIL_IMAGES) : row + 1], scale))
        followed = bool(np.isfinite(pixels[row]).all())
        predicted = expected is not None and bool(np.isfinite(expected[row]).all())
        centre = np.full(2, (side - 1) / 2)
        for picture, place in ((whole, _scaled(places[row], scale)), (near, centre)):
            if followed:
                draw_cross(picture, place, 7, GIVEN if row == given else FOLLOWED)
            elif predicted:
                draw_dot(picture, place, 3, LOST)
        state = "as given" if row == given else "followed" if followed else "lost"
        both = np.concatenate([whole, near], axis=1)
        yield with_caption(both, f"image {numbers[row]}: {state}", _LEGEND)


def _spread(count: int, given: int) -> list[int]:
    """Return the rows to show, evenly spread, ``given`` in the place of its neighbour."""
    rows = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(np.intp)
    rows[np.argmin(np.abs(rows - given))] = given
    return [int(row) for row in rows]


def _places(pixels: Array, expected: Array | None) -> Array:
    """Return (T, 2) where to look: at the mark, where the pose puts it, or where it was last."""
    places = pixels.copy()
    if expected is not None:
        lost = ~np.isfinite(places).all(axis=1)
        places[lost] = expected[lost]
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    rows = np.arange(len(places))
    before = known[np.maximum(np.searchsorted(known, rows, side="right") - 1, 0)]
    return np.asarray(places[before])


def _scaled(pixels: Array, scale: float) -> Array:
    return scale * (pixels + 0.5) - 0.5


def _from_near(image: Image, centre: Array, side_px: int) -> Image:
    """Return a square around a pixel, enlarged to ``side_px``."""
    step = _NEAR * image.shape[1] / side_px
    corner = centre - step * (side_px - 1) / 2
    M = np.array([[step, 0.0, corner[0]], [0.0, step, corner[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    near = cv2.warpAffine(
        image, M, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(near, dtype=np.uint8)
