# SPDX-License-Identifier: Apache-2.0
"""Publishes a recording as a camera's and a robot's drivers would: `player.py '{"recording": …}'`.

A program of its own, so that what the tests look at goes through the middleware. Every stamp is
moved so that the recording happens now, or kept when the player is the clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from calib_all_ros.loading import load_recording
from calib_all_ros.nodes.messages import (
    LATCHED,
    camera_info_message,
    image_message,
    stamp_of,
    transform_message,
)
from calib_all_ros.recording.image_coding import jpeg
from calib_all_ros.recording.recording import Recording

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Play:
    """What to publish, and with which troubles."""

    recording: str
    camera: str = "camera"
    compressed: bool = False
    reliable: bool = True
    joint_rate_hz: float = 100.0
    joint_publishers: int = 1
    speed: float = 1.0
    loops: int = 1
    image_lag_s: float = 0.0
    """Images are stamped so much too late."""
    camera_info_after_s: float = 0.0
    joint_gap_s: tuple[float, float] = (0.0, 0.0)
    """No joint states between these times after the start."""
    last_image_s: float = 1e9
    description: bool = True
    clock: bool = False
    """Keep the recording's stamps and publish /clock."""
    static_edges: list[tuple[str, str, list[list[float]]]] = field(default_factory=list)
    """(parent, child, T_parent_child) on /tf_static."""
    frame_id: str = ""
    wait_for_subscribers: bool = True


Event = tuple[float, Callable[[int], None]]


class Player(Node):  # type: ignore[misc]
    """Publishers, and what to publish when."""

    def __init__(self, play: Play) -> None:
        super().__init__("player")
        self.play = play
        self.recording: Recording = load_recording(play.recording)
        sensor = QoSProfile(
            depth=10,
            reliability=ReliabilityPolicy.RELIABLE
            if play.reliable
            else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.VOLATILE,
        )
        kind = CompressedImage if play.compressed else Image
        topic = f"{play.camera}/image_raw{'/compressed' if play.compressed else ''}"
        self.images = self.create_publisher(kind, topic, sensor)
        self.infos = self.create_publisher(CameraInfo, f"{play.camera}/camera_info", sensor)
        self.joints = [
            self.create_publisher(JointState, "joint_states", 100)
            for _ in range(play.joint_publishers)
        ]
        self.clock = self.create_publisher(Clock, "/clock", 10) if play.clock else None
        if play.description and self.recording.urdf:
            self.description = self.create_publisher(String, "robot_description", LATCHED)
            self.description.publish(String(data=self.recording.urdf))
        if play.static_edges:
            self.static = self.create_publisher(TFMessage, "/tf_static", LATCHED)
            edges: list[TransformStamped] = [
                transform_message(np.array(T), parent, child, 0)
                for parent, child, T in play.static_edges
            ]
            self.static.publish(TFMessage(transforms=edges))

    def matched(self) -> bool:
        """Whether somebody listens to images and to joint states."""
        everyone = (self.images, *self.joints)
        return all(publisher.get_subscription_count() > 0 for publisher in everyone)

    def run(self) -> None:
        """Publish everything at its time."""
        first = int(self.recording.image_stamps_ns[0])
        schedule = sorted(self._events(first), key=lambda event: event[0])
        length_s = schedule[-1][0] + 1 / self.play.joint_rate_hz
        while self.play.wait_for_subscribers and not self.matched():
            time.sleep(0.02)
        for loop in range(self.play.loops):
            started = time.monotonic()
            began_ns = first if self.play.clock else time.time_ns()
            began_ns += round(loop * length_s * NS_PER_S) if self.play.clock else 0
            for when_s, publish in schedule:
                wait = started + when_s / self.play.speed - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                now_ns = began_ns + round(when_s * NS_PER_S)
                if self.clock is not None:
                    self.clock.publish(Clock(clock=stamp_of(now_ns)))
                publish(now_ns)

    def _events(self, first: int) -> Iterator[Event]:
        yield from self._image_events(first)
        yield from self._joint_events(first)

    def _image_events(self, first: int) -> Iterator[Event]:
        play, camera = self.play, self.recording.camera
        frame = play.frame_id or camera.frame_id
        lag_ns = round(play.image_lag_s * NS_PER_S)
        for number, stamp in enumerate(self.recording.image_stamps_ns):
            when_s = (int(stamp) - first) / NS_PER_S
            if when_s > play.last_image_s:
                return
            pixels = self.recording.images[number]
            message: Any
            if play.compressed:
                message = CompressedImage(format="rgb8; jpeg compressed bgr8")
                message.header.frame_id = frame
                message.data.frombytes(jpeg(pixels, 95))
            else:
                message = image_message(pixels, 0, frame)
            info = camera_info_message(camera, 0)
            info.header.frame_id = frame

            def publish(
                now_ns: int, message: Any = message, info: Any = info, at: float = when_s
            ) -> None:
                message.header.stamp = info.header.stamp = stamp_of(now_ns + lag_ns)
                self.images.publish(message)
                if at >= play.camera_info_after_s:
                    self.infos.publish(info)

            yield when_s, publish

    def _joint_events(self, first: int) -> Iterator[Event]:
        play, joints = self.play, self.recording.joints
        start, end = joints.span(joints.names)
        stamps = np.arange(start, end, round(NS_PER_S / play.joint_rate_hz))
        positions, valid = joints.at(stamps, joints.names)
        groups = np.array_split(np.arange(len(joints.names)), play.joint_publishers)
        for stamp, row, known in zip(stamps, positions, valid, strict=True):
            when_s = (int(stamp) - first) / NS_PER_S
            if not known or play.joint_gap_s[0] <= when_s < play.joint_gap_s[1]:
                continue

            def publish(now_ns: int, row: Any = row) -> None:
                for publisher, group in zip(self.joints, groups, strict=True):
                    names = [joints.names[i] for i in group]
                    message = JointState(name=names, position=row[group].tolist())
                    message.header.stamp = stamp_of(now_ns)
                    publisher.publish(message)

            yield when_s, publish


def main() -> None:
    rclpy.init()
    options = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    player = Player(Play(**options))
    player.run()
    # What was published last is still on its way; whoever started the player ends it.
    print("played", flush=True)
    rclpy.spin(player)


if __name__ == "__main__":
    main()
