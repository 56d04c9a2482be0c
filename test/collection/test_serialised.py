# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib_all_ros.collection.serialised import MessageReader, header_stamp_ns
from calib_all_ros.recording.bag_storage import COMPRESSED_IMAGE
from calib_all_ros.recording.image_coding import png
from calib_all_ros.recording.recording import RecordingError


def test_joint_state(scene: Any) -> None:
    message = scene.joints(1.5, np.arange(7) / 3, stamp_offset_s=-0.25)
    sample = MessageReader().joint_state(message.data)
    assert sample.stamp_ns == message.log_ns - 250_000_000 == header_stamp_ns(message.data)
    assert sample.names == tuple(f"joint_{i}" for i in range(1, 8))
    assert np.array_equal(sample.positions, np.arange(7) / 3)


def test_images(scene: Any) -> None:
    message = scene.image(0.5)
    reader = MessageReader()
    assert np.array_equal(reader.image(message.kind, message.data, "/cam"), scene.picture(0.5))
    mask = scene.picture(0.5)[..., 0] > 200
    compressed = scene.ros.compressed_image(1, "cam", png(mask), "mono8; png compressed mono8")
    data = scene.ros.serialised(compressed, COMPRESSED_IMAGE)
    assert np.array_equal(reader.image(COMPRESSED_IMAGE, data, "/cam")[..., 1] > 0, mask)


def test_text(scene: Any) -> None:
    assert MessageReader().text(scene.description().data) == scene.urdf


def test_bytes_that_are_something_else(scene: Any) -> None:
    reader = MessageReader()
    with pytest.raises(RecordingError, match="is no sensor_msgs/msg/JointState"):
        reader.joint_state(b"\0\1\0\0" + b"\xff" * 40)
    with pytest.raises(RecordingError, match="is no sensor_msgs/msg/Image"):
        reader.image("sensor_msgs/msg/Image", b"", "/cam")
    with pytest.raises(RecordingError, match="has no header"):
        header_stamp_ns(b"\0\1\0\0\1")
