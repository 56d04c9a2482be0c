# SPDX-License-Identifier: Apache-2.0
"""Gives the .mcap file of a recorder that was killed the index that it lacks."""

from __future__ import annotations

import fcntl
import functools
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, MessageIndex, Schema

from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.mcap_index import (
    CHUNK_HEAD,
    MESSAGE_HEAD,
    RECORD_HEAD,
    McapIndex,
    OpenChunk,
    file_start,
)
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


_WRITTEN = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.CHUNK, Opcode.MESSAGE_INDEX)


def is_being_written(path: Path) -> bool:
    """Return whether a process is still recording to the file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def complete(path: Path) -> McapIndex:
    """Write index and end of a file that `McapFile` did not finish; half a message is cut off.

    Only headers and indexes are read, so that gigabytes take a moment.

    Raises:
        CollectionError: The file is not one of `McapFile`, or is being recorded to.
        OSError: It cannot be read or written.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CollectionError(
                f"{path} is being recorded to: stop that recorder before completing its file"
            ) from None
        if file.read(len(file_start())) != file_start():
            raise CollectionError(f"{path} was not written by the recorder: it is left as it is")
        index = McapIndex()
        end, last = _scanned(file, size, index)
        if last is not None:
            chunk = _walked(file, size, last)
            index.add_chunk(chunk.index(), chunk.first_ns, chunk.last_ns, chunk.counts)
            file.seek(chunk.start)
            file.write(chunk.head())
            file.seek(chunk.end)
            file.write(chunk.message_indexes())
            end = file.tell()
        file.seek(end)
        file.write(index.tail(end))
        file.truncate()
    return index


def _scanned(file: BinaryIO, size: int, index: McapIndex) -> tuple[int, int | None]:
    """Collect what is whole.

    Returns:
        Where it ends, and where the last chunk begins if nothing says that it is whole.
    """
    end = file.tell()
    chunk: OpenChunk | None = None
    while len(head := file.read(RECORD_HEAD.size)) == RECORD_HEAD.size:
        opcode, length = RECORD_HEAD.unpack(head)
        start = file.tell() - RECORD_HEAD.size
        whole = opcode == Opcode.CHUNK or file.tell() + length <= size
        if opcode not in _WRITTEN or not whole:
            break
        # A chunk is whole if something other than its own index follows it.
        if chunk is not None and opcode != Opcode.MESSAGE_INDEX:
            index.add_chunk(chunk.index(), chunk.first_ns, chunk.last_ns, chunk.counts)
            chunk = None
        if opcode == Opcode.CHUNK:
            file.seek(start)
            chunk = OpenChunk.of_header(start, file.read(CHUNK_HEAD.size))
            file.seek(start + RECORD_HEAD.size + length)
            continue
        body = ReadDataStream(BytesIO(file.read(length)))
        if opcode == Opcode.SCHEMA:
            index.schemas.append(Schema.read(body))
        elif opcode == Opcode.CHANNEL:
            index.channels.append(Channel.read(body))
        elif chunk is not None:
            chunk.take(MessageIndex.read(body))
        end = file.tell()
    return end, None if chunk is None else chunk.start


def _walked(file: BinaryIO, size: int, start: int) -> OpenChunk:
    """Return the chunk of all whole messages from ``start`` on, whatever its header says."""
    chunk = OpenChunk(start)
    while True:
        file.seek(chunk.end)
        head = file.read(MESSAGE_HEAD.size)
        if len(head) < MESSAGE_HEAD.size:
            return chunk
        opcode, length, channel, _, log_ns, _ = MESSAGE_HEAD.unpack(head)
        if opcode != Opcode.MESSAGE or chunk.end + RECORD_HEAD.size + length > size:
            return chunk
        chunk.add(channel, log_ns, RECORD_HEAD.size + length)
