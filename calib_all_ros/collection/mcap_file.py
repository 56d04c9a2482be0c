# SPDX-License-Identifier: Apache-2.0
"""An .mcap file that holds every message as soon as it is appended.

Messages go to the operating system at once, as part of a chunk whose header is corrected after
each append. A process that is killed therefore loses nothing that was appended; its file only
lacks the index at the end, which `mcap_completion.complete` adds.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mcap.opcode import Opcode
from mcap.records import Channel, Schema

from calib_all_ros.collection.mcap_index import (
    MESSAGE_HEAD,
    RECORD_HEAD,
    McapIndex,
    OpenChunk,
    file_start,
    record_bytes,
)

# Readers take in a whole chunk to get at one message: a few images each are a good size.
_CHUNK_BYTES = 4 << 20
# The operating system takes 1024 buffers at a time, and a message is two.
_MOST_AT_ONCE = 500


class Entry(NamedTuple):
    """One message: its channel, its log time in nanoseconds, and its bytes."""

    channel: int
    log_ns: int
    data: bytes


class McapFile:
    """Appends messages to a new .mcap file, and holds a lock on it until it is closed.

    Attributes:
        size: Bytes in the file.
        index: What `finish` will write at its end.
    """

    def __init__(self, path: Path) -> None:
        """Make the file.

        Raises:
            OSError: It exists, or cannot be written.
        """
        self.index = McapIndex()
        self.size = 0
        self._chunk: OpenChunk | None = None
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._write([file_start()])

    def add_channel(self, topic: str, kind: str, definition: str, metadata: dict[str, str]) -> int:
        """Announce a topic and return its channel number.

        Args:
            topic: Its name.
            kind: Message type, "sensor_msgs/msg/Image".
            definition: The type's definition, those of the types in it included ("ros2msg").
            metadata: Kept with the channel.

        Raises:
            OSError: The disk is full or broken.
        """
        self._end_chunk()
        number = len(self.index.channels) + 1
        schema = Schema(id=number, data=definition.encode(), encoding="ros2msg", name=kind)
        channel = Channel(
            id=number,
            topic=topic,
            message_encoding="cdr",
            metadata=metadata,
            schema_id=schema.id,
        )
        self._write([record_bytes(schema), record_bytes(channel)])
        self.index.schemas.append(schema)
        self.index.channels.append(channel)
        return number

    def append(self, entries: Sequence[Entry]) -> None:
        """Append messages; when this returns, they survive the end of the process.

        Raises:
            OSError: The disk is full or broken; what was appended before is still good.
        """
        batch: list[Entry] = []
        size = 0 if self._chunk is None else self._chunk.size
        for entry in entries:
            batch.append(entry)
            size += MESSAGE_HEAD.size + len(entry.data)
            if size >= _CHUNK_BYTES or len(batch) == _MOST_AT_ONCE:
                self._append(batch)
                batch = []
                size = 0 if self._chunk is None else self._chunk.size
        if batch:
            self._append(batch)

    def finish(self) -> None:
        """Write the index and close the file.

        Raises:
            OSError: The disk is full or broken; the file can be completed later.
        """
        try:
            self._end_chunk()
            self._write([self.index.tail(self.size)])
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, entries: Sequence[Entry]) -> None:
        chunk = self._chunk or OpenChunk(self.size)
        buffers = [] if self._chunk else [chunk.head()]
        for channel, log_ns, data in entries:
            length = MESSAGE_HEAD.size - RECORD_HEAD.size + len(data)
            buffers.append(MESSAGE_HEAD.pack(Opcode.MESSAGE, length, channel, 0, log_ns, log_ns))
            buffers.append(data)
        self._write(buffers)
        self._chunk = chunk
        for channel, log_ns, data in entries:
            chunk.add(channel, log_ns, MESSAGE_HEAD.size + len(data))
        os.pwrite(self._file, chunk.head(), chunk.start)
        if chunk.size >= _CHUNK_BYTES:
            self._end_chunk()

    def _end_chunk(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is not None:
            self.index.add_chunk(chunk.index(), chunk.first_ns, chunk.last_ns, chunk.counts)
            self._write([chunk.message_indexes()])

    def _write(self, buffers: list[bytes]) -> None:
        """Write all of the buffers or nothing."""
        wanted = sum(map(len, buffers))
        try:
            written = os.writev(self._file, buffers)
            rest = memoryview(b"".join(buffers))[written:] if written < wanted else b""
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += wanted
