# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import Recording, RecordingError

MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
URDF = '<robot name="r"><link name="base"/></robot>'


def check(recording: Recording, bags: Any, tolerance: float = 0.0) -> None:
    """Compare with what BagMaker put in."""
    assert recording.image_stamps_ns.tolist() == bags.stamps
    for i in range(bags.frames):
        difference = np.abs(recording.images[i].astype(int) - bags.picture(i))
        assert difference.mean() <= tolerance
    positions, valid = recording.joints.at(recording.image_stamps_ns, bags.joints)
    assert valid.all()
    np.testing.assert_allclose(positions, [bags.position(s) for s in bags.stamps], atol=1e-9)
    np.testing.assert_array_equal(recording.camera.K, bags.camera.K)
    assert recording.camera.frame_id == "cam_optical_frame"
    assert recording.urdf == URDF
    assert recording.warnings == ()


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (MCAP, CompressionMode.NONE),
        (MCAP, CompressionMode.FILE),
        (MCAP, CompressionMode.MESSAGE),
        (MCAP, CompressionMode.STORAGE),
        (SQLITE, CompressionMode.NONE),
        (SQLITE, CompressionMode.FILE),
        (SQLITE, CompressionMode.MESSAGE),
    ],
)
def test_every_storage_and_compression(
    bags: Any, storage: StoragePlugin, compression: CompressionMode
) -> None:
    path = bags.write(bags.everything(), storage=storage, compression=compression)
    check(load_recording(path), bags)
    (file,) = (p for p in path.iterdir() if p.name != "metadata.yaml")
    check(load_recording(file), bags)
    (path / "metadata.yaml").unlink()
    check(load_recording(path), bags)


@pytest.mark.parametrize("storage", [MCAP, SQLITE])
def test_split_files(bags: Any, storage: StoragePlugin) -> None:
    path = bags.write_split(bags.everything(), storage)
    check(load_recording(path), bags)
    (path / "metadata.yaml").unlink()
    check(load_recording(path), bags)


@pytest.mark.parametrize("compression", [None, *Writer1.CompressionFormat])
def test_rosbag1(bags1: Any, compression: Writer1.CompressionFormat | None) -> None:
    check(load_recording(bags1.write_ros1(bags1.everything(), compression=compression)), bags1)


def test_rosbag1_in_several_files(bags1: Any) -> None:
    folder = bags1.folder / "two"
    folder.mkdir()
    bags1.write_ros1(bags1.everything()[:4], "two/a.bag")
    bags1.write_ros1(bags1.everything()[4:], "two/b.bag")
    check(load_recording(folder), bags1)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_raw_encodings(bags: Any, encoding: str) -> None:
    images = bags.images(encoding=encoding)
    path = bags.write(images + bags.infos() + bags.states() + bags.description())
    check(load_recording(path), bags)


def test_compressed_images(bags: Any) -> None:
    path = bags.write(bags.jpegs() + bags.infos() + bags.states() + bags.description())
    check(load_recording(path), bags, tolerance=3.0)


def test_raw_goes_before_its_compressed_twin(bags: Any) -> None:
    path = bags.write(bags.everything() + bags.jpegs())
    check(load_recording(path), bags)
    compressed = load_recording(RecordingSource(path, image_topic="/cam/image_raw/compressed"))
    assert 0 < np.abs(compressed.images[2].astype(int) - bags.picture(2)).mean() < 3


def test_depth_is_no_candidate(bags: Any) -> None:
    depth = [
        m._replace(content=replace(m.content, encoding="16UC1"))
        for m in bags.images("/cam/aligned_depth/image_raw")
    ]
    infos = bags.infos("/cam/aligned_depth/camera_info")
    packed = [
        m._replace(content=replace(m.content, format="16UC1; compressedDepth png"))
        for m in bags.jpegs("/cam/aligned_depth/image_raw/compressedDepth")
    ]
    path = bags.write(bags.everything() + depth + infos + packed)
    assert load_recording(path).images[3].shape == (48, 64, 3)


def test_two_cameras_are_ambiguous(bags: Any) -> None:
    other = bags.images("/wrist/image_raw") + bags.infos("/wrist/camera_info")
    path = bags.write(bags.everything() + other)
    with pytest.raises(RecordingError, match=r"several.*/cam/image_raw, /wrist/image_raw"):
        load_recording(path)
    check(load_recording(RecordingSource(path, image_topic="/cam/image_raw")), bags)


def test_unknown_topics_list_what_exists(bags: Any) -> None:
    path = bags.write(bags.everything())
    with pytest.raises(RecordingError, match=r"no image topic '/x'.*/cam/image_raw"):
        load_recording(RecordingSource(path, image_topic="/x"))
    with pytest.raises(RecordingError, match=r"no CameraInfo topic '/x'.*/cam/camera_info"):
        load_recording(RecordingSource(path, camera_info_topic="/x"))
    with pytest.raises(RecordingError, match=r"no JointState topic '/x'.*/joint_states"):
        load_recording(RecordingSource(path, joint_topics=["/x"]))
    with pytest.raises(RecordingError, match=r"no mask image topic '/x'.*/cam/image_raw"):
        load_recording(RecordingSource(path, masks="/x"))


def test_camera_info_elsewhere_is_taken_if_it_is_the_only_one(bags: Any) -> None:
    path = bags.write(bags.images() + bags.infos("/info") + bags.states())
    recording = load_recording(path)
    assert recording.camera.K[0, 0] == 60.0
    assert "/info is taken for /cam/image_raw" in recording.warnings[0]


def test_camera_info_of_a_bare_compressed_topic(bags: Any) -> None:
    front = bags.jpegs("/front/compressed") + bags.infos("/front/camera_info")
    path = bags.write(front + bags.infos("/rear/camera_info") + bags.states())
    assert len(load_recording(path)) == bags.frames


def test_camera_info_must_be_clear(bags: Any) -> None:
    path = bags.write(bags.images() + bags.infos("/p/info") + bags.infos("/q/info") + bags.states())
    with pytest.raises(RecordingError, match="/p/info, /q/info"):
        load_recording(path)
    assert load_recording(RecordingSource(path, camera_info_topic="/q/info")).camera.width == 64


def test_no_camera_info_needs_a_camera_file(bags: Any) -> None:
    path = bags.write(bags.images() + bags.states())
    with pytest.raises(RecordingError, match=r"no CameraInfo topic.*camera file"):
        load_recording(path)
    camera = bags.folder / "camera.yaml"
    camera.write_text("{K: [70, 0, 32, 0, 70, 24, 0, 0, 1], width: 64, height: 48}")
    recording = load_recording(RecordingSource(path, camera=camera))
    assert recording.camera.K[0, 0] == 70.0
    assert recording.camera.frame_id == "cam_optical_frame"


def test_rectified_topic_uses_p(bags: Any) -> None:
    infos = bags.infos()
    for message in infos:
        message.content.p[0] = 55.0
        message.content.d[0] = 0.2
    path = bags.write(bags.images("/cam/image_rect_color") + infos + bags.states())
    camera = load_recording(path).camera
    assert camera.K[0, 0] == 55.0 and camera.is_pinhole


def test_size_must_match_the_camera_info(bags: Any) -> None:
    path = bags.write(bags.images() + bags.infos(camera=bags.camera.scaled(2.0)) + bags.states())
    with pytest.raises(RecordingError, match=r"/cam/image_raw at stamp \d+.*64x48.*128x96"):
        load_recording(path)


def test_uncalibrated_camera_names_the_topic(bags: Any) -> None:
    infos = bags.infos()
    for message in infos:
        message.content.k[:] = 0
    path = bags.write(bags.images() + infos + bags.states())
    with pytest.raises(RecordingError, match="/cam/camera_info is uncalibrated"):
        load_recording(path)


def test_camera_info_that_changes_is_refused_unless_cut(bags: Any) -> None:
    infos = bags.infos()
    for message in infos[4:]:
        message.content.k[0] = 65.0
    path = bags.write(bags.images() + infos + bags.states())
    with pytest.raises(RecordingError, match=r"fx 60.00 became 65.00.*0\.400 s"):
        load_recording(path)
    assert load_recording(RecordingSource(path, end_s=0.35)).camera.K[0, 0] == 60.0
    assert load_recording(RecordingSource(path, start_s=0.4)).camera.K[0, 0] == 65.0


def test_frame_without_optical_in_its_name_is_noted(bags: Any) -> None:
    bags.camera = replace(bags.camera, frame_id="camera_link")
    recording = load_recording(bags.write(bags.everything()))
    assert recording.camera.frame_id == "camera_link"
    assert "'camera_link' is taken as an optical frame" in recording.warnings[0]


def test_joints_of_several_topics_are_merged(bags: Any) -> None:
    gripper = bags.states("/gripper/joint_states", ("b",))
    path = bags.write(bags.images() + bags.infos() + bags.states(names=("a",)) + gripper)
    recording = load_recording(path)
    positions, valid = recording.joints.at(bags.stamps, ("b", "a"))
    assert valid.all()
    np.testing.assert_allclose(positions[:, ::-1], [bags.position(s) for s in bags.stamps])
    only = load_recording(RecordingSource(path, joint_topics=["/gripper/joint_states"]))
    assert only.joints.names == ("b",)


def test_nan_joint_is_named(bags: Any) -> None:
    states = bags.states()
    states[3].content.position[1] = np.nan
    path = bags.write(bags.images() + bags.infos() + states)
    stamp = states[3].stamp_ns
    with pytest.raises(RecordingError, match=f"/joint_states: joint 'b' is nan at stamp {stamp}"):
        load_recording(path)


def test_missing_kinds_of_messages(bags: Any) -> None:
    with pytest.raises(RecordingError, match=r"has no images.*/joint_states"):
        load_recording(bags.write(bags.states(), "no_images"))
    with pytest.raises(RecordingError, match=r"no joint states.*/cam/image_raw"):
        load_recording(bags.write(bags.images() + bags.infos(), "no_joints"))
    with pytest.raises(RecordingError, match="only 1 image"):
        load_recording(bags.write(bags.images()[:1] + bags.infos() + bags.states(), "one_image"))


def test_images_without_stamps_use_the_time_of_recording(bags: Any) -> None:
    images = bags.images()
    for message in images:
        message.content.header.stamp.sec = message.content.header.stamp.nanosec = 0
    recording = load_recording(bags.write(images + bags.infos() + bags.states()))
    assert recording.image_stamps_ns.tolist() == bags.stamps
    assert "the images on /cam/image_raw have no stamps" in recording.warnings[0]


def test_joint_states_without_stamps_use_the_time_of_recording(bags: Any) -> None:
    states = bags.states()
    for message in states:
        message.content.header.stamp.sec = message.content.header.stamp.nanosec = 0
    recording = load_recording(bags.write(bags.images() + bags.infos() + states))
    assert recording.joints.at(bags.stamps)[1].all()
    assert "the joint states on /joint_states have no stamps" in recording.warnings[0]


def test_header_stamp_counts_rather_than_log_time(bags: Any) -> None:
    late = [m._replace(stamp_ns=m.stamp_ns + 70_000_000) for m in bags.images()]
    path = bags.write(late + bags.infos() + bags.states() + bags.description())
    check(load_recording(path), bags)


def test_images_logged_at_the_same_time_are_told_apart(bags: Any) -> None:
    together = [m._replace(stamp_ns=bags.stamps[i // 3 * 3]) for i, m in enumerate(bags.images())]
    path = bags.write(together + bags.infos() + bags.states() + bags.description())
    check(load_recording(path), bags)


def test_repeated_stamps_are_left_out(bags: Any) -> None:
    path = bags.write(bags.everything() + bags.images()[2:3])
    recording = load_recording(path)
    assert recording.image_stamps_ns.tolist() == bags.stamps
    assert "1 images on /cam/image_raw repeat a stamp" in recording.notes[0]


def test_cut_by_seconds(bags: Any) -> None:
    recording = load_recording(
        RecordingSource(bags.write(bags.everything()), start_s=0.1, end_s=0.35)
    )
    assert recording.image_stamps_ns.tolist() == bags.stamps[1:4]
    np.testing.assert_array_equal(recording.images[2], bags.picture(3))
    with pytest.raises(RecordingError, match="only 0 images between 9"):
        load_recording(RecordingSource(bags.folder / "bag", start_s=9))


def test_mask_topic_is_matched_by_stamp(bags: Any) -> None:
    masks = bags.masks(late_ns=400_000)
    del masks[3]
    path = bags.write(bags.everything() + masks)
    recording = load_recording(RecordingSource(path, masks="/robot_mask/compressed"))
    assert recording.masks is not None and len(recording.masks) == bags.frames
    assert recording.masks[3] is None
    for i in (0, 1, 2, 4, 5):
        np.testing.assert_array_equal(recording.masks[i], bags.mask(i))
    assert recording.warnings == ()
    assert load_recording(path).masks is None
    recorded = load_recording(RecordingSource(path, masks="recorded")).masks
    assert recorded is not None
    np.testing.assert_array_equal(recorded[1], bags.mask(1))


def test_a_mask_topic_is_no_camera(bags: Any) -> None:
    path = bags.write(bags.masks() + bags.infos() + bags.states())
    with pytest.raises(RecordingError, match=r"called a mask \(/robot_mask/compressed\)"):
        load_recording(path)
    named = load_recording(RecordingSource(path, image_topic="/robot_mask/compressed"))
    assert len(named) == bags.frames


def test_masks_far_from_any_image_are_refused(bags: Any) -> None:
    path = bags.write(bags.everything() + bags.masks(late_ns=7_000_000_000))
    with pytest.raises(RecordingError, match=r"no mask on /robot_mask/compressed.* ms away"):
        load_recording(RecordingSource(path, masks="/robot_mask"))


def test_static_transforms_of_all_files(bags: Any) -> None:
    types = bags.ros.typestore.types
    messages = []
    for stamp, parent, child, x in (
        (bags.start_ns - 5, "base", "mount", 1.0),
        (bags.stamps[-1], "mount", "cam_optical_frame", 2.0),
    ):
        transform = types["geometry_msgs/msg/TransformStamped"](
            header=bags.ros._header(stamp, parent),
            child_frame_id=child,
            transform=types["geometry_msgs/msg/Transform"](
                translation=types["geometry_msgs/msg/Vector3"](x=x, y=0.0, z=0.0),
                rotation=types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=1.0, w=0.0),
            ),
        )
        content = types["tf2_msgs/msg/TFMessage"](transforms=[transform])
        messages.append(
            bags.description()[0]._replace(
                stamp_ns=stamp, topic="/tf_static", kind="tf2_msgs/msg/TFMessage", content=content
            )
        )
    path = bags.write_split(bags.everything() + messages, MCAP)
    edges = {t.child: t for t in load_recording(path).static_transforms}
    assert edges["mount"].parent == "base" and edges["cam_optical_frame"].parent == "mount"
    np.testing.assert_allclose(
        edges["cam_optical_frame"].T_parent_child,
        [[-1, 0, 0, 2], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        atol=1e-12,
    )


def test_several_robot_descriptions_are_left_to_the_user(bags: Any) -> None:
    left = bags.description()[0]._replace(topic="/left/robot_description")
    right = left._replace(topic="/right/robot_description", content=bags.ros.string("<robot/>"))
    basis = bags.images() + bags.infos() + bags.states()
    assert load_recording(bags.write([*basis, left], "one")).urdf == URDF
    recording = load_recording(bags.write([*basis, left, right], "two"))
    assert recording.urdf is None
    assert "/left/robot_description, /right/robot_description" in recording.notes[0]


def test_bag_without_type_definitions(bags: Any) -> None:
    import sqlite3

    path = bags.write(bags.everything(), storage=SQLITE)
    (file,) = path.glob("*.db3")
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM message_definitions")
    check(load_recording(path), bags)


def test_fingerprint_tells_recordings_apart(bags: Any) -> None:
    path = bags.write(bags.everything(), "first")
    copy = bags.folder / "copy"
    shutil.copytree(path, copy)
    other = bags.write(bags.everything()[1:], "other")
    first = load_recording(path).fingerprint
    assert first == load_recording(copy).fingerprint
    assert first != load_recording(other).fingerprint
    assert len(first) == 64


def test_frames_can_be_read_from_several_threads(bags: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images = load_recording(bags.write(bags.everything())).images
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(images.__getitem__, list(range(6)) * 5))
    for i, image in enumerate(read):
        np.testing.assert_array_equal(image, bags.picture(i % 6))


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        load_recording(tmp_path / "nothing")
    with pytest.raises(RecordingError, match="is no recording"):
        load_recording(tmp_path)


@pytest.mark.parametrize("name", ["d1", "d2"])
def test_development_bag_equals_its_folder(shared_data: Path, name: str) -> None:
    bag, folder = load_recording(shared_data / name / "bag"), load_recording(shared_data / name)
    assert bag.image_stamps_ns.tolist() == folder.image_stamps_ns.tolist()
    np.testing.assert_array_equal(bag.images[17], folder.images[17])
    np.testing.assert_array_equal(bag.camera.K, folder.camera.K)
    names = folder.joints.names
    np.testing.assert_array_equal(
        bag.joints.at(bag.image_stamps_ns, names)[0],
        folder.joints.at(bag.image_stamps_ns, names)[0],
    )
    assert bag.urdf is not None and bag.urdf.lstrip().startswith("<")
    assert bag.reference_T_camera_base is None and folder.reference_T_camera_base is not None


def test_development_bag_with_masks(shared_data: Path) -> None:
    bag = load_recording(
        RecordingSource(shared_data / "real_franka" / "bag", masks="/robot_mask/compressed")
    )
    folder = load_recording(RecordingSource(shared_data / "real_franka", masks="recorded"))
    assert len(bag) == 10 and bag.masks is not None and folder.masks is not None
    for i in (0, 9):
        np.testing.assert_array_equal(bag.masks[i], folder.masks[i])
