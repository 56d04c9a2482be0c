# SPDX-License-Identifier: Apache-2.0
"""metadata.yaml of a rosbag2 folder, and what is written of a topic's quality of service."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import yaml

from calib_all_ros.collection.mcap_index import McapIndex
from calib_all_ros.recording.ros_messages import RosMessages

QOS_KEY = "offered_qos_profiles"

# As robot_state_publisher offers its description: `ros2 bag play` then latches it, too. Version 8
# of the metadata, which ROS 2 Humble and Jazzy both read, has the numbers of the middleware
# interface: keep last, reliable, transient local, automatic, no time limits.
_NO_LIMIT = {"sec": 9223372036, "nsec": 854775807}
_LATCHED_QOS = [
    {
        "history": 1,
        "depth": 1,
        "reliability": 1,
        "durability": 1,
        "deadline": _NO_LIMIT,
        "lifespan": _NO_LIMIT,
        "liveliness": 1,
        "liveliness_lease_duration": _NO_LIMIT,
        "avoid_ros_namespace_conventions": False,
    }
]


def offered_qos(latched: bool) -> str:
    """Return a topic's quality of service as rosbag2 stores it; "" leaves it to the player."""
    return _dumped(_LATCHED_QOS).strip() if latched else ""


@functools.cache
def definition(kind: str) -> str:
    """Return the definition of a message type with those of all types in it.

    Args:
        kind: One of ROS 2's common types, "sensor_msgs/msg/Image".
    """
    text, _ = _messages().typestore.generate_msgdef(kind, ros_version=2)
    return str(text)


def bag_metadata(file_name: str, index: McapIndex) -> str:
    """Return the text of metadata.yaml for a bag of one .mcap file."""
    kinds = {schema.id: schema.name for schema in index.schemas}
    span = {
        "starting_time": {"nanoseconds_since_epoch": index.first_ns},
        "duration": {"nanoseconds": index.last_ns - index.first_ns},
        "message_count": sum(index.counts.values()),
    }
    topics = [
        {
            "topic_metadata": _topic(channel.topic, kinds[channel.schema_id], channel.metadata),
            "message_count": index.counts.get(channel.id, 0),
        }
        for channel in index.channels
    ]
    information = {
        "version": 8,
        "storage_identifier": "mcap",
        **span,
        "topics_with_message_count": topics,
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file_name],
        "files": [{"path": file_name, **span}],
        "custom_data": None,
        "ros_distro": "rosbags",
    }
    return _dumped({"rosbag2_bagfile_information": information})


def _topic(name: str, kind: str, metadata: Mapping[str, str]) -> dict[str, str]:
    return {
        "name": name,
        "type": kind,
        "serialization_format": "cdr",
        QOS_KEY: metadata.get(QOS_KEY, ""),
        "type_description_hash": str(_messages().typestore.hash_rihs01(kind)),
    }


def _dumped(content: Any) -> str:
    return str(yaml.safe_dump(content, sort_keys=False))


@functools.cache
def _messages() -> RosMessages:
    return RosMessages(is_ros2=True)
