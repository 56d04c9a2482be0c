# SPDX-License-Identifier: Apache-2.0
"""Serialised messages of a camera and a robot, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.collection.stream_writer import StreamMessage
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.bag_storage import CAMERA_INFO, IMAGE, JOINT_STATE, STRING
from calib_all_ros.recording.ros_messages import RosMessages
from calib_all_ros.robot.description import demo_urdf_path

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
IMAGE_TOPIC = "/cam/image_raw"
JOINTS = tuple(f"joint_{i}" for i in range(1, 8))
Motion = Callable[[float], ArrayLike]


class Scene:
    """A camera before the demo arm; builds the messages that a recorder would get."""

    def __init__(self) -> None:
        self.ros = RosMessages(is_ros2=True)
        K = np.array([[60.0, 0, 31.5], [0, 61.0, 23.5], [0, 0, 1]])
        self.camera = Camera(K, 64, 48, np.zeros(0), "pinhole", "cam_optical_frame")
        self.background = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        self.urdf = demo_urdf_path().read_text(encoding="utf-8")

    def picture(self, seconds: float) -> NDArray[np.uint8]:
        """A (48, 64, 3) image in which a bright bar wanders from left to right in 10 s."""
        picture = self.background.copy()
        left = int(6.4 * (seconds % 10.0))
        picture[10:40, left : left + 8] = 255
        return picture

    def image(
        self,
        seconds: float,
        *,
        stamp_offset_s: float = 0.0,
        pixels: NDArray[np.uint8] | None = None,
    ) -> StreamMessage:
        now_ns = START_NS + round(seconds * SECOND_NS)
        shown = self.picture(seconds) if pixels is None else pixels
        stamp_ns = now_ns + round(stamp_offset_s * SECOND_NS)
        message = self.ros.image(stamp_ns, self.camera.frame_id, shown, "rgb8")
        return self._message(IMAGE_TOPIC, IMAGE, now_ns, message)

    def info(self, seconds: float, camera: Camera | None = None) -> StreamMessage:
        now_ns = START_NS + round(seconds * SECOND_NS)
        message = self.ros.camera_info(now_ns, camera or self.camera)
        return self._message("/cam/camera_info", CAMERA_INFO, now_ns, message)

    def joints(
        self,
        seconds: float,
        positions: ArrayLike,
        names: Sequence[str] = JOINTS,
        *,
        topic: str = "/joint_states",
        stamp_offset_s: float = 0.0,
    ) -> StreamMessage:
        now_ns = START_NS + round(seconds * SECOND_NS)
        stamp_ns = now_ns + round(stamp_offset_s * SECOND_NS)
        message = self.ros.joint_state(stamp_ns, names, positions)
        return self._message(topic, JOINT_STATE, now_ns, message)

    def description(self, seconds: float = 0.0, urdf: str | None = None) -> StreamMessage:
        now_ns = START_NS + round(seconds * SECOND_NS)
        message = self.ros.string(urdf or self.urdf)
        return self._message("/robot_description", STRING, now_ns, message)._replace(latched=True)

    def stream(
        self,
        motion: Motion,
        duration_s: float,
        *,
        image_rate_hz: float = 10.0,
        joint_rate_hz: float = 100.0,
    ) -> Iterator[StreamMessage]:
        """All messages of a recording in the order of their receipt; the description first."""
        yield self.description()
        ratio = round(joint_rate_hz / image_rate_hz)
        for tick in range(round(duration_s * joint_rate_hz) + 1):
            seconds = tick / joint_rate_hz
            yield self.joints(seconds, motion(seconds))
            if tick % ratio == 0:
                yield self.info(seconds)
                yield self.image(seconds)

    def _message(self, topic: str, kind: str, now_ns: int, content: object) -> StreamMessage:
        return StreamMessage(topic, kind, now_ns, self.ros.serialised(content, kind))


def swinging(seconds: float, *, scale: float = 1.0) -> NDArray[np.float64]:
    """(7,) positions of an arm that uses all its joints."""
    rates = np.array([0.50, 0.37, 0.41, 0.33, 0.61, 0.47, 0.55])
    return np.asarray(scale * np.sin(rates * seconds + np.arange(7)))


@pytest.fixture(scope="session")
def scene() -> Scene:
    return Scene()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where recordings go."""
    return tmp_path / "recordings"
