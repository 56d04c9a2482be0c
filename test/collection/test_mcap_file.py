# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from calib_all_ros.collection import mcap_file
from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.mcap_file import Entry, McapFile, complete, is_being_written
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


def test_full_disk_leaves_what_was_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, channel = begin(tmp_path / "a.mcap")
    file.append(entries(channel, 5))
    size = file.size
    real, calls = os.write, []

    def half(descriptor: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:20])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        file.append(entries(channel, 5, start=5))
    assert (tmp_path / "a.mcap").stat().st_size == size
    monkeypatch.undo()
    with pytest.raises(OSError, match="could not be written to before"):
        file.append(entries(channel, 1, start=5))
    assert file.finish().statistics.message_count == 5
    assert read(tmp_path / "a.mcap") == [e.data for e in entries(channel, 5)]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    file, channel = begin(tmp_path / "a.mcap")
    file.append(entries(channel, 5))
    file.finish()
    assert read(tmp_path / "a.mcap") == [e.data for e in entries(channel, 5)]


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


def write(path: Path, *, finish: bool) -> list[bytes]:
    """Write 14 messages of 1 MB on one topic and 14 small ones on another."""
    file = McapFile(path)
    topics = [file.add_channel(t, "std_msgs/msg/String", DEFINITION, {}) for t in ("/a", "/b")]
    contents = []
    for i in range(14):
        for topic, size in zip(topics, (1_000_000, 100), strict=True):
            contents.append(bytes([i]) * size)
            file.append([Entry(topic, 10 * i + topic, contents[-1])])
    if finish:
        file.finish()
    else:
        file.abandon()
    return contents


def read(path: Path) -> list[bytes]:
    with Reader(path) as reader:
        found = [bytes(data) for _, _, data in reader.messages()]
        assert reader.message_count == len(found)
        assert sum(c.msgcount for c in reader.connections) == len(found)
    return found


@pytest.mark.parametrize(("cut", "lost"), [(0, 0), (1, 0), (200, 1), (500_000, 2), (2_000_600, 4)])
def test_file_that_was_cut_off_has_all_whole_messages(tmp_path: Path, cut: int, lost: int) -> None:
    contents = write(tmp_path / "a.mcap", finish=False)
    data = (tmp_path / "a.mcap").read_bytes()
    (tmp_path / "a.mcap").write_bytes(data[: len(data) - cut])
    summary = complete(tmp_path / "a.mcap")
    assert read(tmp_path / "a.mcap") == contents[: len(contents) - lost]
    assert summary.statistics.message_count == len(contents) - lost


def test_every_place_of_a_cut_can_be_completed(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    file = McapFile(path)
    begun, ends = file.size, []
    for topic in ("/a", "/b"):
        channel = file.add_channel(topic, "std_msgs/msg/String", DEFINITION, {})
        for i in range(2):
            file.append([Entry(channel, i, b"123")])
            ends.append(file.size)
    file.finish()
    data = path.read_bytes()
    for length in range(begun, len(data)):
        path.write_bytes(data[:length])
        complete(path)
        # The index behind a message may be cut off without harm.
        assert len(read(path)) >= sum(length >= end for end in ends)


def test_completing_what_is_whole_changes_nothing_of_it(tmp_path: Path) -> None:
    contents = write(tmp_path / "a.mcap", finish=True)
    complete(tmp_path / "a.mcap")
    assert read(tmp_path / "a.mcap") == contents
    assert [path.name for path in tmp_path.iterdir()] == ["a.mcap"]


def test_zeros_at_the_end_are_no_messages(tmp_path: Path) -> None:
    # What a power failure leaves on some file systems.
    contents = write(tmp_path / "a.mcap", finish=False)
    with (tmp_path / "a.mcap").open("ab") as file:
        file.write(bytes(5000))
    complete(tmp_path / "a.mcap")
    assert read(tmp_path / "a.mcap") == contents


def test_no_space_for_completing_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.mcap", finish=False)
    before = (tmp_path / "a.mcap").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mcap_file, "_copy", full)
    with pytest.raises(OSError, match="No space"):
        complete(tmp_path / "a.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mcap"]


@pytest.mark.parametrize("content", [b"\x89MCAP0\r\n" + bytes(100), b"calib_all_ros"])
def test_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mcap").write_bytes(content)
    with pytest.raises(CollectionError, match="not written by the recorder"):
        complete(tmp_path / "a.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == content


def test_file_under_way_is_left_alone(tmp_path: Path) -> None:
    file = McapFile(tmp_path / "a.mcap")
    with pytest.raises(CollectionError, match="being recorded to"):
        complete(tmp_path / "a.mcap")
    file.finish()
