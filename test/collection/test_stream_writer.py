# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.stream_writer import (
    BagStream,
    StorageFullError,
    StorageLimits,
    complete_recording,
    interrupted_recordings,
)
from calib_all_ros.loading import load_recording

HERE = Path(__file__).resolve().parent
Usage = namedtuple("Usage", "free")


def swing(seconds: float) -> Any:
    return np.sin(seconds + np.arange(7))


def whole(scene: Any) -> list[Any]:
    return list(scene.stream(swing, 1.0))


def test_finished_recording_is_an_ordinary_bag(scene: Any, folder: Path) -> None:
    stream = BagStream(folder / "x")
    assert not (folder / "x").exists() and stream.unfinished == folder / "x.unfinished"
    messages = whole(scene)
    stream.write(messages[:5])
    stream.write(messages[5:])
    assert stream.close() == folder / "x"
    assert sorted(p.name for p in folder.iterdir()) == ["x"]
    with Reader(folder / "x") as reader:
        found = [(c.topic, stamp, bytes(data)) for c, stamp, data in reader.messages()]
        latched = [c.topic for c in reader.connections if c.ext.offered_qos_profiles]
        qos = next(c for c in reader.connections if c.topic in latched).ext.offered_qos_profiles[0]
    assert sorted(found) == sorted((m.topic, m.log_ns, m.data) for m in messages)
    assert latched == ["/robot_description"]
    assert qos.durability == QosDurability.TRANSIENT_LOCAL
    assert stream.counts == {
        "/robot_description": 1, "/joint_states": 101, "/cam/camera_info": 11, "/cam/image_raw": 11,
    }  # fmt: skip


def test_recording_loads(scene: Any, folder: Path) -> None:
    stream = BagStream(folder / "x")
    stream.write(whole(scene))
    recording = load_recording(stream.close())
    assert len(recording) == 11
    assert np.array_equal(recording.images[3], scene.picture(0.3))
    assert recording.urdf == scene.urdf
    assert recording.warnings == ()
    assert recording.notes == ()


def types(value: Any) -> Any:
    """Return the structure of nested mappings and lists, with types instead of values."""
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    return [types(value[0])] if isinstance(value, list) else type(value)


def test_metadata_has_the_structure_of_other_writers(scene: Any, tmp_path: Path) -> None:
    stream = BagStream(tmp_path / "own")
    messages = whole(scene)
    stream.write(messages)
    stream.close()
    with Writer(tmp_path / "other", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        topics: dict[str, Any] = {}
        for message in messages:
            if message.topic not in topics:
                topics[message.topic] = writer.add_connection(
                    message.topic, message.kind, typestore=scene.ros.typestore
                )
            writer.write(topics[message.topic], message.log_ns, message.data)
    own, other = (
        yaml.safe_load((tmp_path / name / "metadata.yaml").read_text("utf-8"))
        for name in ("own", "other")
    )
    assert types(own) == types(other)
    own, other = (d["rosbag2_bagfile_information"] for d in (own, other))
    for name in ("version", "duration", "starting_time", "message_count", "storage_identifier"):
        assert own[name] == other[name], name
    hashes = [
        {t["topic_metadata"]["type_description_hash"] for t in d["topics_with_message_count"]}
        for d in (own, other)
    ]
    assert hashes[0] == hashes[1]


def run_recorder(target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "record_forever.py"), str(target)],
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_process_loses_nothing_that_was_written(folder: Path) -> None:
    child = run_recorder(folder / "x")
    assert child.stdout is not None
    written = 0
    # Each line tells how many images have been written, with the joint states between them.
    try:
        for line in child.stdout:
            written = int(line)
            if written >= 40:
                break
    finally:
        child.kill()
    # What it still managed to say before it died counts as well.
    written = max([written, *map(int, child.stdout.read().split("\n")[:-1])])
    assert child.wait() == -signal.SIGKILL
    unfinished = folder / "x.unfinished"
    assert interrupted_recordings(folder) == [unfinished]
    recording = load_recording(unfinished)
    assert len(recording) >= written
    last = recording.image_stamps_ns[written - 1]
    _, known = recording.joints.at([last], recording.joints.names)
    assert known.all()
    assert complete_recording(unfinished) == folder / "x"
    completed = load_recording(folder / "x")
    assert len(completed) == len(recording)
    assert completed.notes == ()
    assert np.array_equal(completed.images[written - 1], recording.images[written - 1])
    assert interrupted_recordings(folder) == []


def test_recording_under_way_is_not_interrupted(scene: Any, folder: Path) -> None:
    stream = BagStream(folder / "x")
    stream.write(whole(scene))
    assert interrupted_recordings(folder) == []
    with pytest.raises(CollectionError, match="being recorded to"):
        complete_recording(stream.unfinished)
    stream.close()


def test_used_names_get_a_number(scene: Any, folder: Path) -> None:
    first, second = BagStream(folder / "x"), BagStream(folder / "x")
    assert (first.close(), second.close()) == (folder / "x", folder / "x-2")
    assert BagStream(folder / "x").close() == folder / "x-3"


def test_discarded_recording_is_gone(scene: Any, folder: Path) -> None:
    stream = BagStream(folder / "x")
    stream.write(whole(scene))
    stream.discard()
    assert list(folder.iterdir()) == []


def test_stops_at_its_largest_size(scene: Any, folder: Path) -> None:
    stream = BagStream(folder / "x", StorageLimits(max_gigabytes=60e3 / 1e9))
    written = []
    with pytest.raises(
        StorageFullError, match=r"has reached 6e-05 GB \(max_gigabytes\): calibrate"
    ):
        for message in scene.stream(swing, 5.0):
            stream.write([message])
            written.append(message)
    assert stream.bytes_written <= 60_000
    with Reader(stream.close()) as reader:
        assert reader.message_count == len(written)


def test_stops_when_the_disk_is_nearly_full(
    scene: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = BagStream(folder / "x")
    stream.write(whole(scene))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1.5e9))
    big = scene.image(2.0, pixels=np.zeros((3000, 4000, 3), np.uint8))
    with pytest.raises(StorageFullError, match=r"only 1\.5 GB are free at .*/recordings, 2 GB"):
        for _ in range(3):
            stream.write([big])
    assert stream.close() == folder / "x"


def test_does_not_begin_on_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1e9))
    with pytest.raises(StorageFullError, match="are free"):
        BagStream(folder / "x")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CollectionError, match="name a folder you can write to"):
        BagStream(tmp_path / "recordings" / "x")


def test_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectionError, match="name a folder you can write to"):
        BagStream(tmp_path / "file" / "x")


def test_empty_folder_is_no_recording_to_complete(folder: Path) -> None:
    (folder / "x.unfinished").mkdir(parents=True)
    assert interrupted_recordings(folder) == []
    with pytest.raises(CollectionError, match=r"holds 0 \.mcap files"):
        complete_recording(folder / "x.unfinished")
