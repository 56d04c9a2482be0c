# SPDX-License-Identifier: Apache-2.0
"""Recordings of serialised messages: rosbag2 folders that survive the end of the process.

A recording under way is a folder NAME.unfinished; when it is finished it becomes NAME, whole. What
a recorder that was killed has left behind can be read as it is, and `complete_recording` makes
an ordinary bag of it.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mcap.summary import Summary

from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.mcap_file import Entry, McapFile, complete, is_being_written
from calib_all_ros.recording.ros_messages import RosMessages

UNFINISHED = ".unfinished"
_METADATA = "metadata.yaml"
_GIGABYTE = 1e9
_LOOK_AT_DISK_BYTES = 32 << 20
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


class StreamMessage(NamedTuple):
    """A serialised message.

    Attributes:
        topic: Its topic.
        kind: Its type, "sensor_msgs/msg/Image".
        log_ns: When it was received.
        data: CDR.
        latched: Whether the topic keeps its last message for late subscribers.
    """

    topic: str
    kind: str
    log_ns: int
    data: bytes
    latched: bool = False


@dataclass(frozen=True)
class StorageLimits:
    """When to stop recording for want of space.

    Attributes:
        max_gigabytes: Size of a recording.
        min_free_gigabytes: What is left free on the disk.
    """

    max_gigabytes: float = 20.0
    min_free_gigabytes: float = 2.0


class StorageFullError(CollectionError):
    """The recording has reached a limit; what was recorded before is good."""


class BagStream:
    """Writes one recording.

    Attributes:
        path: Folder of the finished recording.
        unfinished: Folder until then.
        bytes_written: Size of its file.
        counts: Messages of each topic.
    """

    def __init__(self, path: Path, limits: StorageLimits | None = None) -> None:
        """Make the folder NAME.unfinished beside ``path``; a name in use gets a number behind.

        Raises:
            CollectionError: The folder cannot be made or written to.
            StorageFullError: There is too little space to begin with.
        """
        self._limits = limits or StorageLimits()
        self.path, self.unfinished = _made(path.expanduser().absolute())
        self.counts: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._name = f"{self.path.name}_0.mcap"
        self._next_look = 0
        try:
            self._file = McapFile(self.unfinished / self._name)
        except OSError as error:
            self.unfinished.rmdir()
            raise self._failed(error) from error
        try:
            self._check_space(0)
        except StorageFullError:
            self.discard()
            raise

    @property
    def bytes_written(self) -> int:
        """Size of its file."""
        return self._file.size

    def write(self, messages: Sequence[StreamMessage]) -> None:
        """Write messages; when this returns, they survive the end of the process.

        Raises:
            StorageFullError: A limit is reached; none of these messages was written.
            CollectionError: The disk is full or broken.
        """
        self._check_space(sum(len(message.data) for message in messages))
        try:
            for message in messages:
                if message.topic not in self._channels:
                    self._add_topic(message)
            self._file.append([Entry(self._channels[m.topic], m.log_ns, m.data) for m in messages])
        except OSError as error:
            raise self._failed(error) from error
        for message in messages:
            self.counts[message.topic] += 1

    def close(self) -> Path:
        """Finish the recording and return its folder, which appears whole.

        Raises:
            CollectionError: The disk is full or broken; the unfinished folder stays.
        """
        try:
            summary = self._file.finish()
            return _published(self.unfinished, self.path, self._name, summary)
        except OSError as error:
            raise self._failed(error) from error

    def discard(self) -> None:
        """Delete the recording."""
        self._file.abandon()
        shutil.rmtree(self.unfinished, ignore_errors=True)

    def _add_topic(self, message: StreamMessage) -> None:
        self._channels[message.topic] = self._file.add_channel(
            message.topic,
            message.kind,
            definition(message.kind),
            {QOS_KEY: offered_qos(message.latched)},
        )
        self.counts[message.topic] = 0

    def _check_space(self, more_bytes: int) -> None:
        size = self.bytes_written + more_bytes
        if size > self._limits.max_gigabytes * _GIGABYTE:
            raise StorageFullError(
                f"the recording has reached {self._limits.max_gigabytes:g} GB (max_gigabytes): "
                "calibrate from what there is, record a smaller or compressed image topic, or "
                "raise the limit"
            )
        if size < self._next_look:
            return
        self._next_look = size + _LOOK_AT_DISK_BYTES
        free = shutil.disk_usage(self.unfinished).free
        if free < self._limits.min_free_gigabytes * _GIGABYTE:
            raise StorageFullError(
                f"only {free / _GIGABYTE:.1f} GB are free at {self.path.parent}, "
                f"{self._limits.min_free_gigabytes:g} GB (min_free_gigabytes) are left alone: "
                "delete old recordings there, or record to another folder"
            )

    def _failed(self, error: OSError) -> CollectionError:
        return CollectionError(
            f"cannot record to {self.unfinished} ({error.strerror or error}): make space there, "
            "or record to another folder"
        )


def recording_name() -> str:
    """Return a name for a recording that is begun now."""
    return time.strftime("%Y-%m-%d_%H-%M-%S")


def interrupted_recordings(folder: Path) -> list[Path]:
    """Return the recordings in a folder that were never finished and are not under way."""
    found = []
    for path in sorted(folder.glob(f"*{UNFINISHED}")):
        files = list(path.glob("*.mcap"))
        if len(files) == 1 and not is_being_written(files[0]):
            found.append(path)
    return found


def complete_recording(unfinished: Path) -> Path:
    """Make an ordinary bag of what a recorder that was killed has left, and return its folder.

    Raises:
        CollectionError: It is still being recorded to, or was not written by `BagStream`.
    """
    files = list(unfinished.glob("*.mcap"))
    if len(files) != 1:
        raise CollectionError(
            f"{unfinished} holds {len(files)} .mcap files, an unfinished recording has one: look "
            "into the folder"
        )
    try:
        summary = complete(files[0])
        target = unfinished.with_name(unfinished.name.removesuffix(UNFINISHED))
        return _published(unfinished, target, files[0].name, summary)
    except OSError as error:
        raise CollectionError(
            f"cannot complete {unfinished} ({error.strerror or error}): make space there, and "
            "allow writing"
        ) from error


def _made(path: Path) -> tuple[Path, Path]:
    """Make the unfinished folder for ``path``, or for the first numbered name that is free."""
    number = 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            target = path if number == 1 else path.with_name(f"{path.name}-{number}")
            unfinished = target.with_name(target.name + UNFINISHED)
            number += 1
            with contextlib.suppress(FileExistsError):
                if not target.exists():
                    unfinished.mkdir()
                    return target, unfinished
    except OSError as error:
        raise CollectionError(
            f"cannot make the folder {path}{UNFINISHED} ({error.strerror or error}): name a folder "
            "you can write to"
        ) from error


def _published(unfinished: Path, target: Path, file_name: str, summary: Summary) -> Path:
    """Add metadata.yaml and give the folder its final name."""
    temporary = unfinished / f"{_METADATA}.tmp"
    temporary.write_text(bag_metadata(file_name, summary), encoding="utf-8")
    temporary.replace(unfinished / _METADATA)
    unfinished.rename(target)
    return target


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


def bag_metadata(file_name: str, summary: Summary) -> str:
    """Return the text of metadata.yaml for a bag of one .mcap file."""
    told = summary.statistics
    assert told is not None
    span = {
        "starting_time": {"nanoseconds_since_epoch": told.message_start_time},
        "duration": {"nanoseconds": told.message_end_time - told.message_start_time},
        "message_count": told.message_count,
    }
    topics = [
        {
            "topic_metadata": _topic(
                channel.topic, summary.schemas[channel.schema_id].name, channel.metadata
            ),
            "message_count": told.channel_message_counts.get(channel.id, 0),
        }
        for channel in summary.channels.values()
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
