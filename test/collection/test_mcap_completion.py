# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.mcap_completion import complete
from calib_all_ros.collection.mcap_file import Entry, McapFile


def write(path: Path, *, finish: bool) -> list[bytes]:
    """Write 14 messages of 1 MB on one topic and 14 small ones on another, in four chunks."""
    file = McapFile(path)
    topics = [file.add_channel(t, "std_msgs/msg/String", "string data\n", {}) for t in ("/a", "/b")]
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


@pytest.mark.parametrize(
    ("cut", "lost"),
    [(0, 0), (1, 1), (100, 1), (131, 1), (132, 2), (500_000, 2), (2_000_300, 4), (2_000_325, 5)],
)
def test_file_that_was_cut_off_has_all_whole_messages(tmp_path: Path, cut: int, lost: int) -> None:
    contents = write(tmp_path / "a.mcap", finish=False)
    data = (tmp_path / "a.mcap").read_bytes()
    (tmp_path / "a.mcap").write_bytes(data[: len(data) - cut])
    index = complete(tmp_path / "a.mcap")
    assert read(tmp_path / "a.mcap") == contents[: len(contents) - lost]
    assert sum(index.counts.values()) == len(contents) - lost


def test_every_place_of_a_cut_can_be_completed(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    file = McapFile(path)
    starts = [file.size]
    for topic in ("/a", "/b"):
        channel = file.add_channel(topic, "std_msgs/msg/String", "string data\n", {})
        for i in range(2):
            file.append([Entry(channel, i, b"123")])
            starts.append(file.size)
    file.finish()
    data = path.read_bytes()
    for length in range(starts[0], len(data)):
        path.write_bytes(data[:length])
        complete(path)
        assert len(read(path)) == sum(length >= end for end in starts[1:])


def test_completing_gives_what_finishing_gives(tmp_path: Path) -> None:
    write(tmp_path / "finished.mcap", finish=True)
    write(tmp_path / "abandoned.mcap", finish=False)
    complete(tmp_path / "abandoned.mcap")
    finished = (tmp_path / "finished.mcap").read_bytes()
    assert (tmp_path / "abandoned.mcap").read_bytes() == finished
    complete(tmp_path / "finished.mcap")
    assert (tmp_path / "finished.mcap").read_bytes() == finished


def test_zeros_at_the_end_are_no_messages(tmp_path: Path) -> None:
    # What a power failure leaves on some file systems.
    contents = write(tmp_path / "a.mcap", finish=False)
    with (tmp_path / "a.mcap").open("ab") as file:
        file.write(bytes(5000))
    complete(tmp_path / "a.mcap")
    assert read(tmp_path / "a.mcap") == contents


def test_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"\x89MCAP0\r\n" + bytes(100))
    with pytest.raises(CollectionError, match="not written by the recorder"):
        complete(tmp_path / "a.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == b"\x89MCAP0\r\n" + bytes(100)


def test_file_under_way_is_left_alone(tmp_path: Path) -> None:
    file = McapFile(tmp_path / "a.mcap")
    with pytest.raises(CollectionError, match="being recorded to"):
        complete(tmp_path / "a.mcap")
    file.finish()
