# SPDX-License-Identifier: Apache-2.0
"""Moving pictures as animated WebP, which every browser shows and OpenCV's codec suffices for.

Of what needs no further library it is the smallest by far: 60 images of a robot are 0.4 MB, as GIF
4 MB, as PNG 8 MB. What OpenCV writes as video (MPEG-4 part 2) plays in no browser.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.results.errors import ResultError

Image = NDArray[np.uint8]

_ANIMATED = 0x02
_WHOLE_FRAME = 0x02  # replaces what was there instead of being blended with it
_LARGEST_PX = 1 << 14


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
