# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from calib_all_ros.annotation.bag import write_annotated_bag
from calib_all_ros.annotation.bag_topics import AnnotationTopics, camera_name
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording, annotated_recording
from calib_all_ros.annotation.label_image import depth_millimetres
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import StaticTransform
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.ros_messages import RosMessages
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot

STORE = get_typestore(Stores.LATEST)
NAMESPACE = "/calib_all/camera_color"


def messages_of(path: Path) -> list[tuple[str, str, int, bytes]]:
    with Reader(path) as reader:
        return [(c.topic, c.msgtype, t, bytes(data)) for c, t, data in reader.messages()]


def on_topic(path: Path, topic: str) -> list[Any]:
    found = [m for m in messages_of(path) if m[0] == topic]
    return [STORE.deserialize_cdr(data, kind) for _, kind, _, data in found]


@pytest.fixture(scope="session")
def of_bag(simulated_bag: Path, demo_robot: Robot, calibration: Calibration) -> AnnotatedRecording:
    return annotated_recording(load_recording(simulated_bag), demo_robot, calibration)


@pytest.fixture(scope="session")
def written(of_bag: AnnotatedRecording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bag with annotations of every fifth image; do not change it."""
    out = tmp_path_factory.mktemp("annotated") / "bag"
    assert write_annotated_bag(out, of_bag.every(5)) == ()
    return out


def test_original_messages_are_copied_byte_for_byte(written: Path, simulated_bag: Path) -> None:
    added = (NAMESPACE, "/tf_static")
    copied = [m for m in messages_of(written) if not m[0].startswith(added)]
    assert copied == messages_of(simulated_bag)


def test_definitions_and_quality_of_service_stay(written: Path, simulated_bag: Path) -> None:
    with Reader(written) as new, Reader(simulated_bag) as old:
        kept = {c.topic: c for c in new.connections}
        for connection in old.connections:
            copy = kept[connection.topic]
            assert copy.ext == connection.ext
            assert (copy.msgdef, copy.digest) == (connection.msgdef, connection.digest)
        assert kept["/tf_static"].ext.offered_qos_profiles[0].durability.name == "TRANSIENT_LOCAL"


def test_annotations_come_with_the_stamp_and_log_time_of_their_image(
    written: Path, of_bag: AnnotatedRecording
) -> None:
    stamps = of_bag.recording.image_stamps_ns[::5].tolist()
    for name in ("robot_depth", "link_masks", "gripper_mask", "eef_pose"):
        found = on_topic(written, f"{NAMESPACE}/{name}")
        assert [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in found] == stamps
        assert {m.header.frame_id for m in found} == {of_bag.camera.frame_id}
    times = {m[2] for m in messages_of(written) if m[0] == f"{NAMESPACE}/robot_depth"}
    images = {m[2] for m in messages_of(written) if m[0] == "/camera/color/image_raw/compressed"}
    assert times <= images


def test_annotations_are_those_of_the_frames(written: Path, of_bag: AnnotatedRecording) -> None:
    for row, annotation in enumerate(of_bag.every(5).annotations()):
        depth = on_topic(written, f"{NAMESPACE}/robot_depth")[row]
        assert (depth.encoding, depth.step, depth.width) == ("16UC1", 640, 320)
        pixels = np.asarray(depth.data).view(np.uint16).reshape(240, 320)
        assert np.array_equal(pixels, depth_millimetres(annotation.depth_m))
        links = on_topic(written, f"{NAMESPACE}/link_masks")[row]
        assert links.encoding == "mono8"
        assert np.array_equal(np.asarray(links.data).reshape(240, 320), annotation.links + 1)
        gripper = on_topic(written, f"{NAMESPACE}/gripper_mask")[row]
        assert np.array_equal(np.asarray(gripper.data).reshape(240, 320) > 0, annotation.gripper)
        pose = on_topic(written, f"{NAMESPACE}/eef_pose")[row].pose
        place = [getattr(pose.position, axis) for axis in "xyz"]
        turn = [getattr(pose.orientation, axis) for axis in "xyzw"]
        T = se3.from_quaternion_xyzw(turn, place)
        np.testing.assert_allclose(T, annotation.eef.T_camera_eef, atol=1e-12)


def test_pixels_are_given_where_the_end_effector_is_visible(
    written: Path, of_bag: AnnotatedRecording
) -> None:
    seen = [a for a in of_bag.every(5).annotations() if a.eef.visible]
    points = on_topic(written, f"{NAMESPACE}/eef_pixel")
    assert 0 < len(points) == len(seen)
    for message, annotation in zip(points, seen, strict=True):
        found = [message.point.x, message.point.y, message.point.z]
        np.testing.assert_allclose(found, [*annotation.eef.pixel, annotation.eef.depth_m])
        assert message.header.frame_id == f"{of_bag.camera.frame_id}/pixels"


def test_own_loader_reads_the_new_bag_with_its_tf(
    written: Path, of_bag: AnnotatedRecording
) -> None:
    recording = load_recording(written)
    assert len(recording) == len(of_bag.recording)
    assert np.array_equal(recording.images[3], of_bag.recording.images[3])
    assert recording.warnings == ()
    (edge,) = recording.static_transforms
    assert (edge.parent, edge.child) == ("base_link", of_bag.camera.frame_id)
    np.testing.assert_allclose(
        edge.T_parent_child, se3.invert(of_bag.estimate.T_camera_base), atol=1e-12
    )


def test_part_of_a_bag_is_annotated_where_it_lies(
    simulated_bag: Path, demo_robot: Robot, calibration: Calibration, tmp_path: Path
) -> None:
    recording = load_recording(RecordingSource(simulated_bag, start_s=1.0, end_s=2.0))
    annotated = annotated_recording(recording, demo_robot, calibration)
    write_annotated_bag(tmp_path / "out", annotated)
    found = on_topic(tmp_path / "out", f"{NAMESPACE}/eef_pose")
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in found]
    assert stamps == recording.image_stamps_ns.tolist() and len(stamps) == 5


def test_bag_with_unknown_types_and_split_files_is_copied_whole(
    simulated_bag: Path, demo_robot: Robot, calibration: Calibration, tmp_path: Path
) -> None:
    """Files without metadata.yaml; one of them holds a type that nobody knows."""
    folder = tmp_path / "split"
    folder.mkdir()
    (folder / "a.mcap").write_bytes(next(simulated_bag.glob("*.mcap")).read_bytes())
    with Writer(tmp_path / "b", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(
            "/odd", "own_msgs/msg/Odd", msgdef="uint8 x\n", rihs01="RIHS01_" + "1" * 64
        )
        writer.write(connection, 1_700_000_000_000_000_000, b"\x00\x01\x00\x00\x07")
    (folder / "b.mcap").write_bytes((tmp_path / "b" / "b.mcap").read_bytes())
    recording = load_recording(folder)
    annotated = annotated_recording(recording, demo_robot, calibration).every(10)
    write_annotated_bag(tmp_path / "out", annotated)
    odd = [m for m in messages_of(tmp_path / "out") if m[0] == "/odd"]
    assert [(m[1], m[3]) for m in odd] == [("own_msgs/msg/Odd", b"\x00\x01\x00\x00\x07")]
    assert len(on_topic(tmp_path / "out", f"{NAMESPACE}/eef_pose")) == 2


def test_tf_of_the_driver_is_kept_a_tree(of_bag: AnnotatedRecording, tmp_path: Path) -> None:
    optical = of_bag.camera.frame_id
    T_link_optical = se3.make(np.eye(3), np.array([0.0, 0.015, 0.0]))
    driver = StaticTransform("camera_link", optical, T_link_optical)
    published = replace(of_bag.recording, static_transforms=(driver,))
    write_annotated_bag(tmp_path / "a", replace(of_bag, recording=published).every(10))
    (edge,) = load_recording(tmp_path / "a").static_transforms
    assert (edge.parent, edge.child) == ("base_link", "camera_link")
    np.testing.assert_allclose(
        edge.T_parent_child @ T_link_optical,
        se3.invert(of_bag.estimate.T_camera_base),
        atol=1e-12,
    )
    wrong = StaticTransform("base_link", optical, np.eye(4))
    taken = replace(of_bag.recording, static_transforms=(wrong,))
    notes = write_annotated_bag(tmp_path / "b", replace(of_bag, recording=taken).every(10))
    assert "the static TF of the calibration is not in the bag" in notes[0]
    assert load_recording(tmp_path / "b").static_transforms == ()


def test_what_cannot_be_copied_is_told(
    of_bag: AnnotatedRecording, annotated: AnnotatedRecording, written: Path, tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError, match="--bag copies a bag, and this recording is none"):
        write_annotated_bag(tmp_path / "out", annotated)
    with pytest.raises(AnnotationError, match="exists already"):
        write_annotated_bag(written, of_bag)
    again = replace(of_bag, recording=load_recording(written))
    with pytest.raises(AnnotationError, match="has annotations of this camera already"):
        write_annotated_bag(tmp_path / "out", again)
    assert list(tmp_path.iterdir()) == []


def test_many_links_need_sixteen_bits(annotations: list[FrameAnnotation]) -> None:
    topics = AnnotationTopics("/n", "optical", 300, RosMessages(is_ros2=True))
    found = {m.topic: m for m in topics.messages(annotations[0])}
    image = STORE.deserialize_cdr(found["/n/link_masks"].data, "sensor_msgs/msg/Image")
    assert (image.encoding, image.step) == ("mono16", 640)
    labels = np.asarray(image.data).view(np.uint16).reshape(240, 320)
    assert np.array_equal(labels, annotations[0].links + 1)


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("/camera/color/image_raw/compressed", "camera_color"),
        ("/front/image_raw", "front"),
        ("/front/compressed", "front"),
        ("image", "image"),
    ],
)
def test_camera_is_called_after_its_topic(topic: str, name: str) -> None:
    assert camera_name(topic) == name
