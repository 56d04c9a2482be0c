# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags import rosbag1

from calib_all_ros.collection.collector import Collector
from calib_all_ros.collection.playback import BagTopics, play
from calib_all_ros.collection.settings import CollectionSettings
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import Recording, RecordingError
from calib_all_ros.recording.ros_messages import RosMessages


def played(bag: Path, folder: Path, **options: Any) -> tuple[Recording, Collector]:
    collector = Collector(in_background=False)
    play(bag, collector, folder / "x", **options)
    collector.stop()
    path = collector.result(None)
    assert path is not None
    return load_recording(path), collector


def same(recording: Recording, source: Recording) -> None:
    assert np.array_equal(recording.image_stamps_ns, source.image_stamps_ns)
    assert np.array_equal(recording.images[3], source.images[3])
    assert np.array_equal(recording.camera.K, source.camera.K)
    assert recording.urdf == source.urdf
    for name in source.joints.names:
        for own, other in zip(
            recording.joints.series(name), source.joints.series(name), strict=True
        ):
            assert np.array_equal(own, other)


def test_recording_is_that_of_the_bag(simulated_bag: Path, folder: Path) -> None:
    recording, collector = played(simulated_bag, folder)
    same(recording, load_recording(simulated_bag))
    assert collector.images == len(recording) == 20
    # The masks beside the images are no camera.
    assert recording.notes == ()


def test_goals_are_judged_on_the_whole_bag(simulated_bag: Path, folder: Path) -> None:
    collector = Collector(in_background=False)
    play(simulated_bag, collector, folder / "x")
    progress = collector.progress(collector.now_ns)
    assert progress.figures["distinct_poses"] == 20
    assert progress.is_informative, progress.findings
    collector.discard()


def test_bag_of_ros1(simulated_bag: Path, folder: Path, tmp_path: Path) -> None:
    source = load_recording(simulated_bag)
    ros = RosMessages(is_ros2=False)
    with rosbag1.Writer(tmp_path / "old.bag") as writer:

        def write(topic: str, kind: str, stamp_ns: int, message: Any) -> None:
            key = (topic, kind)
            if key not in topics:
                topics[key] = writer.add_connection(topic, kind, typestore=ros.typestore)
            writer.write(topics[key], stamp_ns, ros.serialised(message, kind))

        topics: dict[tuple[str, str], Any] = {}
        stamps = source.image_stamps_ns.tolist()
        write(
            "/robot_description",
            "std_msgs/msg/String",
            stamps[0] - 1,
            ros.string(source.urdf or ""),
        )
        for i, stamp in enumerate(stamps):
            image = ros.image(stamp, source.camera.frame_id, source.images[i], "rgb8")
            write("/cam/image_raw", "sensor_msgs/msg/Image", stamp, image)
            info = ros.camera_info(stamp, source.camera)
            write("/cam/camera_info", "sensor_msgs/msg/CameraInfo", stamp, info)
        joint_stamps = source.joints.series(source.joints.names[0])[0]
        rows, _ = source.joints.at(joint_stamps)
        for stamp, row in zip(joint_stamps.tolist(), rows, strict=True):
            state = ros.joint_state(stamp, source.joints.names, row)
            write("/joint_states", "sensor_msgs/msg/JointState", stamp, state)
    recording, _ = played(tmp_path / "old.bag", folder)
    same(recording, source)


def test_bag_that_is_cut_off(simulated_bag: Path, folder: Path, tmp_path: Path) -> None:
    (file,) = simulated_bag.glob("*.mcap")
    data = file.read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[: len(data) // 2])
    recording, _ = played(tmp_path / "cut.mcap", folder)
    assert 5 < len(recording) < 20
    assert [path.name for path in folder.iterdir()] == ["x"]


def test_topics_can_be_named(simulated_bag: Path, folder: Path) -> None:
    image = "/camera/color/image_raw/compressed"
    recording, _ = played(
        simulated_bag, folder, topics=BagTopics(image=image, joints=("/joint_states",))
    )
    assert len(recording) == 20


@pytest.mark.parametrize(
    ("topics", "complaint"),
    [
        (BagTopics(image="/none"), "has no image topic '/none'; it has: /camera/color"),
        (BagTopics(joints=("/none",)), "has no JointState topic '/none'; it has: /joint_states"),
        (BagTopics(camera_info="/none"), "has no CameraInfo topic '/none'"),
    ],
)
def test_topics_that_are_not_there(
    simulated_bag: Path, folder: Path, topics: BagTopics, complaint: str
) -> None:
    with pytest.raises(RecordingError, match=complaint):
        play(simulated_bag, Collector(in_background=False), folder / "x", topics)
    assert not folder.exists()


def test_no_bag(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(RecordingError, match=f"{path} is no bag"):
            play(path, Collector(in_background=False), folder / "x")
    assert not folder.exists()


def test_playback_can_be_ended(simulated_bag: Path, folder: Path) -> None:
    collector = Collector(in_background=False)
    play(simulated_bag, collector, folder / "x", keep_on=lambda: collector.images < 5)
    assert collector.images == 5
    collector.stop()
    assert len(load_recording(collector.result(None) or folder)) == 5


def test_stop_and_go_from_a_bag(simulated_bag: Path, folder: Path) -> None:
    settings = CollectionSettings(mode="stop_and_go")
    collector = Collector(settings, in_background=False)
    play(simulated_bag, collector, folder / "x")
    # This robot never rests.
    assert collector.images == 0
    collector.stop()
    assert collector.result(None) is None
