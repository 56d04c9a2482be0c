# SPDX-License-Identifier: Apache-2.0
"""Recovery of bag files that were cut off or damaged, read without their index.

A recorder that is killed leaves a file without index; a full disk leaves half a record at its end.
Everything before the damage is as good as ever.
"""

from __future__ import annotations

import bz2
import contextlib
import sqlite3
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote

import lz4.frame
import zstandard
from mcap.opcode import Opcode
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from calib_all_ros.recording.bag_storage import RawMessage, TypedMessage

_SLICE = 1 << 16
_ROS1_MESSAGE, _ROS1_CHUNK, _ROS1_CONNECTION = 2, 5, 7


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "bz2": bz2.BZ2Decompressor,
}


def salvaged_messages(path: Path) -> Iterator[TypedMessage]:
    """Yield every message that can still be read from a .mcap, .db3 or .bag file, in file order.

    Ends where the damage makes reading on impossible; a chunk that is cut off is read up to the
    cut. Never raises for damage.
    """
    readers = {".mcap": _mcap_messages, ".db3": _sqlite_messages, ".bag": _ros1_messages}
    yield from readers[path.suffix](path)


def copy_decompressed(source: Path, target: Path) -> None:
    """Decompress a zstd file as far as it goes."""
    with source.open("rb") as compressed, target.open("wb") as plain:
        slices = iter(lambda: compressed.read(_SLICE), b"")
        for data in _decompressed(slices, "zstd"):
            plain.write(data)


def _decompressed(slices: Iterator[bytes], compression: str) -> Iterator[bytes]:
    """Decompress slice by slice, so that damage costs only what comes after it."""
    if compression not in _DECOMPRESSORS:
        yield from slices
        return
    decompressor = _DECOMPRESSORS[compression]()
    with contextlib.suppress(zstandard.ZstdError, RuntimeError, OSError, EOFError):
        for data in slices:
            yield decompressor.decompress(data)


def _decompressed_bytes(data: bytes, compression: str) -> bytes:
    slices = (data[i : i + _SLICE] for i in range(0, len(data), _SLICE))
    return b"".join(_decompressed(slices, compression))


def _mcap_messages(path: Path) -> Iterator[TypedMessage]:
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    with path.open("rb") as file:
        for record in mcap_records(file, path.stat().st_size):
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message) and record.channel_id in channels:
                channel = channels[record.channel_id]
                schema = schemas.get(channel.schema_id)
                definition = None
                if schema is not None and schema.encoding == "ros2msg":
                    text = schema.data.decode(errors="replace")
                    definition = MessageDefinition(MessageDefinitionFormat.MSG, text)
                raw = RawMessage(channel.topic, record.log_time, record.data)
                yield TypedMessage(raw, schema.name if schema else "", definition)


def mcap_records(file: BinaryIO, size: int) -> Iterator[Any]:
    """Yield schemas, channels and messages; the last chunk may be incomplete."""
    file.seek(8)
    while len(head := file.read(9)) == 9:
        opcode, length = head[0], int.from_bytes(head[1:], "little")
        if opcode in (Opcode.DATA_END, Opcode.FOOTER):
            return
        # A length beyond the end of the file would make read() allocate that much.
        available = min(length, size - file.tell())
        if opcode == Opcode.CHUNK:
            yield from _whole_records(_chunk_content(file.read(available)))
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE):
            yield from _whole_records(head + file.read(available))
        else:
            file.seek(available, 1)


def _chunk_content(chunk: bytes) -> bytes:
    """Return the (decompressed) records of a chunk record that may be cut off."""
    times_size_and_crc = 28
    if len(chunk) < times_size_and_crc + 4:
        return b""
    (name_length,) = struct.unpack_from("<I", chunk, times_size_and_crc)
    name_start = times_size_and_crc + 4
    compression = chunk[name_start : name_start + name_length].decode(errors="replace")
    return _decompressed_bytes(chunk[name_start + name_length + 8 :], compression)


def _whole_records(data: bytes) -> Iterator[Any]:
    # The reader reports the end of the data, like any damage, by an exception.
    with contextlib.suppress(Exception):
        yield from StreamReader(BytesIO(data), skip_magic=True, record_size_limit=len(data)).records


def _sqlite_messages(path: Path) -> Iterator[TypedMessage]:
    # immutable: neither locks nor journals, so that a write-protected folder will do.
    connection = sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
        # With this, SQLite opens files that are shorter than their header says.
        connection.execute("PRAGMA writable_schema=ON")
        topics = {
            key: (name, kind)
            for key, name, kind in connection.execute("SELECT id, name, type FROM topics")
        }
        for topic_id, stamp, data in connection.execute(
            "SELECT topic_id, timestamp, data FROM messages"
        ):
            if topic_id in topics:
                name, kind = topics[topic_id]
                yield TypedMessage(RawMessage(name, stamp, data), kind, None)


def _ros1_messages(path: Path) -> Iterator[TypedMessage]:
    connections: dict[int, tuple[str, str, MessageDefinition]] = {}
    with path.open("rb") as file:
        file.readline()
        for header, data in _ros1_records(file, path.stat().st_size):
            operation = header.get("op", b"\0")[0]
            number = int.from_bytes(header.get("conn", b""), "little")
            if operation == _ROS1_CONNECTION:
                details = _ros1_header(data)
                definition = details.get("message_definition", b"").decode(errors="replace")
                connections[number] = (
                    header.get("topic", b"").decode(errors="replace"),
                    details.get("type", b"").decode(errors="replace").replace("/", "/msg/", 1),
                    MessageDefinition(MessageDefinitionFormat.MSG, definition),
                )
            elif operation == _ROS1_MESSAGE and number in connections:
                seconds, nanoseconds = struct.unpack("<II", header["time"])
                topic, kind, definition_ = connections[number]
                stamp = seconds * 1_000_000_000 + nanoseconds
                yield TypedMessage(RawMessage(topic, stamp, data), kind, definition_)


def _ros1_records(file: BinaryIO, size: int) -> Iterator[tuple[dict[str, bytes], bytes]]:
    """Yield the header and the data of each whole record, those inside of chunks included."""
    while len(prefix := file.read(4)) == 4:
        (header_length,) = struct.unpack("<I", prefix)
        header = _ros1_header(file.read(min(header_length, size)))
        length = int.from_bytes(file.read(4), "little")
        data = file.read(min(length, size))
        if header.get("op", b"")[:1] == bytes([_ROS1_CHUNK]):
            compression = header.get("compression", b"none").decode(errors="replace")
            content = _decompressed_bytes(data, compression)
            yield from _ros1_records(BytesIO(content), len(content))
        elif len(data) == length and "op" in header:
            yield header, data


def _ros1_header(data: bytes) -> dict[str, bytes]:
    """Parse the name=value fields of a record header."""
    fields: dict[str, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, position)
        name, _, value = data[position + 4 : position + 4 + length].partition(b"=")
        fields[name.decode(errors="replace")] = value
        position += 4 + length
    return fields
