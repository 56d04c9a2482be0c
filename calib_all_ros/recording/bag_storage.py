# SPDX-License-Identifier: Apache-2.0
"""One file of a bag: raw messages in passes over topics, or from a span of time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, Protocol

import yaml
from rosbags.interfaces import MessageDefinition
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2

from calib_all_ros.recording.recording import RecordingError

_SUFFIXES = (".mcap", ".db3", ".bag")
_COMPRESSED_SUFFIXES = (".zstd", ".zst")
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
JOINT_STATE = "sensor_msgs/msg/JointState"
STRING = "std_msgs/msg/String"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
USED_TYPES = frozenset((IMAGE, COMPRESSED_IMAGE, CAMERA_INFO, JOINT_STATE, STRING, TF_MESSAGE))


@dataclass(frozen=True)
class BagFiles:
    """The files of one bag.

    Attributes:
        files: Storage files, .mcap, .db3 or .bag, each possibly with .zstd behind.
        promised: How many messages metadata.yaml says each file (by name) has.
        promised_total: How many messages metadata.yaml says there are, if it says so.
        warnings: Files that are missing, and the like.
    """

    files: tuple[Path, ...]
    promised: dict[str, int]
    promised_total: int | None
    warnings: tuple[str, ...]


def is_bag(path: Path) -> bool:
    """Return whether a path is a bag file, or a folder that holds one."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or bool(_storage_files(path))
    return is_storage_file(path)


def is_storage_file(path: Path) -> bool:
    """Return whether a file's name is that of a bag's storage."""
    plain = path.with_suffix("") if path.suffix in _COMPRESSED_SUFFIXES else path
    return plain.suffix in _SUFFIXES


def is_compressed_file(path: Path) -> bool:
    """Return whether a storage file is compressed as a whole."""
    return path.suffix in _COMPRESSED_SUFFIXES


def find_bag_files(path: Path) -> BagFiles:
    """Return the files of the bag at ``path``, a file or a folder.

    The folder's own files count where metadata.yaml is missing (the recorder was killed) or
    broken.

    Raises:
        RecordingError: There are none, or files of ROS 1 and ROS 2 are mixed.
    """
    if path.is_file():
        return BagFiles((path,), {}, None, ())
    present = _storage_files(path)
    names, promised, total, warnings = _read_metadata(path / "metadata.yaml")
    missing = [name for name in names if not (path / name).is_file()]
    if missing:
        warnings = (
            *warnings,
            f"metadata.yaml names files that are not in {path}: {', '.join(missing)}",
        )
    files = tuple(path / name for name in names if name not in missing) or present
    if not files:
        raise RecordingError(
            f"{path} holds no bag file: give a folder with .mcap, .db3 or .bag files"
        )
    if len({is_ros1_file(file) for file in files}) > 1:
        raise RecordingError(f"{path} mixes .bag files of ROS 1 with ROS 2: give one bag")
    return BagFiles(files, promised, total, warnings)


def is_ros1_file(path: Path) -> bool:
    """Return whether a storage file is one of ROS 1."""
    return ".bag" in path.suffixes[-2:]


def _storage_files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(p for p in folder.iterdir() if p.is_file() and is_storage_file(p)))


def _read_metadata(
    path: Path,
) -> tuple[list[str], dict[str, int], int | None, tuple[str, ...]]:
    """Return file names, messages promised per file and in total, and warnings."""
    if not path.is_file():
        return [], {}, None, ()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        # Old versions write the folder's name in front.
        names = [Path(name).name for name in document["relative_file_paths"]]
        files = document.get("files") or []
        promised = {Path(f["path"]).name: int(f["message_count"]) for f in files}
        return names, promised, int(document["message_count"]), ()
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return [], {}, None, (f"{path} cannot be read: the files of its folder are taken",)


class RawMessage(NamedTuple):
    """A serialised message and its log time."""

    topic: str
    log_ns: int
    data: bytes


class TypedMessage(NamedTuple):
    """A raw message that brings its type along."""

    message: RawMessage
    kind: str
    definition: MessageDefinition | None


class DamagedFileError(RecordingError):
    """A file cannot be read in the ordinary way; what is left of it may be recovered."""

    def __init__(self, path: Path, reason: str) -> None:
        """Say which file and why."""
        super().__init__(f"{path} cannot be read: {reason}")
        self.path = path
        self.reason = reason


class Storage(Protocol):
    """One file of a bag."""

    topics: dict[str, str]
    """Message type of each topic that holds messages, of the types this package uses."""

    definitions: dict[str, MessageDefinition]
    """Definition of each message type, where the file has it."""

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Yield messages in the order of log time, from start_ns up to but without stop_ns."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class RosbagsStorage:
    """A file that the rosbags library can read: rosbag1, or rosbag2 with its index intact."""

    def __init__(self, path: Path) -> None:
        """Open a .bag, .mcap or .db3 file.

        Raises:
            DamagedFileError: The library refuses it.
        """
        self._path = path
        self._stack = ExitStack()
        with _reported(path):
            reader: Any = Reader1(path) if path.suffix == ".bag" else Reader2(path)
            self._reader = self._stack.enter_context(reader)
        self._connections = [c for c in self._reader.connections if c.msgtype in USED_TYPES]
        self.topics = {c.topic: c.msgtype for c in self._connections if c.msgcount}
        self.definitions = {c.msgtype: c.msgdef for c in self._connections}

    @property
    def is_indexed(self) -> bool:
        """Whether one message can be found without reading an .mcap from its start."""
        chunks = getattr(getattr(self._reader, "storage", None), "chunks", None)
        return chunks is None or len(chunks) > 0 or not self.topics

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Yield messages in the order of log time; see `Storage`."""
        connections = [c for c in self._connections if c.topic in topics]
        if not connections:
            return
        with _reported(self._path):
            for connection, stamp, data in self._reader.messages(connections, start_ns, stop_ns):
                yield RawMessage(connection.topic, stamp, bytes(data))

    def close(self) -> None:
        """Release the file."""
        self._stack.close()


class SpooledStorage:
    """Messages copied to a temporary file, from where each can be read by itself."""

    def __init__(self, messages: Iterable[TypedMessage]) -> None:
        """Copy the messages, in any order."""
        self.topics: dict[str, str] = {}
        self.definitions: dict[str, MessageDefinition] = {}
        self._stack = ExitStack()
        self._file = self._stack.enter_context(TemporaryFile())  # noqa: SIM115, closed by close()
        self._entries: dict[str, list[tuple[int, int, int]]] = {}
        offset = 0
        for (topic, log_ns, data), kind, definition in messages:
            self.topics[topic] = kind
            if definition is not None:
                self.definitions[kind] = definition
            self._entries.setdefault(topic, []).append((log_ns, offset, len(data)))
            offset += self._file.write(data)
        for entries in self._entries.values():
            entries.sort()

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Yield messages in the order of log time; see `Storage`."""
        found: list[tuple[int, int, int, str]] = []
        for topic, entries in self._entries.items():
            if topic in topics:
                first = 0 if start_ns is None else bisect_left(entries, (start_ns, 0, 0))
                last = len(entries) if stop_ns is None else bisect_left(entries, (stop_ns, 0, 0))
                found += [(*entry, topic) for entry in entries[first:last]]
        for log_ns, offset, size, topic in sorted(found):
            self._file.seek(offset)
            yield RawMessage(topic, log_ns, self._file.read(size))

    def close(self) -> None:
        """Delete the temporary file."""
        self._stack.close()


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn whatever a reader stumbles over in a damaged file into one error."""
    try:
        yield
    except (RecordingError, PermissionError):
        raise
    # Readers of half-written files fail in many ways: struct.error, IndexError, AssertionError,
    # MemoryError for a length that is garbage, and the errors of compression libraries and SQLite.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedFileError(path, reason) from error
