# SPDX-License-Identifier: Apache-2.0
"""Encoding of arrays as JPEG and PNG files."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.recording.recording import RecordingError

RgbImage = NDArray[np.uint8]

_CHANNELS = {
    "rgb8": 3,
    "bgr8": 3,
    "8UC3": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "8UC1": 1,
    "bayer_rggb8": 1,
    "bayer_bggr8": 1,
    "bayer_gbrg8": 1,
    "bayer_grbg8": 1,
    "yuv422": 2,
    "uyvy": 2,
    "yuv422_yuy2": 2,
    "yuyv": 2,
}
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first four
# pixels: rggb is BayerBG in OpenCV.
_CONVERSIONS = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "8UC1": cv2.COLOR_GRAY2RGB,
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


def is_depth(encoding_or_format: str) -> bool:
    """Return whether an encoding (Image) or format (CompressedImage) says that it is depth."""
    encoding = encoding_or_format.split(";")[0].strip()
    return encoding in _DEPTH_ENCODINGS or "compresseddepth" in encoding_or_format.lower()


def decode_message(message: Any, where: str) -> RgbImage:
    """Decode a deserialised `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.

    Raises:
        RecordingError: As `decode_raw` and `decode_compressed`.
    """
    if hasattr(message, "encoding"):
        return decode_raw(
            message.data,
            str(message.encoding),
            int(message.width),
            int(message.height),
            int(message.step),
            where,
        )
    return decode_compressed(message.data, where, str(message.format))


def decode_raw(
    data: bytes | NDArray[np.uint8], encoding: str, width: int, height: int, step: int, where: str
) -> RgbImage:
    """Decode the payload of a `sensor_msgs/Image`.

    Args:
        data: The pixels, row by row.
        encoding: As in `sensor_msgs/image_encodings.hpp`; eight bits a channel, so that
            `is_bigendian` does not matter.
        width: Pixels a row.
        height: Rows.
        step: Bytes a row, padding included; 0 means no padding.
        where: Topic and stamp, for error messages.

    Returns:
        RGB uint8 (height, width, 3).

    Raises:
        RecordingError: An encoding that is not supported, or too little data.
    """
    channels = _CHANNELS.get(encoding)
    if channels is None:
        raise RecordingError(
            f"the image on {where} has the encoding '{encoding}', which is not supported; "
            f"record one of: {', '.join(_CHANNELS)}"
        )
    flat = np.frombuffer(data, dtype=np.uint8)
    step = step or width * channels
    if width <= 0 or height <= 0 or step < width * channels or flat.size < step * height:
        raise RecordingError(
            f"the image on {where} is broken: {width}x{height} '{encoding}' with {step} bytes a "
            f"row needs {step * height} bytes, it has {flat.size}: leave it out of the recording"
        )
    rows = flat[: step * height].reshape(height, step)[:, : width * channels]
    pixels = np.ascontiguousarray(rows).reshape(height, width, channels)
    return _to_rgb(pixels, encoding)


def decode_compressed(
    data: bytes | NDArray[np.uint8], where: str, image_format: str = ""
) -> RgbImage:
    """Decode a JPEG or PNG: a `sensor_msgs/CompressedImage` or a file.

    Args:
        data: The compressed bytes.
        where: Topic and stamp, or file, for error messages.
        image_format: `CompressedImage.format`, e.g. "rgb8; jpeg compressed bgr8".

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        RecordingError: The bytes are no picture, or it has not eight bits a channel.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    # IMREAD_UNCHANGED also leaves the EXIF rotation alone: K belongs to the pixels as stored.
    decoded = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED) if buffer.size else None
    if decoded is None:
        raise RecordingError(
            f"the image on {where} cannot be decoded (format '{image_format}', {buffer.size} "
            "bytes): record JPEG or PNG"
        )
    if decoded.dtype != np.uint8:
        raise RecordingError(
            f"the image on {where} has {decoded.dtype} pixels: record eight bits a channel"
        )
    pixels: NDArray[np.uint8] = decoded.astype(np.uint8, copy=False)
    encoding, _, compressed_as = image_format.partition(";")
    encoding = encoding.strip()
    if pixels.ndim == 2:
        return _to_rgb(pixels, encoding if encoding.startswith("bayer_") else "mono8")
    if pixels.shape[2] == 4:
        return _to_rgb(pixels, "bgra8")
    # compressed_image_transport says "compressed rgb8" when it fed RGB to an encoder that takes
    # BGR; its decoder then leaves the channels as they come.
    return _to_rgb(pixels, "rgb8" if "compressed rgb" in compressed_as else "bgr8")


def _to_rgb(pixels: NDArray[np.uint8], encoding: str) -> RgbImage:
    conversion = _CONVERSIONS.get(encoding)
    if conversion is None:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, conversion), dtype=np.uint8)


def jpeg(image: NDArray[np.uint8], quality: int = 92) -> bytes:
    """Return an RGB uint8 (H, W, 3) image as JPEG; quality is 0 to 100."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(mask: NDArray[np.bool_]) -> bytes:
    """Return a bool (H, W) mask as a grey PNG of 0 and 255."""
    return cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()
