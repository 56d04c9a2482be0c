# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from calib_all_ros.loading import load_recording
from calib_all_ros.recording.bag_recovery import salvaged_messages
from calib_all_ros.recording.recording import Recording, RecordingError

MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3


def storage_file(path: Path) -> Path:
    (file,) = (p for p in path.iterdir() if p.name != "metadata.yaml")
    return file


def make_noisy(bags: Any) -> None:
    """60 frames of noise: zstd then writes many blocks; of one that is cut off nothing is left."""
    bags.frames = 60
    bags.stamps = [bags.start_ns + i * bags.period_ns for i in range(60)]
    noise = np.random.default_rng(5).integers(0, 255, (60, 48, 64, 3), np.uint8)
    bags.picture = noise.__getitem__


def cut(file: Path, keep: float) -> None:
    """Cut a file off after this part of its bytes."""
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])


def write_mcap(bags: Any, compression: CompressionType, *, chunked: bool = True) -> Path:
    """Write all messages with the mcap library in small chunks, as rosbag2 does; no metadata."""
    path: Path = bags.folder / "own.mcap"
    with path.open("wb") as file:
        writer = McapWriter(file, 20_000, compression, use_chunking=chunked)
        writer.start("ros2", "test")
        channels: dict[str, int] = {}
        for message in sorted(bags.everything(), key=lambda m: m.stamp_ns):
            if message.topic not in channels:
                text, _ = bags.ros.typestore.generate_msgdef(message.kind, ros_version=2)
                schema = writer.register_schema(message.kind, "ros2msg", text.encode())
                channels[message.topic] = writer.register_channel(message.topic, "cdr", schema)
            data = bags.ros.serialised(message.content, message.kind)
            channel = channels[message.topic]
            writer.add_message(channel, message.stamp_ns, data, message.stamp_ns)
        writer.finish()
    return path


def check_beginning(recording: Recording, bags: Any, fewest: int) -> None:
    """The first images are there and are right, and a note says that some are lost."""
    count = len(recording)
    assert fewest <= count < bags.frames
    assert recording.image_stamps_ns.tolist() == bags.stamps[:count]
    for i in range(count):
        np.testing.assert_array_equal(recording.images[i], bags.picture(i))
    positions, valid = recording.joints.at(bags.stamps[: count - 1], bags.joints)
    assert valid.all()
    expected = [bags.position(s) for s in bags.stamps[: count - 1]]
    np.testing.assert_allclose(positions, expected, atol=1e-12)
    (note,) = recording.notes
    assert re.search(r"truncated or damaged: .*: read \d+ messages up to stamp \d+ ns", note)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("compression", list(CompressionType))
def test_truncated_mcap(bags: Any, compression: CompressionType, chunked: bool) -> None:
    path = write_mcap(bags, compression, chunked=chunked)
    whole = load_recording(path)
    assert len(whole) == bags.frames and whole.notes == ()
    cut(path, 0.7)
    check_beginning(load_recording(path), bags, fewest=3)


@pytest.mark.parametrize("compression", [CompressionMode.NONE, CompressionMode.STORAGE])
def test_chunk_that_is_cut_off_is_read_up_to_the_cut(
    bags: Any, compression: CompressionMode
) -> None:
    """The bag is one chunk."""
    make_noisy(bags)
    path = bags.write(bags.everything(), compression=compression)
    total = len(bags.everything())
    cut(storage_file(path), 0.6)
    recording = load_recording(path)
    check_beginning(recording, bags, fewest=30)
    assert recording.notes[0].endswith(f"the metadata promises {total}")


def test_mcap_without_its_end_loses_nothing(bags: Any) -> None:
    path = write_mcap(bags, CompressionType.ZSTD)
    path.write_bytes(path.read_bytes()[:-20])
    recording = load_recording(path)
    assert recording.image_stamps_ns.tolist() == bags.stamps
    assert f"read {len(bags.everything())} messages" in recording.notes[0]


def test_damaged_chunk_costs_only_itself(bags: Any) -> None:
    path = write_mcap(bags, CompressionType.NONE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(data)
    recording = load_recording(path)
    assert recording.image_stamps_ns[0] == bags.stamps[0]
    assert recording.image_stamps_ns[-1] == bags.stamps[-1]
    assert "truncated or damaged" in recording.notes[0]


def test_message_that_is_damaged_is_left_out(bags: Any) -> None:
    path = bags.write(bags.everything(), storage=SQLITE, compression=CompressionMode.MESSAGE)
    with sqlite3.connect(storage_file(path)) as connection:
        (row, data) = connection.execute(
            "SELECT id, data FROM messages WHERE topic_id = "
            "(SELECT id FROM topics WHERE name = '/joint_states') LIMIT 1 OFFSET 9"
        ).fetchone()
        broken = data[:6] + b"\xff" * (len(data) - 6)
        connection.execute("UPDATE messages SET data = ? WHERE id = ?", (broken, row))
    recording = load_recording(path)
    assert len(recording) == bags.frames
    assert recording.joints.at(bags.stamps, max_gap_ns=10**9)[1].all()
    assert recording.notes == ("1 damaged messages are left out",)


def test_truncated_sqlite(bags: Any) -> None:
    path = bags.write(bags.everything(), storage=SQLITE)
    cut(storage_file(path), 0.7)
    check_beginning(load_recording(path), bags, fewest=3)


@pytest.mark.parametrize("storage", [MCAP, SQLITE])
def test_truncated_file_that_is_compressed_as_a_whole(bags: Any, storage: StoragePlugin) -> None:
    make_noisy(bags)
    path = bags.write(bags.everything(), storage=storage, compression=CompressionMode.FILE)
    cut(storage_file(path), 0.8)
    check_beginning(load_recording(path), bags, fewest=20)


@pytest.mark.parametrize("compression", [None, *Writer1.CompressionFormat])
def test_truncated_rosbag1(bags1: Any, compression: Writer1.CompressionFormat | None) -> None:
    path = bags1.write_ros1(bags1.everything(), compression=compression)
    whole = len(list(salvaged_messages(path)))
    assert whole == len(bags1.everything())
    if compression is None:
        cut(path, 0.6)
        check_beginning(load_recording(path), bags1, fewest=2)
    else:
        # The one chunk is whole, its index is not.
        path.write_bytes(path.read_bytes()[:-100])
        assert load_recording(path).image_stamps_ns.tolist() == bags1.stamps


def test_rosbag1_that_was_never_closed(bags1: Any) -> None:
    path = bags1.write_ros1(bags1.everything())
    data = path.read_bytes()
    position = data.index(b"index_pos=") + len(b"index_pos=")
    path.write_bytes(data[:position] + bytes(8) + data[position + 8 :])
    recording = load_recording(path)
    assert recording.image_stamps_ns.tolist() == bags1.stamps
    assert "not indexed" in recording.notes[0]


def test_split_bag_with_one_bad_and_one_missing_file(bags: Any) -> None:
    path = bags.write_split(bags.everything(), MCAP)
    cut(path / "split_2.mcap", 0.5)
    recording = load_recording(path)
    assert recording.image_stamps_ns[:4].tolist() == bags.stamps[:4]
    assert "split_2.mcap" in recording.notes[0]
    (path / "split_2.mcap").unlink()
    assert "not in" in load_recording(path).notes[0]


def test_broken_metadata_falls_back_to_the_files(bags: Any) -> None:
    path = bags.write(bags.everything())
    (path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: [")
    recording = load_recording(path)
    assert len(recording) == bags.frames
    assert "metadata.yaml cannot be read" in recording.notes[0]


@pytest.mark.parametrize("keep", [0.0, 0.0005, 0.02])
@pytest.mark.parametrize("storage", [MCAP, SQLITE])
def test_too_little_left_is_an_error(bags: Any, storage: StoragePlugin, keep: float) -> None:
    path = bags.write(bags.everything(), storage=storage)
    cut(storage_file(path), keep)
    with pytest.raises(RecordingError, match=r"has (no|only)") as error:
        load_recording(path)
    assert storage_file(path).name in str(error.value)


def test_garbage_is_an_error(bags: Any) -> None:
    for suffix in ("mcap", "db3", "bag"):
        path = bags.folder / f"garbage.{suffix}"
        path.write_bytes(np.random.default_rng(3).bytes(5000))
        with pytest.raises(RecordingError, match="has no images"):
            load_recording(path)


def test_truncated_development_bag(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "bag"
    shutil.copytree(shared_data / "d1" / "bag", path, copy_function=shutil.copyfile)
    path.chmod(0o755)
    cut(path / "bag.mcap", 0.5)
    recording = load_recording(path)
    assert 25 <= len(recording) <= 35
    assert recording.images[20].shape == (480, 640, 3)
    assert "the metadata promises 781" in recording.notes[0]
