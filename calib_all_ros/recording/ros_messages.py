# SPDX-License-Identifier: Apache-2.0
"""Messages of ROS 1 and ROS 2 built without ROS, ready to be written to a bag."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rosbags.typesys import Stores, get_typestore

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.frame_tree import StaticTransform

_SECOND_NS = 1_000_000_000


class RosMessages:
    """Builds and serialises the messages that this package reads.

    Attributes:
        is_ros2: Whether they are those of ROS 2.
        typestore: The rosbags typestore that knows their definitions.
    """

    def __init__(self, *, is_ros2: bool) -> None:
        """Load the definitions."""
        self.is_ros2 = is_ros2
        self.typestore: Any = get_typestore(Stores.LATEST if is_ros2 else Stores.ROS1_NOETIC)

    def image(
        self,
        stamp_ns: int,
        frame_id: str,
        pixels: NDArray[np.uint8] | NDArray[np.uint16],
        encoding: str,
    ) -> Any:
        """Return a sensor_msgs/Image of (H, W) or (H, W, channels) pixels without padding."""
        rows = np.ascontiguousarray(pixels.reshape(len(pixels), -1)).view(np.uint8)
        return self._new("sensor_msgs/msg/Image")(
            header=self._header(stamp_ns, frame_id),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=int(sys.byteorder == "big"),
            step=rows.shape[1],
            data=rows.reshape(-1),
        )

    def compressed_image(self, stamp_ns: int, frame_id: str, data: bytes, image_format: str) -> Any:
        """Return a sensor_msgs/CompressedImage of JPEG or PNG bytes."""
        return self._new("sensor_msgs/msg/CompressedImage")(
            header=self._header(stamp_ns, frame_id),
            format=image_format,
            data=np.frombuffer(data, dtype=np.uint8),
        )

    def camera_info(self, stamp_ns: int, camera: Camera) -> Any:
        """Return the sensor_msgs/CameraInfo of an unrectified camera without binning or ROI."""
        pinhole = camera.model == "pinhole"
        P = np.hstack([camera.K, np.zeros((3, 1))])
        matrices = {
            "d": np.zeros(5) if pinhole else camera.distortion,
            "k": camera.K.flatten(),
            "r": np.eye(3).reshape(-1),
            "p": P.reshape(-1),
        }
        fields = {name if self.is_ros2 else name.upper(): m for name, m in matrices.items()}
        region = self._new("sensor_msgs/msg/RegionOfInterest")
        return self._new("sensor_msgs/msg/CameraInfo")(
            header=self._header(stamp_ns, camera.frame_id),
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob" if pinhole else camera.model,
            binning_x=0,
            binning_y=0,
            roi=region(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
            **fields,
        )

    def joint_state(self, stamp_ns: int, names: Sequence[str], positions: ArrayLike) -> Any:
        """Return a sensor_msgs/JointState of (J,) positions in radians or metres."""
        nothing: NDArray[np.float64] = np.zeros(0)
        return self._new("sensor_msgs/msg/JointState")(
            header=self._header(stamp_ns, ""),
            name=list(names),
            position=np.asarray(positions, dtype=np.float64),
            velocity=nothing,
            effort=nothing,
        )

    def string(self, text: str) -> Any:
        """Return a std_msgs/String."""
        return self._new("std_msgs/msg/String")(data=text)

    def pose_stamped(self, stamp_ns: int, frame_id: str, T_frame_object: ArrayLike) -> Any:
        """Return the geometry_msgs/PoseStamped of a (4, 4) pose in a frame, metres."""
        T = np.asarray(T_frame_object, dtype=np.float64)
        x, y, z, w = map(float, se3.quaternion_xyzw(T))
        quaternion = self._new("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w)
        pose = self._new("geometry_msgs/msg/Pose")
        return self._new("geometry_msgs/msg/PoseStamped")(
            header=self._header(stamp_ns, frame_id),
            pose=pose(position=self._point(T[:3, 3]), orientation=quaternion),
        )

    def point_stamped(self, stamp_ns: int, frame_id: str, point: ArrayLike) -> Any:
        """Return the geometry_msgs/PointStamped of three numbers."""
        return self._new("geometry_msgs/msg/PointStamped")(
            header=self._header(stamp_ns, frame_id), point=self._point(point)
        )

    def static_transform(self, stamp_ns: int, edge: StaticTransform) -> Any:
        """Return a tf2_msgs/TFMessage of one edge."""
        x, y, z = map(float, edge.T_parent_child[:3, 3])
        translation = self._new("geometry_msgs/msg/Vector3")(x=x, y=y, z=z)
        pose = self.pose_stamped(stamp_ns, edge.parent, edge.T_parent_child)
        transform = self._new("geometry_msgs/msg/Transform")
        stamped = self._new("geometry_msgs/msg/TransformStamped")(
            header=pose.header,
            child_frame_id=edge.child,
            transform=transform(translation=translation, rotation=pose.pose.orientation),
        )
        return self._new("tf2_msgs/msg/TFMessage")(transforms=[stamped])

    def serialised(self, message: Any, kind: str) -> bytes:
        """Return a message of the type ``kind`` ("sensor_msgs/msg/Image") as bytes."""
        if self.is_ros2:
            return bytes(self.typestore.serialize_cdr(message, kind))
        return bytes(self.typestore.serialize_ros1(message, kind))

    def _new(self, kind: str) -> Any:
        return self.typestore.types[kind]

    def _point(self, point: ArrayLike) -> Any:
        x, y, z = map(float, np.asarray(point))
        return self._new("geometry_msgs/msg/Point")(x=x, y=y, z=z)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(int(stamp_ns), _SECOND_NS)
        stamp = self._new("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)
        fields: dict[str, Any] = {} if self.is_ros2 else {"seq": 0}
        return self._new("std_msgs/msg/Header")(stamp=stamp, frame_id=frame_id, **fields)
