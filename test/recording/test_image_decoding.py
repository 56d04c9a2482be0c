# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.recording.image_coding import decode_compressed, decode_raw, is_depth, jpeg, png
from calib_all_ros.recording.recording import RecordingError

WHERE = "/cam at stamp 7 ns"
RED = (200, 40, 90)


def picture() -> NDArray[np.uint8]:
    v, u = np.mgrid[:6, :8]
    return np.stack([u * 30, v * 40, 255 - u * 20], axis=-1).astype(np.uint8)


def mosaic(pattern: str, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """What a Bayer sensor sees of a uniform surface; the pattern names the first 2x2 pixels."""
    values = [colour["rgb".index(c)] for c in pattern]
    return np.tile(np.array(values, dtype=np.uint8).reshape(2, 2), (4, 6))


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", picture()),
        ("bgr8", picture()[..., ::-1]),
        ("8UC3", picture()[..., ::-1]),
        ("rgba8", np.dstack([picture(), np.full((6, 8), 9, np.uint8)])),
        ("bgra8", np.dstack([picture()[..., ::-1], np.full((6, 8), 9, np.uint8)])),
    ],
)
def test_colour_encodings(encoding: str, pixels: NDArray[np.uint8]) -> None:
    decoded = decode_raw(pixels.tobytes(), encoding, 8, 6, 8 * pixels.shape[2], WHERE)
    np.testing.assert_array_equal(decoded, picture())


def test_grey_becomes_rgb() -> None:
    grey = picture()[..., 0]
    decoded = decode_raw(grey.tobytes(), "mono8", 8, 6, 8, WHERE)
    np.testing.assert_array_equal(decoded, np.dstack([grey] * 3))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns(pattern: str) -> None:
    raw = mosaic(pattern, RED)
    decoded = decode_raw(raw.tobytes(), f"bayer_{pattern}8", 12, 8, 12, WHERE)
    assert decoded.shape == (8, 12, 3)
    np.testing.assert_array_equal(decoded[2:-2, 2:-2], np.broadcast_to(RED, (4, 8, 3)))


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv(encoding: str, order: str) -> None:
    # Video-range BT.601 red is (Y, U, V) = (81, 90, 240).
    levels = {"y": 81, "u": 90, "v": 240}
    row = [levels[c] for c in order] * 4
    decoded = decode_raw(bytes(row * 6), encoding, 8, 6, 16, WHERE)
    assert np.abs(decoded.astype(int) - (255, 0, 0)).max() <= 2


def test_rows_may_be_padded() -> None:
    padded = np.full((6, 40), 77, dtype=np.uint8)
    padded[:, :24] = picture().reshape(6, 24)
    decoded = decode_raw(padded.tobytes(), "rgb8", 8, 6, 40, WHERE)
    np.testing.assert_array_equal(decoded, picture())


def test_step_zero_means_no_padding() -> None:
    decoded = decode_raw(picture().tobytes(), "rgb8", 8, 6, 0, WHERE)
    np.testing.assert_array_equal(decoded, picture())


@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "bayer_rggb16", "nonsense"])
def test_other_encodings_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(RecordingError, match=f"{WHERE}.*'{encoding}'.*rgb8"):
        decode_raw(bytes(1000), encoding, 8, 6, 16, WHERE)


def test_too_little_data_is_refused() -> None:
    with pytest.raises(RecordingError, match="needs 144 bytes, it has 100"):
        decode_raw(bytes(100), "rgb8", 8, 6, 24, WHERE)


def smooth() -> NDArray[np.uint8]:
    v, u = np.mgrid[:48, :64]
    return np.stack([u * 3, v * 4, 100 + u], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    "text", ["", "jpeg", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8"]
)
def test_jpeg(text: str) -> None:
    decoded = decode_compressed(jpeg(smooth(), 95), WHERE, text)
    assert np.abs(decoded.astype(int) - smooth()).mean() < 2


def test_jpeg_of_swapped_channels_is_swapped_back() -> None:
    """compressed_image_transport says when it handed RGB to a BGR encoder."""
    data = jpeg(np.ascontiguousarray(smooth()[..., ::-1]), 95)
    decoded = decode_compressed(data, WHERE, "rgb8; jpeg compressed rgb8")
    assert np.abs(decoded.astype(int) - smooth()).mean() < 2


def test_png_keeps_values_and_drops_alpha() -> None:
    bgra = np.dstack([picture()[..., ::-1], np.full((6, 8), 128, np.uint8)])
    data = cv2.imencode(".png", bgra)[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(data, WHERE, "png"), picture())


def test_grey_png_becomes_rgb() -> None:
    mask = picture()[..., 0] > 100
    decoded = decode_compressed(png(mask), WHERE, "mono8; png compressed")
    np.testing.assert_array_equal(decoded[..., 1] > 127, mask)


def test_compressed_bayer_is_demosaiced() -> None:
    data = cv2.imencode(".png", mosaic("rggb", RED))[1].tobytes()
    decoded = decode_compressed(data, WHERE, "bayer_rggb8; png compressed bayer_rggb8")
    np.testing.assert_array_equal(decoded[3, 4], RED)


def test_sixteen_bits_are_refused() -> None:
    data = cv2.imencode(".png", np.zeros((4, 4), np.uint16))[1].tobytes()
    with pytest.raises(RecordingError, match="uint16"):
        decode_compressed(data, WHERE)


@pytest.mark.parametrize("data", [b"", b"no picture at all"])
def test_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(RecordingError, match=f"{WHERE} cannot be decoded"):
        decode_compressed(data, WHERE)


def test_depth_is_told_from_colour() -> None:
    assert is_depth("16UC1") and is_depth("32FC1") and is_depth("16UC1; compressedDepth png")
    assert not is_depth("rgb8") and not is_depth("mono8") and not is_depth("jpeg")
