# SPDX-License-Identifier: Apache-2.0
"""Playback of a bag to a collector as if it were live, without waiting for the clock."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_typestore

from calib_all_ros.collection.collector import Collector
from calib_all_ros.collection.stream_writer import StreamMessage
from calib_all_ros.recording.bag import Bag
from calib_all_ros.recording.bag_storage import (
    JOINT_STATE,
    STRING,
    TF_MESSAGE,
    DamagedFileError,
    RawMessage,
    is_bag,
)
from calib_all_ros.recording.bag_topics import (
    choose_camera_info_topic,
    choose_image_topic,
    lacks,
    no_topic,
    robot_description_topics,
)
from calib_all_ros.recording.recording import RecordingError


@dataclass(frozen=True)
class BagTopics:
    """What to take from a bag; what is not named is found by its type.

    Attributes:
        image: Image topic.
        camera_info: Topic of the camera's description.
        joints: Topics of the joint states.
    """

    image: str = ""
    camera_info: str = ""
    joints: Sequence[str] = field(default=())


def play(
    path: Path,
    collector: Collector,
    folder: Path,
    topics: BagTopics | None = None,
    *,
    keep_on: Callable[[], bool] = lambda: True,
) -> None:
    """Record what of a bag a calibration needs, to the bag's end.

    The collector is left recording: look at its progress, then stop it.

    Args:
        path: Bag of ROS 1 or ROS 2, file or folder.
        collector: Made with ``in_background=False``.
        folder: Folder of the new recording.
        topics: What to take.
        keep_on: Asked before each message; the playback ends when it says no.

    Raises:
        RecordingError: There is no bag, or a topic is missing or ambiguous.
        CollectionError: The folder cannot be written to.
    """
    path = path.expanduser()
    if not path.exists() or not is_bag(path):
        raise RecordingError(
            f"{path} is no bag: give a folder with .mcap, .db3 or .bag files, or such a file"
        )
    bag = Bag(path)
    try:
        while True:
            try:
                _played(bag, collector, folder, topics or BagTopics(), keep_on)
                return
            except DamagedFileError as error:
                # What is left of the file takes its place; the recording begins anew.
                bag.salvage(error)
                collector.discard()
                collector.result(None)
    finally:
        bag.close()


def _played(
    bag: Bag,
    collector: Collector,
    folder: Path,
    topics: BagTopics,
    keep_on: Callable[[], bool],
) -> None:
    wanted = _topics(bag, topics)
    started = False
    for raw in bag.messages(wanted):
        if not keep_on() or collector.ended_by is not None:
            break
        if not started:
            collector.start(folder, raw.log_ns)
            started = True
        collector.add(_as_received(bag, raw))
    if not started:
        raise lacks(bag, f"no messages on {', '.join(wanted)}")


def _topics(bag: Bag, topics: BagTopics) -> list[str]:
    image, _ = choose_image_topic(bag, topics.image or None, None)
    camera_info, _ = choose_camera_info_topic(bag, image, topics.camera_info or None)
    states = bag.of_type(JOINT_STATE)
    for name in topics.joints:
        if name not in states:
            raise no_topic(bag, name, "JointState", states)
    if not states:
        raise lacks(bag, "no joint states")
    statics = [topic for topic in bag.of_type(TF_MESSAGE) if topic.endswith("/tf_static")]
    descriptions = robot_description_topics(bag)
    return [image, camera_info, *(topics.joints or states), *statics, *descriptions]


def _as_received(bag: Bag, raw: RawMessage) -> StreamMessage:
    kind = bag.topics[raw.topic]
    data = raw.data
    if not bag.is_ros2:
        data = bytes(_ros2_types().ros1_to_cdr(data, kind))
    return StreamMessage(raw.topic, kind, raw.log_ns, data, kind in (STRING, TF_MESSAGE))


@functools.cache
def _ros2_types() -> Any:
    return get_typestore(Stores.LATEST)
