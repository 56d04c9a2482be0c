# SPDX-License-Identifier: Apache-2.0
"""An opened bag: all its files together, and how to deserialise their messages."""

from __future__ import annotations

import functools
import heapq
import struct
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zstandard
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from calib_all_ros.recording.bag_recovery import copy_decompressed, salvaged_messages
from calib_all_ros.recording.bag_storage import (
    USED_TYPES,
    DamagedFileError,
    RawMessage,
    RosbagsStorage,
    SpooledStorage,
    Storage,
    TypedMessage,
    find_bag_files,
    is_compressed_file,
    is_ros1_file,
)
from calib_all_ros.recording.recording import RecordingError

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass
class _Part:
    """One file: its name in the bag, where it can be read (decompressed), and how."""

    name: str
    readable: Path
    storage: Storage


class Bag:
    """A bag of ROS 1 or ROS 2, whole or what is left of it.

    Attributes:
        path: File or folder.
        files: Its storage files.
        topics: Message type of each topic that holds messages, of the types this package uses.
        is_ros2: Whether messages are serialised as in ROS 2 (CDR).
        warnings: What was damaged or missing.
        is_damaged: Whether a file was read without its index, up to the damage.
        unreadable: Topic and log time of compressed messages that are damaged and left out.
    """

    def __init__(self, path: Path) -> None:
        """Open a bag; files that are damaged are read as far as they go.

        Raises:
            RecordingError: There is no bag.
        """
        found = find_bag_files(path)
        self.path = path
        self.files = found.files
        self.is_ros2 = not is_ros1_file(found.files[0])
        self.warnings = list(found.warnings)
        self.is_damaged = False
        self.unreadable: set[tuple[str, int]] = set()
        self._promised = dict(found.promised)
        if found.promised_total is not None and len(found.files) == 1:
            self._promised[found.files[0].name] = found.promised_total
        self._lock = threading.Lock()
        self._resources = ExitStack()
        self._finalizer = weakref.finalize(self, self._resources.close)
        self._parts = [self._open(file) for file in found.files]
        self._learn_topics()

    def of_type(self, *kinds: str) -> list[str]:
        """Return the topics of these message types, sorted."""
        return sorted(topic for topic, kind in self.topics.items() if kind in kinds)

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Yield all messages of these topics in the order of log time.

        Raises:
            DamagedFileError: Call `salvage` with its path and start over.
        """
        yield from self._between(topics, None, None)

    def first(self, topic: str) -> Any:
        """Return the first message of a topic, deserialised, or None."""
        with self._lock:
            for raw in islice(self._between((topic,), None, None), 1):
                return self.decode(raw)
        return None

    def message(self, topic: str, log_ns: int, ordinal: int) -> Any:
        """Return one message, deserialised; safe to call from several threads.

        Args:
            topic: Topic.
            log_ns: Its log time.
            ordinal: Which one, if several messages of the topic share that time.

        Raises:
            RecordingError: It is not there any more.
        """
        with self._lock:
            found = self._between((topic,), log_ns, log_ns + 1)
            for raw in islice(found, ordinal, ordinal + 1):
                return self.decode(raw)
        raise RecordingError(
            f"the message on {topic} at log time {log_ns} ns is gone: {self.path} has changed "
            "while it was being read, start again"
        )

    def decode(self, raw: RawMessage) -> Any:
        """Deserialise a message.

        Raises:
            RecordingError: The bytes are not a message of the topic's type.
        """
        try:
            return self._decoders[raw.topic](raw.data)
        # Generated code meets bytes of any kind: struct.error, UnicodeDecodeError, IndexError, …
        except Exception as error:
            raise RecordingError(
                f"the message on {raw.topic} at log time {raw.log_ns} ns is not a "
                f"{self.topics[raw.topic]} ({error}): record the topic again"
            ) from error

    def header_stamp_ns(self, raw: RawMessage) -> int:
        """Return the stamp of a message that starts with a std_msgs/Header, read by itself."""
        try:
            if self.is_ros2:
                order = "<" if raw.data[1] & 1 else ">"
                seconds, nanoseconds = struct.unpack_from(f"{order}iI", raw.data, 4)
            else:
                seconds, nanoseconds = struct.unpack_from("<II", raw.data, 4)
        except (struct.error, IndexError):
            raise RecordingError(
                f"the message on {raw.topic} at log time {raw.log_ns} ns has no header: record the "
                "topic again"
            ) from None
        return int(seconds) * 1_000_000_000 + int(nanoseconds)

    def salvage(self, error: DamagedFileError) -> None:
        """Replace a file that turned out to be damaged by what is left of it."""
        part = next(part for part in self._parts if part.readable == error.path)
        part.storage.close()
        part.storage = self._salvaged(part.name, part.readable, error.reason)
        self._learn_topics()

    def close(self) -> None:
        """Release the files now rather than with the object."""
        self._finalizer()

    def _open(self, file: Path) -> _Part:
        readable = file
        if is_compressed_file(file):
            folder = self._resources.enter_context(TemporaryDirectory())
            readable = Path(folder) / file.stem
            copy_decompressed(file, readable)
        try:
            storage: Storage = RosbagsStorage(readable)
        except DamagedFileError as error:
            return _Part(file.name, readable, self._salvaged(file.name, readable, error.reason))
        if isinstance(storage, RosbagsStorage) and not storage.is_indexed:
            storage.close()
            storage = SpooledStorage(_used(salvaged_messages(readable)))
        self._resources.callback(storage.close)
        return _Part(file.name, readable, storage)

    def _salvaged(self, name: str, readable: Path, reason: str) -> Storage:
        """Copy what is left of a file, and add a warning that says how much that is."""
        count, last_ns = 0, 0
        self.is_damaged = True

        def counted() -> Iterator[TypedMessage]:
            nonlocal count, last_ns
            for typed in salvaged_messages(readable):
                count += 1
                last_ns = max(last_ns, typed.message.log_ns)
                yield typed

        storage = SpooledStorage(_used(counted()))
        self._resources.callback(storage.close)
        promise = ""
        if name in self._promised:
            promise = f"; the metadata promises {self._promised[name]}"
        until = f" up to stamp {last_ns} ns" if count else ""
        self.warnings.append(
            f"the bag is truncated or damaged: {name} ({reason}): read {count} messages{until}"
            f"{promise}"
        )
        return storage

    def _learn_topics(self) -> None:
        storages = [part.storage for part in self._parts]
        self.topics = {topic: kind for s in storages for topic, kind in s.topics.items()}
        definitions = {kind: d for s in storages for kind, d in s.definitions.items()}
        self._decoders = {
            topic: _decoder(kind, definitions.get(kind), self.is_ros2)
            for topic, kind in self.topics.items()
        }

    def _between(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        sources = [part.storage.messages(topics, start_ns, stop_ns) for part in self._parts]
        for raw in heapq.merge(*sources, key=lambda message: message.log_ns):
            # rosbag2's compression of single messages: only metadata.yaml tells of it, but a
            # message in CDR starts with a zero byte.
            if self.is_ros2 and raw.data.startswith(_ZSTD_MAGIC):
                try:
                    plain = zstandard.ZstdDecompressor().decompressobj().decompress(raw.data)
                except zstandard.ZstdError:
                    self.unreadable.add((raw.topic, raw.log_ns))
                    continue
                raw = raw._replace(data=plain)
            yield raw


def _used(messages: Iterator[TypedMessage]) -> Iterator[TypedMessage]:
    return (typed for typed in messages if typed.kind in USED_TYPES)


@functools.cache
def _decoder(
    kind: str, definition: MessageDefinition | None, is_ros2: bool
) -> Callable[[bytes], Any]:
    """Return what deserialises messages of a type, by the bag's own definition if it has one."""
    store = get_typestore(Stores.LATEST if is_ros2 else Stores.ROS1_NOETIC)
    if definition is not None and definition.format == MessageDefinitionFormat.MSG:
        own = get_typestore(Stores.EMPTY)
        try:
            own.register(get_types_from_msg(definition.data, kind))
        except TypesysError:
            # The types used here are the same in all distributions.
            own = store
        store = own
    if is_ros2:
        return lambda data: store.deserialize_cdr(data, kind)
    return lambda data: store.deserialize_ros1(data, kind)
