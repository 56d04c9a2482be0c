# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from calib_all_ros.collection.mcap_completion import is_being_written
from calib_all_ros.collection.mcap_file import Entry, McapFile
from calib_all_ros.recording.bag_recovery import salvaged_messages

DEFINITION = "string data\n"


def begin(path: Path) -> tuple[McapFile, int]:
    file = McapFile(path)
    return file, file.add_channel("/text", "std_msgs/msg/String", DEFINITION, {"a": "b"})


def entries(channel: int, count: int, size: int = 10, start: int = 0) -> list[Entry]:
    return [Entry(channel, 1000 + i, bytes([i % 256]) * size) for i in range(start, start + count)]


def test_finished_file_holds_everything(tmp_path: Path) -> None:
    file, first = begin(tmp_path / "a.mcap")
    file.append(entries(first, 3))
    second = file.add_channel("/more", "std_msgs/msg/String", DEFINITION, {})
    # More than fit into one call of the operating system.
    file.append(entries(second, 1200, start=3))
    file.finish()
    with Reader(tmp_path / "a.mcap") as reader:
        found = [(c.topic, stamp, bytes(data)) for c, stamp, data in reader.messages()]
        assert [c.msgcount for c in reader.connections] == [3, 1200]
        assert (reader.start_time, reader.end_time) == (1000, 1000 + 1202 + 1)
    expected = [("/text", *e[1:]) for e in entries(first, 3)]
    expected += [("/more", *e[1:]) for e in entries(second, 1200, start=3)]
    assert found == expected


def test_mcap_library_reads_it_by_its_index(tmp_path: Path) -> None:
    file, channel = begin(tmp_path / "a.mcap")
    # Three chunks.
    file.append(entries(channel, 30, size=300_000))
    file.finish()
    with (tmp_path / "a.mcap").open("rb") as stream:
        reader: Any = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert len(summary.chunk_indexes) == 3
        assert summary.statistics.message_count == 30
        assert summary.channels[channel].metadata == {"a": "b"}
        assert [m.log_time for _, _, m in reader.iter_messages()] == list(range(1000, 1030))
    with Reader(tmp_path / "a.mcap") as by_time:
        some = [stamp for _, stamp, _ in by_time.messages(start=1010, stop=1013)]
    assert some == [1010, 1011, 1012]


def test_every_appended_message_is_in_the_file_at_once(tmp_path: Path) -> None:
    file, channel = begin(tmp_path / "a.mcap")
    for i in range(20):
        file.append(entries(channel, 1, size=1000, start=i))
        found = [typed.message for typed in salvaged_messages(tmp_path / "a.mcap")]
        assert [m.data for m in found] == [e.data for e in entries(channel, i + 1, size=1000)]
    file.abandon()


def test_index_kept_in_memory_does_not_grow_with_the_messages(tmp_path: Path) -> None:
    file, channel = begin(tmp_path / "a.mcap")
    sizes = []
    for _ in range(3):
        file.append(entries(channel, 20_000, size=400))
        sizes.append(len(file.index.tail(0)))
    file.finish()
    # About a hundred bytes for each chunk of four megabytes.
    assert sizes[2] - sizes[1] < 400


def test_full_disk_leaves_what_was_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, channel = begin(tmp_path / "a.mcap")
    file.append(entries(channel, 5))
    size = file.size
    real = os.writev

    def half(descriptor: int, buffers: list[bytes]) -> int:
        return real(descriptor, [b"".join(buffers)[:20]])

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", half)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        file.append(entries(channel, 5, start=5))
    assert (tmp_path / "a.mcap").stat().st_size == size
    monkeypatch.undo()
    file.append(entries(channel, 1, start=5))
    file.finish()
    with Reader(tmp_path / "a.mcap") as reader:
        assert [bytes(data) for _, _, data in reader.messages()] == [
            e.data for e in entries(channel, 6)
        ]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, buffers: real(fd, [b"".join(buffers)[:7]]))
    file, channel = begin(tmp_path / "a.mcap")
    file.append(entries(channel, 5))
    file.finish()
    with Reader(tmp_path / "a.mcap") as reader:
        assert reader.message_count == 5


def test_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    file, _ = begin(path)
    assert is_being_written(path)
    file.finish()
    assert not is_being_written(path)


def test_existing_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        McapFile(tmp_path / "a.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == b"precious"
