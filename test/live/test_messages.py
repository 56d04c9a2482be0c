# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.loading import load_recording
from calib_all_ros.nodes import messages
from calib_all_ros.recording.camera_info import CameraInfo as ReadCameraInfo
from calib_all_ros.recording.camera_info import camera_of
from calib_all_ros.recording.image_coding import decode_message
from calib_all_ros.recording.ros_messages import RosMessages

LENSES = [
    ("pinhole", ()),
    ("plumb_bob", (-0.3, 0.1, 0.001, -0.002, 0.0)),
    ("equidistant", (0.01, 0.02, 0.0, -0.01)),
]


def read_back(message: Any, kind: str) -> Any:
    data = serialize_message(message)
    return RosMessages(is_ros2=True).typestore.deserialize_cdr(data, kind)


@pytest.mark.parametrize("shape", [(4, 6, 3), (4, 6)])
def test_images_read_back_as_they_were(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    message = messages.image_message(pixels, 12_000_000_034, "optical")
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 34)
    assert message.header.frame_id == "optical"
    rgb = decode_message(read_back(message, "sensor_msgs/msg/Image"), "the test")
    expected = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    assert np.array_equal(rgb, expected)


def test_masks_become_black_and_white() -> None:
    message = messages.image_message(np.eye(3, dtype=bool), 0, "optical")
    assert message.encoding == "mono8"
    assert bytes(message.data) == bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_camera_reads_back_from_its_camera_info(model: str, distortion: tuple[float, ...]) -> None:
    K = np.array([[500.0, 0, 320.5], [0, 510.0, 240.25], [0, 0, 1]])
    camera = Camera(K, 640, 480, np.array(distortion), model, "optical")
    message = messages.camera_info_message(camera, 5)
    info = ReadCameraInfo.from_message(read_back(message, "sensor_msgs/msg/CameraInfo"))
    again = camera_of(info, rectified=False, where="the test")
    assert (again.width, again.height, again.model, again.frame_id) == (640, 480, model, "optical")
    assert np.array_equal(again.K, camera.K)
    assert np.array_equal(again.distortion, camera.distortion)


def test_transform_maps_as_its_matrix() -> None:
    T = se3.from_rotvec(np.array([0.3, -0.2, 1.0]), np.array([1.0, 2.0, 3.0]))
    message = messages.transform_message(T, "base", "camera_link", 7)
    assert (message.header.frame_id, message.child_frame_id) == ("base", "camera_link")
    turn, place = message.transform.rotation, message.transform.translation
    again = se3.from_quaternion_xyzw(
        np.array([turn.x, turn.y, turn.z, turn.w]), np.array([place.x, place.y, place.z])
    )
    assert np.allclose(again, T, atol=1e-12)


@pytest.mark.parametrize("compressed", [False, True])
def test_player_publishes_all_of_a_recording(
    graph: Any, live_recording: Path, compressed: bool
) -> None:
    kind = CompressedImage if compressed else Image
    suffix = "/compressed" if compressed else ""
    reliable = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
    images = graph.listen(f"/camera/image_raw{suffix}", kind, reliable)
    infos = graph.listen("/camera/camera_info", CameraInfo, reliable)
    joints = graph.listen("/joint_states", JointState, reliable)
    player = graph.play(live_recording, compressed=compressed)
    recording = load_recording(live_recording)
    graph.wait_for(lambda: "played" in player.output, "the player")
    graph.wait_for(lambda: len(images) == len(recording), "all images")
    graph.wait_for(lambda: len(infos) == len(recording), "all camera infos")
    assert len(joints) >= 100 * (recording.image_stamps_ns[-1] - recording.image_stamps_ns[0]) / 1e9
    assert graph.latest("/robot_description", String).data == recording.urdf
