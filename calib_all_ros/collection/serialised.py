# SPDX-License-Identifier: Apache-2.0
"""Serialised (CDR) messages, as far as the checks need to know them."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.collection.stream_writer import StreamMessage
from calib_all_ros.recording.bag_storage import COMPRESSED_IMAGE, JOINT_STATE, STRING, TF_MESSAGE
from calib_all_ros.recording.image_coding import decode_compressed, decode_raw
from calib_all_ros.recording.recording import RecordingError, RgbImage
from calib_all_ros.recording.ros_messages import RosMessages

# Static transforms come from many nodes, a message each, and some repeat theirs.
_MOST_TRANSFORMS = 500


class LatchedMessages:
    """Keeps the last message of each topic; of static transforms, every one that differs."""

    def __init__(self) -> None:
        """Begin without any."""
        self._last: dict[str, StreamMessage] = {}
        self._transforms: dict[tuple[str, bytes], StreamMessage] = {}

    def add(self, message: StreamMessage) -> bool:
        """Keep a message and return whether it is new."""
        if message.kind != TF_MESSAGE:
            known = self._last.get(message.topic)
            self._last[message.topic] = message
            return known is None or known.data != message.data
        key = (message.topic, message.data)
        is_new = key not in self._transforms and len(self._transforms) < _MOST_TRANSFORMS
        if is_new:
            self._transforms[key] = message
        return is_new

    def has(self, kind: str) -> bool:
        """Return whether there is a message of this type."""
        return any(message.kind == kind for message in self.messages())

    def messages(self) -> list[StreamMessage]:
        """Return them all."""
        return [*self._last.values(), *self._transforms.values()]


class JointSample(NamedTuple):
    """One joint state: (J,) names and positions in radians or metres; velocities are left out."""

    stamp_ns: int
    names: tuple[str, ...]
    positions: NDArray[np.float64]


def header_stamp_ns(data: bytes) -> int:
    """Return the stamp of a message that begins with a std_msgs/Header.

    Raises:
        RecordingError: It is too short.
    """
    try:
        seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    except (struct.error, IndexError):
        raise RecordingError(f"a message of {len(data)} bytes has no header") from None
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


class MessageReader:
    """Deserialises messages of ROS 2 without ROS."""

    def __init__(self, messages: RosMessages | None = None) -> None:
        """Load the definitions."""
        self.messages = messages or RosMessages(is_ros2=True)

    def joint_state(self, data: bytes) -> JointSample:
        """Return a joint state; positions are empty where it has none.

        Raises:
            RecordingError: The bytes are no joint state.
        """
        message = self._read(data, JOINT_STATE)
        positions = np.asarray(message.position, dtype=np.float64)
        return JointSample(header_stamp_ns(data), tuple(message.name), positions)

    def image(self, kind: str, data: bytes, where: str) -> RgbImage:
        """Return an image, RGB uint8 (H, W, 3).

        Args:
            kind: Type of the message, Image or CompressedImage.
            data: Its bytes.
            where: Topic, for error messages.

        Raises:
            RecordingError: It cannot be decoded.
        """
        message = self._read(data, kind)
        if kind == COMPRESSED_IMAGE:
            return decode_compressed(message.data, where, str(message.format))
        size = int(message.width), int(message.height)
        return decode_raw(message.data, str(message.encoding), *size, int(message.step), where)

    def text(self, data: bytes) -> str:
        """Return the content of a std_msgs/String.

        Raises:
            RecordingError: The bytes are no string message.
        """
        return str(self._read(data, STRING).data)

    def _read(self, data: bytes, kind: str) -> Any:
        try:
            return self.messages.typestore.deserialize_cdr(data, kind)
        # Generated code meets bytes of any kind: struct.error, UnicodeDecodeError, IndexError, …
        except Exception as error:
            raise RecordingError(f"a message is no {kind} ({error}): record again") from error
