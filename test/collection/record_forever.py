# SPDX-License-Identifier: Apache-2.0
"""Records images and joint states until it is killed, and tells how many images."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import numpy as np

from calib_all_ros.collection.stream_writer import BagStream, StreamMessage
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.bag_storage import CAMERA_INFO, IMAGE, JOINT_STATE
from calib_all_ros.recording.ros_messages import RosMessages

START_NS = 1_700_000_000_000_000_000


def main() -> None:
    ros = RosMessages(is_ros2=True)
    camera = Camera(np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]), 640, 480, np.zeros(0))
    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    stream = BagStream(Path(sys.argv[1]))

    def write(topic: str, kind: str, stamp_ns: int, message: object) -> None:
        data = ros.serialised(message, kind)
        stream.write([StreamMessage(topic, kind, stamp_ns, data)])

    for number in count():
        now_ns = START_NS + number * 30_000_000
        for step in range(3):
            stamp_ns = now_ns + step * 10_000_000
            state = ros.joint_state(stamp_ns, ("a", "b"), (0.1 * number, 0.0))
            write("/joint_states", JOINT_STATE, stamp_ns, state)
        pixels[:2] = number % 256
        write(
            "/cam/image_raw", IMAGE, now_ns, ros.image(now_ns, "cam_optical_frame", pixels, "rgb8")
        )
        write("/cam/camera_info", CAMERA_INFO, now_ns, ros.camera_info(now_ns, camera))
        print(number + 1, flush=True)


if __name__ == "__main__":
    main()
