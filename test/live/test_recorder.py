# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String

from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import Recording
from calib_all_ros.recording.writing import JointSamples, write_folder


def start(graph: Any, **parameters: Any) -> Any:
    folder = graph.folder / "recordings"
    return graph.start("recorder", {"folder": str(folder), "auto_stop": False, **parameters})


def finished(graph: Any) -> Recording:
    """Wait for the recorder's announcement and read what it announces."""
    paths = graph.listen("/recorder/recording", String)
    graph.wait_for(lambda: paths and paths[-1].data, "the finished recording")
    return load_recording(paths[-1].data)


def play_whole(graph: Any, recording: Path, **options: Any) -> Any:
    player = graph.play(recording, **options)
    graph.wait_for(lambda: "played" in player.output, "the player")
    return player


@pytest.mark.parametrize("compressed", [False, True])
def test_nothing_is_lost_or_changed(graph: Any, live_recording: Path, compressed: bool) -> None:
    start(graph)
    play_whole(graph, live_recording, compressed=compressed)
    assert graph.call("/recorder/stop").success
    recording, source = finished(graph), load_recording(live_recording)
    # The first ones show the recorder that there is something to record.
    assert len(source) - 15 <= len(recording) <= len(source)
    assert recording.warnings == ()
    assert recording.urdf == source.urdf
    assert np.array_equal(recording.camera.K, source.camera.K)
    intervals = np.diff(recording.image_stamps_ns)
    assert intervals.max() < 1.5 * np.median(intervals), "images are missing in the middle"
    if not compressed:
        assert np.array_equal(recording.images[-1], source.images[-1])
    start_ns, end_ns = recording.joints.span()
    span_s = (end_ns - start_ns) / 1e9
    stamps, _ = recording.joints.series(recording.joints.names[0])
    assert len(stamps) == pytest.approx(100 * span_s, abs=3)


def test_driver_that_restarts_with_other_qos(graph: Any, live_recording: Path) -> None:
    start(graph)
    first = play_whole(graph, live_recording, last_image_s=2.0)
    first.end()
    play_whole(graph, live_recording, reliable=False)
    graph.call("/recorder/stop")
    recording, whole = finished(graph), load_recording(live_recording)
    # All of the second run: the recorder subscribed anew before the player began.
    assert len(recording) > len(whole)


def test_says_what_is_missing(graph: Any, live_recording: Path) -> None:
    start(graph)
    statuses = graph.listen("/recorder/status", String)
    diagnostics = graph.listen("/diagnostics", DiagnosticArray, QoSProfile(depth=10))
    said = lambda words: any(words in message.data for message in statuses)  # noqa: E731
    graph.wait_for(lambda: said("nobody publishes images"), "that there are no images")
    graph.node.create_publisher(Image, "/left/image", 1)
    graph.node.create_publisher(Image, "/right/image", 1)
    graph.wait_for(lambda: said("/left/image, /right/image"), "that there are two cameras")
    names = {status.name for message in diagnostics for status in message.status}
    assert names == {"recorder: recording"}


def test_start_stop_and_discard(graph: Any, live_recording: Path) -> None:
    start(graph, auto_start=False)
    graph.play(live_recording, loops=50)
    stop = graph.call("/recorder/stop")
    assert (stop.success, stop.message) == (False, "nothing is being recorded")
    assert graph.call("/recorder/start").success
    assert not graph.call("/recorder/start").success
    assert graph.call("/recorder/discard").message == "the recording under way is deleted"
    graph.wait_for(
        lambda: not list((graph.folder / "recordings").glob("*")), "the recording to vanish"
    )
    graph.wait_for(lambda: graph.call("/recorder/start").success, "another recording")
    # The first images can come before the recorder hears the camera_info.
    wait_for_images(graph, 20)
    assert graph.call("/recorder/stop").success
    assert len(finished(graph)) >= 20


def test_stop_says_what_the_recording_lacks(graph: Any, live_recording: Path) -> None:
    start(graph)
    graph.play(live_recording, loops=50, camera_info_after_s=600.0)
    wait_for_images(graph, 60)
    stop = graph.call("/recorder/stop")
    assert stop.success
    assert "no camera_info for /camera/image_raw" in stop.message


def wait_for_images(graph: Any, count: int) -> None:
    diagnostics = graph.listen("/diagnostics", DiagnosticArray, QoSProfile(depth=10))

    def enough() -> bool:
        for message in diagnostics:
            values = {v.key: v.value for v in message.status[0].values}
            if int(values.get("images", 0)) >= count:
                return True
        return False

    graph.wait_for(enough, f"{count} recorded images")


def test_interrupted_recorder_finishes_its_recording(graph: Any, live_recording: Path) -> None:
    recorder = start(graph)
    graph.play(live_recording, loops=50)
    wait_for_images(graph, 60)
    recorder.interrupt()
    assert recorder.exit_code() == 0
    (path,) = (graph.folder / "recordings").iterdir()
    assert (path / "metadata.yaml").is_file()
    recording = load_recording(path)
    assert len(recording) >= 60
    assert recording.notes == ()


def test_killed_recorder_leaves_what_it_had(graph: Any, live_recording: Path) -> None:
    recorder = start(graph)
    graph.play(live_recording, loops=50)
    wait_for_images(graph, 60)
    recorder.kill()
    assert recorder.exit_code() == -9
    (path,) = (graph.folder / "recordings").iterdir()
    assert len(load_recording(path)) >= 60
    # The next recorder makes an ordinary bag of it.
    again = start(graph, auto_start=False)
    graph.wait_for(lambda: "completed a recording" in again.output, "the completion")
    (path,) = (graph.folder / "recordings").iterdir()
    assert (path / "metadata.yaml").is_file()
    recording = load_recording(path)
    assert len(recording) >= 60
    assert recording.notes == ()


@pytest.fixture
def resting_recording(live_recording: Path, tmp_path: Path) -> Path:
    """Rests for two seconds in each of four poses, and takes half a second between them."""
    source = load_recording(live_recording)
    shown = np.linspace(10, len(source) - 10, 4).astype(int)
    poses = source.joints.at(source.image_stamps_ns[shown], source.joints.names)[0]
    corners = [(2.5 * i + at, pose) for i, pose in enumerate(poses) for at in (0.0, 2.0)]
    times = np.arange(0, corners[-1][0], 0.01)
    columns = np.array([pose for _, pose in corners]).T
    positions = np.stack([np.interp(times, [t for t, _ in corners], c) for c in columns], axis=1)
    image_times = np.arange(0.1, times[-1] - 0.1, 1 / 30)
    nearest = np.minimum((image_times / 2.5).round().astype(int), len(shown) - 1)
    write_folder(
        tmp_path / "resting",
        images=(source.images[int(shown[i])] for i in nearest),
        image_stamps_ns=(image_times * 1e9).astype(np.int64),
        joints=JointSamples(source.joints.names, (times * 1e9).astype(np.int64), positions),
        camera=source.camera,
        urdf=source.urdf or "",
        T_camera_base=source.reference_T_camera_base,
        base_frame=source.base_frame or "",
    )
    return tmp_path / "resting"


def test_stop_and_go_takes_an_image_where_the_robot_rests(
    graph: Any, resting_recording: Path
) -> None:
    source = load_recording(resting_recording)
    middles = int(source.image_stamps_ns[0]) + np.array([0.9, 3.4, 5.9, 8.4]) * 1e9
    poses = source.joints.at(middles.astype(np.int64), source.joints.names)[0]
    file = graph.folder / "configurations.yaml"
    document = {"joint_names": list(source.joints.names), "configurations": poses.tolist()}
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    start(graph, mode="stop_and_go", configurations=str(file), auto_stop=True)
    graph.play(resting_recording)
    recording = finished(graph)
    assert len(recording) == len(poses)
    positions, valid = recording.joints.at(recording.image_stamps_ns, source.joints.names)
    assert valid.all()
    assert np.abs(positions - poses).max() < 0.02
