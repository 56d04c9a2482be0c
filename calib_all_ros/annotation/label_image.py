# SPDX-License-Identifier: Apache-2.0
"""Masks of all links as one image, and how such images are encoded."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.errors import AnnotationError

MOST_INDEXED_LABELS = 256
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INDEXED_COLOUR = 3
_NO_FILTER = 0


def labels_of(links: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Return labels for link indices: 0 where no robot is, one more than the index elsewhere."""
    return np.asarray(links + 1, dtype=np.uint16)


def indexed_png(labels: NDArray[np.integer], palette: NDArray[np.uint8]) -> bytes:
    """Return a PNG whose pixels are numbers of colours (PNG specification, colour type 3).

    OpenCV cannot write such files. Whoever reads one without its palette gets the labels.

    Args:
        labels: (H, W) numbers below that of the colours.
        palette: (C, 3) RGB, at most 256.

    Raises:
        AnnotationError: There are more than 256 labels.
    """
    if len(palette) > MOST_INDEXED_LABELS:
        raise AnnotationError(
            f"an indexed PNG holds {MOST_INDEXED_LABELS} labels, the robot has {len(palette) - 1} "
            "links: take the COCO masks (--only coco) or the bag's link_masks"
        )
    height, width = labels.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)
    rows[:, 0] = _NO_FILTER
    rows[:, 1:] = labels
    header = struct.pack(">IIBBBBB", width, height, 8, _INDEXED_COLOUR, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 6)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def grey_png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Return a PNG of (H, W) grey values of 8 or 16 bits.

    Raises:
        AnnotationError: OpenCV cannot encode the image.
    """
    encoded, data = cv2.imencode(".png", image)
    if not encoded:
        raise AnnotationError(f"cannot encode an image of shape {image.shape} as PNG")
    return bytes(data.tobytes())


def depth_millimetres(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return depth in millimetres: 0 where there is none, 65535 for that and farther."""
    millimetres = np.rint(1e3 * depth_m.astype(np.float64))
    return np.clip(millimetres, 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
