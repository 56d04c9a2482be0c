# SPDX-License-Identifier: Apache-2.0
"""An .mcap file that holds every message once `McapFile.append` returns, and its completion.

The mcap library writes it. Each `append` ends a chunk, which goes to the operating system whole or
not at all; a process that is killed therefore loses nothing that was appended. Its file only lacks
the summary at the end, which `complete` adds.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, cast

from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema
from mcap.summary import Summary
from mcap.writer import CompressionType, Writer

from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.recording.bag_recovery import mcap_records

LIBRARY = "calib_all_ros"
# Readers take in a whole chunk to get at one message: a few images each are a good size.
CHUNK_BYTES = 4 << 20
_START = b"\x89MCAP0\r\n"
_COMPLETED = ".completed"
_AS_IT_IS = CompressionType.NONE


class Entry(NamedTuple):
    """One message: its channel, its log time in nanoseconds, and its bytes."""

    channel: int
    log_ns: int
    data: bytes


class McapFile:
    """Appends messages to a new .mcap file, and holds a lock on it until it is closed.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Make the file.

        Raises:
            OSError: It exists, or cannot be written.
        """
        self.path = path
        self._failed = False
        self._output = _WholeWrites(path)
        # The library's types do not tell what it needs of an output, nor what its methods return.
        self._writer: Any = Writer(cast("IO[bytes]", self._output), CHUNK_BYTES, _AS_IT_IS)
        self._writer.start("ros2", LIBRARY)
        self._output.flush()

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._output.size

    def add_channel(self, topic: str, kind: str, definition: str, metadata: dict[str, str]) -> int:
        """Announce a topic and return its channel number.

        Args:
            topic: Its name.
            kind: Message type, "sensor_msgs/msg/Image".
            definition: The type's definition, those of the types in it included ("ros2msg").
            metadata: Kept with the channel.
        """
        schema = self._writer.register_schema(kind, "ros2msg", definition.encode())
        channel: int = self._writer.register_channel(topic, "cdr", schema, metadata)
        return channel

    def append(self, entries: Sequence[Entry]) -> None:
        """Append messages; when this returns, they survive the end of the process.

        Raises:
            OSError: The disk is full or broken; what was appended before is still good, and
                nothing more can be appended.
        """
        if self._failed:
            raise OSError(f"{self.path} could not be written to before")
        try:
            for channel, log_ns, data in entries:
                self._writer.add_message(channel, log_ns, data, log_ns)
            self._writer.flush()
        except OSError:
            self._failed = True
            raise

    def finish(self) -> Summary:
        """Write the summary, close the file and return what it says.

        Raises:
            OSError: The disk is full or broken; the file can be completed later.
        """
        try:
            if not self._failed:
                self._writer.finish()
                self._writer.flush()
        finally:
            self.abandon()
        return complete(self.path) if self._failed else summary_of(self.path)

    def abandon(self) -> None:
        """Close the file as it is."""
        self._output.close()


class _WholeWrites:
    """A new, locked file that takes what is written between two flushes as a whole."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.size = 0

    def write(self, data: bytes) -> int:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size + self._waiting_bytes

    def flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        end = self.size
        try:
            for data in waiting:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._file, rest) :]
                end += len(data)
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size = end

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_being_written(path: Path) -> bool:
    """Return whether a process is still recording to the file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def complete(path: Path) -> Summary:
    """Make a whole file of one that `McapFile` did not finish, and return what it says.

    All whole messages are copied to a new file, which then takes the place of the old one.

    Raises:
        CollectionError: The file is not one of `McapFile`, or is being recorded to.
        OSError: It cannot be read, or there is no space for the copy.
    """
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CollectionError(
                f"{path} is being recorded to: stop that recorder before completing its file"
            ) from None
        if LIBRARY.encode() not in file.read(64) or not _starts_an_mcap(file):
            raise CollectionError(f"{path} was not written by the recorder: it is left as it is")
        copy = path.with_name(path.name + _COMPLETED)
        try:
            with copy.open("wb") as target:
                _copy(file, path.stat().st_size, target)
            copy.replace(path)
        finally:
            copy.unlink(missing_ok=True)
    return summary_of(path)


def summary_of(path: Path) -> Summary:
    """Return the summary of a finished file."""
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    return summary


def _starts_an_mcap(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(len(_START)) == _START


def _copy(file: BinaryIO, size: int, target: BinaryIO) -> None:
    writer: Any = Writer(target, CHUNK_BYTES, _AS_IT_IS)
    writer.start("ros2", LIBRARY)
    channels: dict[int, int] = {}
    schemas: dict[int, Schema] = {}
    for record in mcap_records(file, size):
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel) and record.id not in channels:
            schema = schemas[record.schema_id]
            number = writer.register_schema(schema.name, schema.encoding, schema.data)
            channels[record.id] = writer.register_channel(
                record.topic, record.message_encoding, number, record.metadata
            )
        elif isinstance(record, Message):
            writer.add_message(
                channels[record.channel_id], record.log_time, record.data, record.publish_time
            )
    writer.finish()
