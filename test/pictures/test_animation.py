# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from calib_all_ros.pictures.track_video import animated_webp
from calib_all_ros.results.atomic_file import ResultError

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


def frames(height: int = 31, width: int = 45) -> list[np.ndarray]:
    return [np.full((height, width, 3), colour, np.uint8) for colour in COLOURS]


def test_another_library_reads_the_images_back() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow to read the animation")
    movie = pillow.open(io.BytesIO(animated_webp(frames(), 125)))
    assert (movie.n_frames, movie.size, movie.info["loop"]) == (3, (45, 31), 0)
    for number, colour in enumerate(COLOURS):
        movie.seek(number)
        shown = np.asarray(movie.convert("RGB")).astype(int)
        assert np.abs(shown - colour).max() < 12
    assert movie.info["duration"] == 125


def test_the_container_is_as_specified() -> None:
    data = animated_webp(frames(), 1000)
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8 and len(data) % 2 == 0
    names, place = [], 12
    while place < len(data):
        name, size = data[place : place + 4], struct.unpack("<I", data[place + 4 : place + 8])[0]
        names.append(name)
        if name == b"VP8X":
            assert data[place + 12 : place + 18] == bytes([44, 0, 0, 30, 0, 0])
        if name == b"ANMF":
            assert data[place + 24 : place + 28] in (b"VP8 ", b"VP8L")
            assert int.from_bytes(data[place + 20 : place + 23], "little") == 1000
        place += 8 + size + size % 2
    assert names == [b"VP8X", b"ANIM", *[b"ANMF"] * 3] and place == len(data)


def test_what_is_no_animation_is_refused() -> None:
    with pytest.raises(ResultError, match="at least one"):
        animated_webp([], 100)
    with pytest.raises(ResultError, match="is none"):
        animated_webp([*frames(), *frames(height=32)], 100)
    with pytest.raises(ResultError, match="too large for WebP"):
        animated_webp([np.zeros((1, 1 << 14, 3), np.uint8)], 100)
