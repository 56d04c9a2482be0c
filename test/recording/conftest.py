# SPDX-License-Identifier: Apache-2.0
"""Small bags of every kind, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.image_coding import jpeg, png
from calib_all_ros.recording.ros_messages import RosMessages

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
JOINT_STATE = "sensor_msgs/msg/JointState"
STRING = "std_msgs/msg/String"
URDF = '<robot name="r"><link name="base"/></robot>'


class Message(NamedTuple):
    stamp_ns: int
    topic: str
    kind: str
    content: Any


class BagMaker:
    """Builds messages and writes them in any format; a recording of 6 images at 10 Hz."""

    frames = 6
    start_ns = 1_700_000_000_123_456_789
    period_ns = 100_000_000
    joints = ("a", "b")

    def __init__(self, folder: Path, *, is_ros2: bool = True) -> None:
        self.folder = folder
        self.ros = RosMessages(is_ros2=is_ros2)
        K = np.array([[60.0, 0, 31.5], [0, 61.0, 23.5], [0, 0, 1]])
        self.camera = Camera(K, 64, 48, np.zeros(0), "pinhole", "cam_optical_frame")
        self.stamps = [self.start_ns + i * self.period_ns for i in range(self.frames)]

    @staticmethod
    def picture(index: int) -> NDArray[np.uint8]:
        """A smooth colourful (48, 64, 3) image that differs from frame to frame."""
        v, u = np.mgrid[:48, :64]
        return np.stack([u * 3, v * 4, np.full_like(u, 30 * index)], axis=-1).astype(np.uint8)

    @staticmethod
    def mask(index: int) -> NDArray[np.bool_]:
        """A (48, 64) mask that differs from frame to frame."""
        return np.mgrid[:48, :64][1] < 10 + index

    def position(self, stamp_ns: int) -> NDArray[np.float64]:
        """Joints that move linearly, so that interpolation is exact."""
        seconds = (stamp_ns - self.start_ns) / 1e9
        return np.array([0.5 * seconds, 1.0 - seconds])

    def images(self, topic: str = "/cam/image_raw", encoding: str = "rgb8") -> list[Message]:
        channels = slice(None, None, -1 if encoding == "bgr8" else 1)
        return [
            Message(
                s,
                topic,
                IMAGE,
                self.ros.image(s, self.camera.frame_id, self.picture(i)[..., channels], encoding),
            )
            for i, s in enumerate(self.stamps)
        ]

    def jpegs(self, topic: str = "/cam/image_raw/compressed") -> list[Message]:
        return [
            Message(s, topic, COMPRESSED, self.compressed(s, jpeg(self.picture(i), 95)))
            for i, s in enumerate(self.stamps)
        ]

    def masks(self, topic: str = "/robot_mask/compressed", late_ns: int = 0) -> list[Message]:
        return [
            Message(s + late_ns, topic, COMPRESSED, self.compressed(s + late_ns, png(self.mask(i))))
            for i, s in enumerate(self.stamps)
        ]

    def compressed(self, stamp_ns: int, data: bytes, image_format: str = "jpeg") -> Any:
        return self.ros.compressed_image(stamp_ns, self.camera.frame_id, data, image_format)

    def infos(self, topic: str = "/cam/camera_info", camera: Camera | None = None) -> list[Message]:
        camera = camera or self.camera
        return [
            Message(s, topic, CAMERA_INFO, self.ros.camera_info(s, camera)) for s in self.stamps
        ]

    def states(
        self, topic: str = "/joint_states", names: Sequence[str] = joints, offset: float = 0.0
    ) -> list[Message]:
        """Joint states at 50 Hz, from before the first image until after the last."""
        stamps = range(self.start_ns - 15_000_000, self.stamps[-1] + 40_000_000, 20_000_000)
        columns = [self.joints.index(n) for n in names if n in self.joints]
        messages = []
        for s in stamps:
            row = self.position(s)[columns] + offset
            messages.append(Message(s, topic, JOINT_STATE, self.ros.joint_state(s, names, row)))
        return messages

    def description(self) -> list[Message]:
        return [
            Message(self.start_ns - 1, "/robot_description", STRING, self.ros.string(URDF)),
        ]

    def everything(self) -> list[Message]:
        return self.images() + self.infos() + self.states() + self.description()

    def write(
        self,
        messages: Sequence[Message],
        name: str = "bag",
        storage: StoragePlugin = StoragePlugin.MCAP,
        compression: CompressionMode = CompressionMode.NONE,
    ) -> Path:
        """Write a rosbag2 and return its folder."""
        path = self.folder / name
        writer = rosbag2.Writer(path, version=8, storage_plugin=storage)
        writer.set_compression(compression, CompressionFormat.ZSTD)
        with writer:
            self._fill(writer, messages)
        return path

    def write_ros1(
        self,
        messages: Sequence[Message],
        name: str = "old.bag",
        compression: rosbag1.Writer.CompressionFormat | None = None,
    ) -> Path:
        """Write a rosbag1 and return its file."""
        path = self.folder / name
        writer = rosbag1.Writer(path)
        if compression is not None:
            writer.set_compression(compression)
        with writer:
            self._fill(writer, messages)
        return path

    def write_split(self, messages: Sequence[Message], storage: StoragePlugin) -> Path:
        """Write a rosbag2 of three files and return its folder."""
        ordered = sorted(messages, key=lambda m: m.stamp_ns)
        third = -(-len(ordered) // 3)
        joined = self.folder / "split"
        joined.mkdir()
        files = []
        for part in range(3):
            piece = ordered[part * third : (part + 1) * third]
            folder = self.write(piece, f"part{part}", storage)
            (file,) = (p for p in folder.iterdir() if p.name != "metadata.yaml")
            target = joined / f"split_{part}{file.suffix}"
            file.rename(target)
            files.append({"path": target.name, "message_count": len(piece)})
        metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
        information = metadata["rosbag2_bagfile_information"]
        information["relative_file_paths"] = [file["path"] for file in files]
        information["files"] = files
        information["message_count"] = len(ordered)
        (joined / "metadata.yaml").write_text(yaml.safe_dump(metadata))
        return joined

    def _fill(self, writer: Any, messages: Sequence[Message]) -> None:
        connections: dict[str, Any] = {}
        for message in sorted(messages, key=lambda m: m.stamp_ns):
            if message.topic not in connections:
                connections[message.topic] = writer.add_connection(
                    message.topic, message.kind, typestore=self.ros.typestore
                )
            data = self.ros.serialised(message.content, message.kind)
            writer.write(connections[message.topic], message.stamp_ns, data)


@pytest.fixture
def bags(tmp_path: Path) -> BagMaker:
    return BagMaker(tmp_path)


@pytest.fixture
def bags1(tmp_path: Path) -> BagMaker:
    return BagMaker(tmp_path, is_ros2=False)
