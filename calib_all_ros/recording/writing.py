# SPDX-License-Identifier: Apache-2.0
"""Writing of recordings: the folder layout, and bags of ROS 2."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.bag_storage import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    JOINT_STATE,
    STRING,
)
from calib_all_ros.recording.camera_info import camera_document
from calib_all_ros.recording.folder import FRAMES_FOLDER, MASKS_FOLDER, URDF_FILE
from calib_all_ros.recording.image_coding import jpeg, png
from calib_all_ros.recording.recording import Mask, RgbImage
from calib_all_ros.recording.ros_messages import RosMessages

CAMERA_NAMESPACE = "/camera/color"
MASK_TOPIC = "/robot_mask/compressed"
_NO_LIMIT = QosTime(0, 0)
# As robot_state_publisher offers it: whoever subscribes later still gets it.
LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_NO_LIMIT,
    lifespan=_NO_LIMIT,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_NO_LIMIT,
    avoid_ros_namespace_conventions=False,
)


@dataclass(frozen=True, eq=False)
class JointSamples:
    """Joint states as they are recorded.

    Attributes:
        names: (J,) joints.
        stamps_ns: (T,) stamps.
        positions: (T, J) in radians or metres.
    """

    names: tuple[str, ...]
    stamps_ns: NDArray[np.int64]
    positions: NDArray[np.float64]


def write_folder(
    path: Path,
    *,
    images: Iterable[RgbImage],
    image_stamps_ns: Sequence[int] | NDArray[np.int64],
    joints: JointSamples,
    camera: Camera,
    urdf: str,
    T_camera_base: ArrayLike | None,
    base_frame: str,
    masks: Iterable[Mask] | None = None,
    jpeg_quality: int = 92,
) -> None:
    """Write a recording folder that `load_recording` reads.

    Args:
        path: Folder; made if it is not there.
        images: N RGB uint8 (H, W, 3) images.
        image_stamps_ns: (N,) stamps.
        joints: Joint states.
        camera: Camera of the images.
        urdf: XML text.
        T_camera_base: (4, 4) true pose, None if not known.
        base_frame: The robot's base.
        masks: N bool (H, W) robot masks.
        jpeg_quality: 0 to 100.
    """
    (path / FRAMES_FOLDER).mkdir(parents=True, exist_ok=True)
    stamps = [int(stamp) for stamp in image_stamps_ns]
    for index, (_, image) in enumerate(zip(stamps, images, strict=True)):
        (path / FRAMES_FOLDER / f"{index:06d}.jpg").write_bytes(jpeg(image, jpeg_quality))
    if masks is not None:
        (path / MASKS_FOLDER).mkdir(exist_ok=True)
        for index, (_, mask) in enumerate(zip(stamps, masks, strict=True)):
            (path / MASKS_FOLDER / f"{index:06d}.png").write_bytes(png(mask))
    documents: dict[str, Any] = {
        "timestamps.json": {"image_stamps_ns": stamps},
        "joint_states.json": {
            "names": list(joints.names),
            "stamps_ns": joints.stamps_ns.tolist(),
            "positions": joints.positions.tolist(),
        },
        "camera.json": camera_document(camera, base_frame, T_camera_base),
    }
    for name, document in documents.items():
        (path / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (path / URDF_FILE).write_text(urdf, encoding="utf-8")


def write_bag(
    path: Path,
    *,
    images: Iterable[RgbImage],
    image_stamps_ns: Sequence[int] | NDArray[np.int64],
    joints: JointSamples,
    camera: Camera,
    urdf: str,
    masks: Iterable[Mask] | None = None,
    jpeg_quality: int = 92,
    compressed: bool = True,
) -> None:
    """Write a rosbag2 (mcap) as `ros2 bag record` would have.

    Args:
        path: Folder of the bag; must not exist.
        images: N RGB uint8 (H, W, 3) images, taken one after the other.
        image_stamps_ns: (N,) increasing stamps.
        joints: Joint states.
        camera: Camera of the images.
        urdf: XML text.
        masks: N bool (H, W) robot masks, on /robot_mask/compressed.
        jpeg_quality: 0 to 100.
        compressed: JPEG on …/image_raw/compressed instead of rgb8 on …/image_raw.

    Raises:
        rosbags.rosbag2.WriterError: The folder exists.
    """
    ros = RosMessages(is_ros2=True)
    stamps = [int(stamp) for stamp in image_stamps_ns]
    frame = camera.frame_id
    image_topic = f"{CAMERA_NAMESPACE}/image_raw"

    def pictures() -> Iterator[_Message]:
        for stamp, image in zip(stamps, images, strict=True):
            if compressed:
                data = jpeg(image, jpeg_quality)
                message = ros.compressed_image(stamp, frame, data, "rgb8; jpeg compressed bgr8")
                yield _Message(stamp, f"{image_topic}/compressed", COMPRESSED_IMAGE, message)
            else:
                yield _Message(stamp, image_topic, IMAGE, ros.image(stamp, frame, image, "rgb8"))
            info = ros.camera_info(stamp, camera)
            yield _Message(stamp, f"{CAMERA_NAMESPACE}/camera_info", CAMERA_INFO, info)

    def robot_masks() -> Iterator[_Message]:
        for stamp, mask in () if masks is None else zip(stamps, masks, strict=True):
            message = ros.compressed_image(stamp, frame, png(mask), "mono8; png compressed mono8")
            yield _Message(stamp, MASK_TOPIC, COMPRESSED_IMAGE, message)

    def states() -> Iterator[_Message]:
        for stamp, row in zip(joints.stamps_ns, joints.positions, strict=True):
            message = ros.joint_state(int(stamp), joints.names, row)
            yield _Message(int(stamp), "/joint_states", JOINT_STATE, message)

    begin = min([*stamps[:1], *(int(stamp) for stamp in joints.stamps_ns[:1])])
    description = _Message(begin, "/robot_description", STRING, ros.string(urdf))
    sources = ([description], pictures(), robot_masks(), states())
    # Version 8 of the metadata is what ROS 2 Humble and Jazzy both read.
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for message in heapq.merge(*sources, key=lambda message: message.stamp_ns):
            if message.topic not in connections:
                connections[message.topic] = writer.add_connection(
                    message.topic,
                    message.kind,
                    typestore=ros.typestore,
                    offered_qos_profiles=[LATCHED] if message.kind == STRING else [],
                )
            data = ros.serialised(message.content, message.kind)
            writer.write(connections[message.topic], message.stamp_ns, data)


class _Message(NamedTuple):
    stamp_ns: int
    topic: str
    kind: str
    content: Any
