# SPDX-License-Identifier: Apache-2.0
"""Arrays, cameras and poses as ROS messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Pose, TransformStamped
from numpy.typing import NDArray
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera

_SECOND_NS = 1_000_000_000
_LEVELS = {
    "ok": DiagnosticStatus.OK,
    "warn": DiagnosticStatus.WARN,
    "error": DiagnosticStatus.ERROR,
    "stale": DiagnosticStatus.STALE,
}

LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""For what a subscriber that starts later must still get."""


def stamp_of(stamp_ns: int) -> Time:
    """Return integer nanoseconds as builtin_interfaces/Time."""
    seconds, nanoseconds = divmod(int(stamp_ns), _SECOND_NS)
    return Time(sec=seconds, nanosec=nanoseconds)


def image_message(pixels: NDArray[Any], stamp_ns: int, frame_id: str) -> Image:
    """Return a sensor_msgs/Image.

    Args:
        pixels: (H, W, 3) RGB uint8; or (H, W) bool or uint8, which becomes mono8.
        stamp_ns: Header stamp.
        frame_id: The camera's optical frame.
    """
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    message = Image()
    message.header.stamp = stamp_of(stamp_ns)
    message.header.frame_id = frame_id
    message.height, message.width = pixels.shape[:2]
    message.encoding = "rgb8" if pixels.ndim == 3 else "mono8"
    message.step = message.width * (3 if pixels.ndim == 3 else 1)
    # Anything but a buffer of bytes would be copied and checked value by value, in Python.
    message.data.frombytes(np.ascontiguousarray(pixels, dtype=np.uint8).tobytes())
    return message


def camera_info_message(camera: Camera, stamp_ns: int) -> CameraInfo:
    """Return the sensor_msgs/CameraInfo of an unrectified image of ``camera``."""
    pinhole = camera.model == "pinhole"
    message = CameraInfo()
    message.header.stamp = stamp_of(stamp_ns)
    message.header.frame_id = camera.frame_id
    message.height, message.width = camera.height, camera.width
    message.distortion_model = "plumb_bob" if pinhole else camera.model
    message.d = [0.0] * 5 if pinhole else camera.distortion.tolist()
    message.k = camera.K.reshape(-1)
    message.r = np.eye(3).reshape(-1)
    message.p = np.hstack([camera.K, np.zeros((3, 1))]).reshape(-1)
    return message


def transform_message(
    T_parent_child: NDArray[np.float64], parent: str, child: str, stamp_ns: int
) -> TransformStamped:
    """Return (4, 4) ``T_parent_child`` as geometry_msgs/TransformStamped."""
    message = TransformStamped()
    message.header.stamp = stamp_of(stamp_ns)
    message.header.frame_id = parent
    message.child_frame_id = child
    place, turn = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = T_parent_child[:3, 3].tolist()
    turn.x, turn.y, turn.z, turn.w = se3.quaternion_xyzw(T_parent_child).tolist()
    return message


def pose_message(T_frame_body: NDArray[np.float64]) -> Pose:
    """Return (4, 4) ``T_frame_body`` as geometry_msgs/Pose."""
    message = Pose()
    place, turn = message.position, message.orientation
    place.x, place.y, place.z = T_frame_body[:3, 3].tolist()
    turn.x, turn.y, turn.z, turn.w = se3.quaternion_xyzw(T_frame_body).tolist()
    return message


def diagnostic(
    name: str, level: str, sentence: str, values: Mapping[str, object], stamp_ns: int
) -> DiagnosticArray:
    """Return one status for /diagnostics.

    Args:
        name: Of the node, as "recorder: what it looks at".
        level: "ok", "warn", "error" or "stale".
        sentence: What there is to say.
        values: Figures, their units in the names.
        stamp_ns: Header stamp.
    """
    status = DiagnosticStatus(
        level=_LEVELS[level],
        name=name,
        message=sentence,
        hardware_id="calib_all_ros",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp_of(stamp_ns)
    return message
