# SPDX-License-Identifier: Apache-2.0
"""What an .mcap file says about itself: the index behind each chunk, and the summary at the end.

Kept as the bytes that will be written, about 100 a chunk, so that a recording of hours needs some
megabytes. The records are the mcap library's; the format: https://mcap.dev/spec
"""

from __future__ import annotations

import struct
from array import array
from itertools import chain

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    MessageIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

MAGIC = b"\x89MCAP0\r\n"
LIBRARY = "calib_all_ros"

# Opcode, length, first and last log time, uncompressed size, checksum (none), length of the
# compression's name (none), length of the records.
CHUNK_HEAD = struct.Struct("<BQQQQIIQ")
# Opcode, length, channel, sequence, log time, publish time.
MESSAGE_HEAD = struct.Struct("<BQHIQQ")
# Opcode and length, with which every record begins.
RECORD_HEAD = struct.Struct("<BQ")


class OpenChunk:
    """The chunk at the end of a file, to which messages are being added.

    Attributes:
        start: Where in the file it begins.
        size: Bytes of its messages so far.
        first_ns: Earliest log time.
        last_ns: Latest log time.
    """

    def __init__(self, start: int) -> None:
        """Begin a chunk at the file's present end."""
        self.start = start
        self.size = 0
        self.first_ns = 0
        self.last_ns = 0
        # Log time and offset of each message in turn; as tuples they would take ten times as much.
        self._messages: dict[int, array[int]] = {}

    @classmethod
    def of_header(cls, start: int, header: bytes) -> OpenChunk:
        """Return a chunk of a file by its header; `take` its message indexes as well."""
        chunk = cls(start)
        padded = header.ljust(CHUNK_HEAD.size, b"\0")
        _, _, chunk.first_ns, chunk.last_ns, _, _, _, chunk.size = CHUNK_HEAD.unpack(padded)
        return chunk

    @property
    def end(self) -> int:
        """Where in the file its messages end."""
        return self.start + CHUNK_HEAD.size + self.size

    @property
    def counts(self) -> dict[int, int]:
        """Messages of each channel."""
        return {channel: len(messages) // 2 for channel, messages in self._messages.items()}

    def add(self, channel: int, log_ns: int, size: int) -> None:
        """Note a message whose record takes ``size`` bytes at the end of the chunk."""
        self.first_ns = min(self.first_ns, log_ns) if self._messages else log_ns
        self.last_ns = max(self.last_ns, log_ns)
        self._messages.setdefault(channel, array("Q")).extend((log_ns, self.size))
        self.size += size

    def take(self, index: MessageIndex) -> None:
        """Note what an index in the file says about one channel."""
        self._messages[index.channel_id] = array("Q", chain.from_iterable(index.records))

    def head(self) -> bytes:
        """Return the header that fits the messages so far."""
        length = CHUNK_HEAD.size - RECORD_HEAD.size + self.size
        return CHUNK_HEAD.pack(
            Opcode.CHUNK, length, self.first_ns, self.last_ns, self.size, 0, 0, self.size
        )

    def message_indexes(self) -> bytes:
        """Return the records that follow the chunk once it is full."""
        return b"".join(self._message_indexes().values())

    def index(self) -> bytes:
        """Return the chunk's entry in the summary."""
        offsets: dict[int, int] = {}
        position = self.end
        for channel, record in self._message_indexes().items():
            offsets[channel] = position
            position += len(record)
        return record_bytes(
            ChunkIndex(
                chunk_length=self.end - self.start,
                chunk_start_offset=self.start,
                compression="",
                compressed_size=self.size,
                message_end_time=self.last_ns,
                message_index_length=position - self.end,
                message_index_offsets=offsets,
                message_start_time=self.first_ns,
                uncompressed_size=self.size,
            )
        )

    def _message_indexes(self) -> dict[int, bytes]:
        return {
            channel: record_bytes(
                MessageIndex(channel_id=channel, records=[*zip(flat[::2], flat[1::2], strict=True)])
            )
            for channel, flat in self._messages.items()
        }


class McapIndex:
    """What the summary of a file will say.

    Attributes:
        schemas: Types of its messages.
        channels: Its topics.
        counts: Messages of each channel.
        first_ns: Earliest log time, 0 without messages.
        last_ns: Latest log time.
    """

    def __init__(self) -> None:
        """Begin with an empty file."""
        self.schemas: list[Schema] = []
        self.channels: list[Channel] = []
        self.counts: dict[int, int] = {}
        self.first_ns = 0
        self.last_ns = 0
        self._chunks = bytearray()
        self._chunk_count = 0

    def add_chunk(self, index: bytes, first_ns: int, last_ns: int, counts: dict[int, int]) -> None:
        """Note a finished chunk by its entry in the summary (a ChunkIndex record)."""
        self.first_ns = min(self.first_ns, first_ns) if self._chunk_count else first_ns
        self.last_ns = max(self.last_ns, last_ns)
        for channel, count in counts.items():
            self.counts[channel] = self.counts.get(channel, 0) + count
        self._chunks += index
        self._chunk_count += 1

    def tail(self, offset: int) -> bytes:
        """Return all that follows the last chunk, for a file that ends at ``offset`` so far."""
        data_end = record_bytes(DataEnd(data_section_crc=0))
        groups = {
            Opcode.SCHEMA: b"".join(map(record_bytes, self.schemas)),
            Opcode.CHANNEL: b"".join(map(record_bytes, self.channels)),
            Opcode.STATISTICS: record_bytes(self._statistics()),
            Opcode.CHUNK_INDEX: bytes(self._chunks),
        }
        start = position = offset + len(data_end)
        offsets = []
        for opcode, records in groups.items():
            if records:
                offset_of_group = SummaryOffset(
                    group_opcode=opcode, group_start=position, group_length=len(records)
                )
                offsets.append(record_bytes(offset_of_group))
            position += len(records)
        footer = record_bytes(
            Footer(summary_start=start, summary_offset_start=position, summary_crc=0)
        )
        return b"".join((data_end, *groups.values(), *offsets, footer, MAGIC))

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self.channels),
            channel_message_counts=self.counts,
            chunk_count=self._chunk_count,
            message_count=sum(self.counts.values()),
            message_end_time=self.last_ns,
            message_start_time=self.first_ns,
            metadata_count=0,
            schema_count=len(self.schemas),
        )


def file_start() -> bytes:
    """Return what an .mcap file of ROS 2 messages begins with."""
    return MAGIC + record_bytes(Header(profile="ros2", library=LIBRARY))


def record_bytes(record: McapRecord) -> bytes:
    """Return a record of the mcap library as bytes."""
    builder = RecordBuilder()
    record.write(builder)
    data: bytes = builder.end()  # type: ignore[no-untyped-call]
    return data
