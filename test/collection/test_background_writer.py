# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from calib_all_ros.collection.background_writer import BackgroundWriter
from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.stream_writer import BagStream, StorageFullError, StreamMessage
from calib_all_ros.recording.bag_storage import STRING

PATIENCE_S = 60.0


class SlowStream(BagStream):
    """Writes nothing until the gate is opened."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.entered = threading.Event()

    def write(self, messages: Sequence[StreamMessage]) -> None:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        super().write(messages)


def message(number: int, size: int = 20, topic: str = "/text") -> StreamMessage:
    return StreamMessage(topic, STRING, number, bytes([number % 256]) * size)


def read(path: Path) -> list[tuple[str, int]]:
    with Reader(path) as reader:
        return [(c.topic, stamp) for c, stamp, _ in reader.messages()]


def test_everything_is_written_in_order(folder: Path) -> None:
    writer = BackgroundWriter(BagStream(folder / "x"))
    for i in range(2000):
        assert writer.put(message(i))
    writer.close()
    assert not writer.put(message(0))
    path = writer.result()
    assert path == folder / "x" and writer.is_done
    assert read(path) == [("/text", i) for i in range(2000)]
    assert writer.counts == {"/text": 2000}
    assert writer.lost == {"/text": 1}


def test_slow_disk_loses_images_but_counts_them_and_keeps_small_messages(folder: Path) -> None:
    stream = SlowStream(folder / "x")
    writer = BackgroundWriter(stream, max_queued_megabytes=1.0)
    writer.put(message(0, topic="/joints"))
    assert stream.entered.wait(PATIENCE_S)
    taken = [writer.put(message(i, 400_000, "/images")) for i in range(1, 5)]
    assert taken == [True, True, False, False]
    assert writer.put(message(5, topic="/joints"))
    assert writer.lost == {"/images": 2}
    stream.gate.set()
    writer.close()
    path = writer.result()
    assert path is not None
    assert read(path) == [("/joints", 0), ("/images", 1), ("/images", 2), ("/joints", 5)]


def test_caller_that_may_wait_loses_nothing(folder: Path) -> None:
    stream = SlowStream(folder / "x")
    writer = BackgroundWriter(stream, max_queued_megabytes=1.0)
    results: list[bool] = []

    def fill() -> None:
        for i in range(8):
            results.append(writer.put(message(i, 400_000), wait=True))

    filling = threading.Thread(target=fill)
    filling.start()
    stream.gate.set()
    filling.join(PATIENCE_S)
    writer.close()
    assert results == [True] * 8
    assert writer.result() == folder / "x"
    assert writer.lost == {}


def test_failure_is_told_and_what_was_written_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = BagStream(folder / "x")
    writer = BackgroundWriter(stream)
    real = stream.write

    def fail_later(messages: Sequence[StreamMessage]) -> None:
        if messages[0].log_ns > 0:
            raise StorageFullError("full")
        real(messages)

    monkeypatch.setattr(stream, "write", fail_later)
    writer.put(message(0))
    while not writer.counts:
        assert writer.failure is None
    writer.put(message(1))
    while writer.failure is None:
        assert not writer.is_done
    assert not writer.put(message(2))
    assert writer.lost == {"/text": 2}
    writer.close()
    path = writer.result()
    assert path is not None and read(path) == [("/text", 0)]


def test_recording_that_cannot_be_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = BagStream(folder / "x")
    writer = BackgroundWriter(stream)
    writer.put(message(0))

    def broken() -> Path:
        raise CollectionError("the disk is broken")

    monkeypatch.setattr(stream, "close", broken)
    writer.close()
    with pytest.raises(CollectionError, match="the disk is broken"):
        writer.result()


def test_discarding_deletes(folder: Path) -> None:
    writer = BackgroundWriter(BagStream(folder / "x"))
    writer.put(message(0))
    writer.discard()
    assert writer.result() is None
    assert list(folder.iterdir()) == []


def test_memory_does_not_grow_with_the_recording(folder: Path) -> None:
    stream = BagStream(folder / "x")
    tracemalloc.start()
    try:
        writer = BackgroundWriter(stream, max_queued_megabytes=0.5)
        # 80 seconds of joint states at 500 Hz, and some images.
        for i in range(40_000):
            writer.put(message(i, 300), wait=True)
            if i % 100 == 0:
                writer.put(message(i, 50_000, "/images"), wait=True)
        writer.close()
        path = writer.result()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path is not None and writer.lost == {}
    # What waits, what is being written, and the index of the chunk under way: 16 bytes a message.
    # A hundred bytes kept of each message would be 4 MB.
    assert peak < 2.5e6
