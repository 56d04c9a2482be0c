# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.collection.collector import Collector, Progress
from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.settings import CollectionSettings
from calib_all_ros.collection.stop_and_go import JointConfigurations, StopAndGoSettings
from calib_all_ros.collection.stream_writer import StorageLimits, StreamMessage
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.bag_storage import CAMERA_INFO, IMAGE, JOINT_STATE, STRING, TF_MESSAGE
from calib_all_ros.recording.recording import Recording

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
JOINTS = tuple(f"joint_{i}" for i in range(1, 8))
WAYPOINTS = np.array(
    [[0.0] * 7, [0.6, -0.5, 0.2, 0.9, 0.3, 0.8, 0.4], [-0.7, -0.9, 0, 0.3, 1, 0, 1]]
)


def swinging(seconds: float) -> NDArray[np.float64]:
    rates = np.array([0.50, 0.37, 0.41, 0.33, 0.61, 0.47, 0.55])
    return np.asarray(np.sin(rates * seconds + np.arange(7)))


def resting(seconds: float) -> NDArray[np.float64]:
    """A second in each of three poses, half a second between them."""
    step, within = divmod(seconds, 1.5)
    here, there = WAYPOINTS[int(step) % 3], WAYPOINTS[(int(step) + 1) % 3]
    return np.asarray(here + max(0.0, within - 1.0) / 0.5 * (there - here))


def collector(**options: Any) -> Collector:
    settings = options.pop("settings", None)
    return Collector(settings, in_background=False, **options)


def record(
    collector: Collector, messages: Iterable[StreamMessage], folder: Path, **begin: Any
) -> Progress:
    """Record messages, and return where it stood before the end."""
    collector.start(folder / "x", START_NS)
    for message in messages:
        collector.add(message)
    progress = collector.progress(collector.now_ns)
    collector.stop()
    return progress


def finished(collector: Collector) -> Recording:
    path = collector.result(None)
    assert path is not None
    return load_recording(path)


def said(progress: Progress, *levels: str) -> str:
    return " | ".join(f.sentence for f in progress.findings if f.level in (levels or (f.level,)))


def test_recording_holds_what_was_sent(scene: Any, folder: Path) -> None:
    session = collector()
    messages = list(scene.stream(swinging, 2.0))
    progress = record(session, messages, folder)
    assert progress.state == "recording" and session.images == 21
    recording = finished(session)
    assert session.state == "idle"
    assert len(recording) == 21
    assert np.array_equal(recording.images[7], scene.picture(0.7))
    assert recording.urdf == scene.urdf
    assert len(recording.joints.series("joint_3")[0]) == 201
    assert recording.warnings == () and recording.notes == ()


def test_varied_motion_becomes_informative(scene: Any, folder: Path) -> None:
    session = collector()
    session.start(folder / "x", START_NS)
    since = None
    for message in scene.stream(swinging, 20.0):
        session.add(message)
        if message.kind == IMAGE and since is None:
            progress = session.progress(message.log_ns)
            if progress.is_informative:
                since = (message.log_ns - START_NS) / SECOND_NS
    assert since is not None and 4.0 < since < 12.0
    figures = session.progress(session.now_ns).figures
    assert figures["end_effector"] == "hand"
    assert figures["image_rate_hz"] == 10.0
    assert figures["images"] == 201
    session.discard()


def test_motionless_robot_is_not_informative(scene: Any, folder: Path) -> None:
    progress = record(collector(), scene.stream(lambda s: np.zeros(7), 12.0), folder)
    assert not progress.is_informative
    assert "1 different poses are recorded, 16 are wanted: keep moving" in said(progress, "hint")


def test_informative_motion_without_camera_info_is_not_enough(scene: Any, folder: Path) -> None:
    messages = [m for m in scene.stream(swinging, 15.0) if m.kind != CAMERA_INFO]
    progress = record(collector(), messages, folder)
    assert said(progress, "hint") == ""
    assert "no camera_info for /cam/image_raw yet" in said(progress, "error")
    assert not progress.is_informative


def test_late_camera_info_is_enough(scene: Any, folder: Path) -> None:
    late_ns = START_NS + 10 * SECOND_NS
    messages = [
        m for m in scene.stream(swinging, 15.0) if m.kind != CAMERA_INFO or m.log_ns > late_ns
    ]
    session = collector()
    assert record(session, messages, folder).is_informative
    assert len(finished(session)) == 151


def test_paused_joint_states_leave_a_readable_recording(scene: Any, folder: Path) -> None:
    pause = (START_NS + 5 * SECOND_NS, START_NS + 7 * SECOND_NS)
    messages = [m for m in scene.stream(swinging, 15.0) if m.kind != JOINT_STATE or
                not pause[0] < m.log_ns < pause[1]]  # fmt: skip
    session = collector()
    progress = record(session, messages, folder)
    assert "(longest gap 2.00 s)" in said(progress, "warn")
    assert progress.is_informative
    recording = finished(session)
    _, known = recording.joints.at(recording.image_stamps_ns)
    assert 15 <= (~known).sum() <= 20


def test_wrong_clock_is_not_informative(scene: Any, folder: Path) -> None:
    messages = [
        scene.image((m.log_ns - START_NS) / SECOND_NS, stamp_offset_s=-4.0)
        if m.kind == IMAGE
        else m
        for m in scene.stream(swinging, 15.0)
    ]
    progress = record(collector(), messages, folder)
    assert "the stamps of the images are 4.0 s behind" in said(progress, "error")
    assert not progress.is_informative


def test_what_was_latched_before_goes_into_every_recording(scene: Any, folder: Path) -> None:
    session = collector()
    session.add(scene.description())
    session.add(scene.info(0.0))
    edge = scene.ros.typestore.types["tf2_msgs/msg/TFMessage"](transforms=[])
    data = scene.ros.serialised(edge, TF_MESSAGE)
    session.add(StreamMessage("/tf_static", TF_MESSAGE, START_NS, data, True))
    for name in ("first", "second"):
        session.start(folder / name, START_NS)
        for message in scene.stream(swinging, 1.0):
            if message.kind not in (STRING, CAMERA_INFO):
                session.add(message)
        session.stop()
        recording = finished(session)
        assert recording.source == str(folder / name)
        assert recording.urdf == scene.urdf
        assert len(recording) == 11


def test_given_urdf_goes_before_the_published_one(scene: Any, folder: Path) -> None:
    own = scene.urdf.replace("demo_arm", "my_arm")
    session = collector(urdf=own)
    record(session, scene.stream(swinging, 1.0), folder)
    assert finished(session).urdf == own


def test_nothing_is_recorded_while_idle(scene: Any, folder: Path) -> None:
    session = collector()
    for message in scene.stream(swinging, 1.0):
        session.add(message)
    assert session.state == "idle" and session.images == 0
    assert not folder.exists()
    session.stop()
    session.discard()
    assert session.result() is None


def test_awaits_what_a_recording_needs(scene: Any) -> None:
    session = collector()
    assert session.awaits == "images"
    session.add(scene.image(0.0))
    assert session.awaits == "joint states"
    session.add(scene.joints(0.0, np.zeros(7)))
    session.add(scene.joints(0.1, np.full(7, 0.001)))
    assert session.awaits == "the robot to move"
    session.add(scene.joints(0.2, np.full(7, 0.02)))
    assert session.awaits is None


def test_recording_without_images_is_not_kept(scene: Any, folder: Path) -> None:
    session = collector()
    messages = [m for m in scene.stream(swinging, 1.0) if m.kind != IMAGE]
    record(session, messages, folder)
    assert session.result(None) is None
    assert session.state == "idle"
    assert list(folder.iterdir()) == []


def test_discarding(scene: Any, folder: Path) -> None:
    session = collector()
    session.start(folder / "x", START_NS)
    session.add(scene.image(0.0))
    session.discard()
    assert session.result(None) is None and session.state == "idle"
    assert list(folder.iterdir()) == []


def test_one_recording_at_a_time(folder: Path) -> None:
    session = collector()
    assert session.start(folder / "x", START_NS) == folder / "x"
    with pytest.raises(CollectionError, match="under way"):
        session.start(folder / "y", START_NS)
    session.discard()


def test_full_disk_ends_the_recording_and_says_why(scene: Any, folder: Path) -> None:
    settings = CollectionSettings(storage=StorageLimits(max_gigabytes=1e-3))
    session = collector(settings=settings)
    session.start(folder / "x", START_NS)
    for message in scene.stream(swinging, 60.0):
        session.add(message)
        if session.ended_by:
            break
    assert session.ended_by is not None and "max_gigabytes" in session.ended_by
    recording = finished(session)
    assert 50 < len(recording) <= session.images


def test_broken_messages_are_told_and_do_no_harm(scene: Any, folder: Path) -> None:
    session = collector()
    broken = StreamMessage("/joint_states", JOINT_STATE, START_NS, b"\0\1\0\0" + b"\xff" * 9)
    messages = list(scene.stream(swinging, 12.0))
    progress = record(session, [*messages[:50], broken, *messages[50:]], folder)
    assert "/joint_states: " in said(progress, "error")
    assert len(finished(session)) == 121


def test_other_messages_are_ignored(scene: Any, folder: Path) -> None:
    session = collector()
    other = StreamMessage("/cloud", "sensor_msgs/msg/PointCloud2", START_NS, b"")
    text = scene.description()._replace(topic="/chatter")
    record(session, [other, text, *scene.stream(swinging, 1.0)], folder)
    assert finished(session).urdf == scene.urdf


def test_robot_that_is_not_described(scene: Any, folder: Path) -> None:
    messages = [m for m in scene.stream(swinging, 12.0) if m.kind != STRING]
    progress = record(collector(), messages, folder)
    assert "there is no robot description" in said(progress, "warn")
    # It can be given to the solve.
    assert progress.is_informative


def stop_and_go(**options: Any) -> CollectionSettings:
    goals = replace(CollectionSettings().goals, poses=3, turn_deg=30.0, travel_share=0.1)
    stop = StopAndGoSettings(poses=3, **options)
    return CollectionSettings(mode="stop_and_go", goals=goals, stop_and_go=stop)


def test_stop_and_go_records_one_image_a_pose_and_all_joint_states(
    scene: Any, folder: Path
) -> None:
    session = collector(settings=stop_and_go())
    assert session.awaits == "images"
    progress = record(session, scene.stream(resting, 6.0), folder)
    assert progress.is_informative, said(progress)
    recording = finished(session)
    assert len(recording) == 3
    positions, known = recording.joints.at(recording.image_stamps_ns, JOINTS)
    assert known.all()
    assert positions == pytest.approx(WAYPOINTS, abs=0.01)
    assert len(recording.joints.series("joint_1")[0]) == 601


def test_stop_and_go_waits_for_the_joint_states_after_the_last_image(
    scene: Any, folder: Path
) -> None:
    session = collector(settings=stop_and_go())
    session.start(folder / "x", START_NS)
    for message in scene.stream(resting, 3.65):
        session.add(message)
    assert session.images == 3
    progress = session.progress(session.now_ns)
    assert not progress.is_informative
    assert "joint states after the last image are awaited" in said(progress)
    session.discard()


def test_stop_and_go_by_a_list(scene: Any, folder: Path) -> None:
    wanted = JointConfigurations(JOINTS, WAYPOINTS[[1, 2]])
    session = collector(settings=stop_and_go(), configurations=wanted)
    session.start(folder / "x", START_NS)
    for message in scene.stream(resting, 2.4):
        session.add(message)
    progress = session.progress(session.now_ns)
    assert "1 of 2 poses are taken: move the arm to configuration 2" in said(progress, "hint")
    assert progress.figures["poses_taken"] == 1
    for message in scene.stream(resting, 6.0):
        if message.log_ns > START_NS + 2.4 * SECOND_NS:
            session.add(message)
    progress = session.progress(session.now_ns)
    # The list is what its author wants; that it is a short one is said all the same.
    assert progress.is_informative
    assert "all poses are taken, but 2 different poses are recorded" in said(progress, "warn")
    session.stop()
    assert len(finished(session)) == 2


def test_in_background(scene: Any, folder: Path) -> None:
    """The same in threads: everything is recorded, whatever the inspector has time for."""
    session = Collector()
    session.start(folder / "x", START_NS)
    for message in scene.stream(swinging, 3.0):
        session.add(message)
    session.stop()
    recording = finished(session)
    assert len(recording) == 31
    session.close()


def test_closing_finishes_the_recording(scene: Any, folder: Path) -> None:
    session = Collector()
    session.start(folder / "x", START_NS)
    for message in scene.stream(swinging, 1.0):
        session.add(message)
    session.close()
    assert len(load_recording(folder / "x")) == 11
