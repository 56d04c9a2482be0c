# SPDX-License-Identifier: Apache-2.0
"""Every kind of bad input, through the command line: one sentence, exit code 2, no files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from calib_all_ros.cli import main
from calib_all_ros.results.calibration import Calibration

MASK_TOPIC = "/robot_mask/compressed"
Change = Callable[[str, Any], Any]


class Recordings(NamedTuple):
    """Good recordings, and a folder to put bad ones into."""

    folder: Path
    bag: Path
    tmp: Path


class Refusal(NamedTuple):
    """A run that must be refused: its arguments, and what the sentence must say."""

    arguments: list[str]
    sentence: str


@pytest.fixture
def recordings(simulated_folder: Path, simulated_bag: Path, tmp_path: Path) -> Recordings:
    return Recordings(simulated_folder, simulated_bag, tmp_path)


def changed_bag(recordings: Recordings, change: Change) -> str:
    """Copy the bag; `change(topic, message)` returns the message to write, or None for none."""
    path = recordings.tmp / "changed"
    typestore = get_typestore(Stores.LATEST)
    with (
        AnyReader([recordings.bag], default_typestore=typestore) as reader,
        Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        connections: dict[str, Any] = {}
        for source, stamp, raw in reader.messages():
            message = change(source.topic, reader.deserialize(raw, source.msgtype))
            if message is None:
                continue
            if source.topic not in connections:
                connections[source.topic] = writer.add_connection(
                    source.topic, source.msgtype, typestore=typestore
                )
            data = typestore.serialize_cdr(message, source.msgtype)
            writer.write(connections[source.topic], stamp, data)
    return str(path)


def without(part: str) -> Change:
    return lambda topic, message: None if part in topic else message


def changed_folder(recordings: Recordings, name: str, change: Callable[[Any], None]) -> str:
    """Copy the recording folder and change one of its JSON documents in place."""
    path = recordings.tmp / "changed"
    shutil.copytree(recordings.folder, path)
    document = json.loads((path / name).read_text())
    change(document)
    (path / name).write_text(json.dumps(document))
    return str(path)


def missing_file(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.tmp / "nowhere.mcap")], r"nowhere\.mcap does not exist")


def corrupt_bag(recordings: Recordings) -> Refusal:
    path = recordings.tmp / "corrupt.mcap"
    path.write_bytes(bytes(range(256)) * 40)
    return Refusal([str(path)], r"corrupt\.mcap")


def hardly_anything_left_of_the_bag(recordings: Recordings) -> Refusal:
    path = recordings.tmp / "cut.mcap"
    (storage,) = recordings.bag.glob("*.mcap")
    path.write_bytes(storage.read_bytes()[:3000])
    return Refusal([str(path)], r"cut\.mcap")


def no_images(recordings: Recordings) -> Refusal:
    def change(topic: str, message: Any) -> Any:
        return None if "image" in topic or "mask" in topic else message

    return Refusal([changed_bag(recordings, change)], r"no image topic|no images|holds no image")


def no_camera_info(recordings: Recordings) -> Refusal:
    return Refusal([changed_bag(recordings, without("camera_info"))], r"camera.info")


def no_joint_states(recordings: Recordings) -> Refusal:
    return Refusal([changed_bag(recordings, without("joint_states"))], r"(?i)joint.?states?")


def no_robot_description(recordings: Recordings) -> Refusal:
    return Refusal([changed_bag(recordings, without("robot_description"))], r"--urdf")


def uncalibrated_camera(recordings: Recordings) -> Refusal:
    def change(topic: str, message: Any) -> Any:
        if topic.endswith("camera_info"):
            message.k = np.zeros(9)
        return message

    return Refusal([changed_bag(recordings, change)], r"uncalibrated")


def other_image_size(recordings: Recordings) -> Refusal:
    def change(topic: str, message: Any) -> Any:
        if topic.endswith("camera_info"):
            message.width, message.height = 640, 480
        return message

    return Refusal([changed_bag(recordings, change)], r"320x240.*640x480|640x480.*320x240")


def unknown_joint_names(recordings: Recordings) -> Refusal:
    def change(document: Any) -> None:
        document["names"] = [f"elbow_{i}" for i in range(len(document["names"]))]

    path = changed_folder(recordings, "joint_states.json", change)
    return Refusal([path], r"elbow_0.*joint_?1|joint_?1.*elbow_0")


def description_of_another_robot(recordings: Recordings) -> Refusal:
    """Also the recorded base frame is none of its links; the joints say more than that."""
    urdf = recordings.tmp / "other.urdf"
    urdf.write_text(
        """<robot name="other"><link name="pedestal"/><link name="boom"><visual><geometry>
        <box size="0.1 0.1 0.5"/></geometry></visual></link><joint name="slew" type="revolute">
        <parent link="pedestal"/><child link="boom"/><axis xyz="0 0 1"/>
        <limit lower="-3" upper="3" effort="1" velocity="1"/></joint></robot>"""
    )
    arguments = [str(recordings.folder), "--urdf", str(urdf)]
    return Refusal(arguments, r"the recording has joint_?1.*the URDF has slew")


def joint_states_that_end_before_the_images(recordings: Recordings) -> Refusal:
    def change(document: Any) -> None:
        document["stamps_ns"] = [stamp - 60 * 10**9 for stamp in document["stamps_ns"]]

    path = changed_folder(recordings, "joint_states.json", change)
    return Refusal([path], r"no image has joint states at its stamp")


def constant_joints(recordings: Recordings) -> Refusal:
    def change(document: Any) -> None:
        document["positions"] = [document["positions"][0]] * len(document["positions"])

    path = changed_folder(recordings, "joint_states.json", change)
    return Refusal([path], r"does not move")


def nan_joint_values(recordings: Recordings) -> Refusal:
    def change(document: Any) -> None:
        document["positions"][7][2] = float("nan")

    path = changed_folder(recordings, "joint_states.json", change)
    return Refusal([path], r"joint '.*' is nan at stamp \d+")


def missing_meshes(recordings: Recordings) -> Refusal:
    urdf = recordings.tmp / "robot.urdf"
    text = (recordings.folder / "robot.urdf").read_text()
    mesh = '<mesh filename="package://nobody_has_this/meshes/link.stl"/>'
    urdf.write_text(re.sub(r"<(box|cylinder|sphere) [^>]*/>", mesh, text, count=1))
    arguments = [str(recordings.folder), "--urdf", str(urdf)]
    return Refusal(arguments, r"nobody_has_this.*--mesh-path|nobody_has_this.*tried")


def missing_urdf(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--urdf", "nowhere.urdf"], r"nowhere\.urdf")


def unknown_base_frame(recordings: Recordings) -> Refusal:
    arguments = [str(recordings.folder), "--base-frame", "cellar"]
    return Refusal(arguments, r"'cellar'.*base_link")


def mark_outside_the_image(recordings: Recordings) -> Refusal:
    arguments = [str(recordings.folder), "--mark", "500,20", "--eef-link", "hand"]
    return Refusal(arguments, r"mark.*320x240")


def mark_in_an_image_that_is_not_there(recordings: Recordings) -> Refusal:
    arguments = ["--mark", "160,120", "--eef-link", "hand", "--mark-frame", "20"]
    return Refusal([str(recordings.folder), *arguments], r"image 20.* 19")


def mark_on_an_unknown_link(recordings: Recordings) -> Refusal:
    arguments = [str(recordings.folder), "--mark", "160,120", "--eef-link", "tail"]
    return Refusal(arguments, r"'tail'.*upper_arm_link")


def mark_without_its_link(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--mark", "160,120"], r"--eef-link.*upper_arm_link")


def image_without_its_mark(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--mark-frame", "3"], r"--mark U,V")


def unknown_link_of_a_mark_to_be_found(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--eef-link", "tail"], r"no link 'tail'.*\bhand\b")


def click_that_is_none(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--click", "12;3"], r"'12;3' is no click")


def model_that_is_not_there(recordings: Recordings) -> Refusal:
    arguments = [str(recordings.folder), "--masks", "grounded_sam2"]
    return Refusal(arguments, r"(no checkpoint of SAM 2|not installed).*(curl|http|pip install)")


def masks_of_the_wrong_size(recordings: Recordings) -> Refusal:
    masks = recordings.tmp / "masks"
    masks.mkdir()
    for index in range(20):
        cv2.imwrite(str(masks / f"{index:06d}.png"), np.full((100, 100), 255, np.uint8))
    return Refusal([str(recordings.folder), "--masks", str(masks)], r"100x100.*320x240")


def masks_that_are_not_there(recordings: Recordings) -> Refusal:
    arguments = [str(recordings.bag), "--masks", "/no/such/topic"]
    return Refusal(arguments, rf"/no/such/topic.*{MASK_TOPIC}")


def nothing_left_after_the_cut(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--start", "1000"], r"1000")


def unknown_setting(recordings: Recordings) -> Refusal:
    config = recordings.tmp / "settings.yaml"
    config.write_text("frames: {cuont: 3}\n")
    return Refusal([str(recordings.folder), "--config", str(config)], r"settings\.yaml.*cuont")


def impossible_setting(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--frames", "0"], r"frames\.count is 0")


def unknown_option(recordings: Recordings) -> Refusal:
    return Refusal([str(recordings.folder), "--fraims", "3"], r"--fraims.*--help")


@pytest.mark.parametrize(
    "case",
    [
        missing_file,
        corrupt_bag,
        hardly_anything_left_of_the_bag,
        no_images,
        no_camera_info,
        no_joint_states,
        no_robot_description,
        uncalibrated_camera,
        other_image_size,
        unknown_joint_names,
        description_of_another_robot,
        joint_states_that_end_before_the_images,
        constant_joints,
        nan_joint_values,
        missing_meshes,
        missing_urdf,
        unknown_base_frame,
        mark_outside_the_image,
        mark_in_an_image_that_is_not_there,
        mark_on_an_unknown_link,
        mark_without_its_link,
        image_without_its_mark,
        unknown_link_of_a_mark_to_be_found,
        click_that_is_none,
        model_that_is_not_there,
        masks_of_the_wrong_size,
        masks_that_are_not_there,
        nothing_left_after_the_cut,
        unknown_setting,
        impossible_setting,
        unknown_option,
    ],
    ids=lambda case: case.__name__,
)
def test_refused(
    recordings: Recordings,
    capsys: pytest.CaptureFixture[str],
    case: Callable[[Recordings], Refusal],
) -> None:
    refusal = case(recordings)
    out = recordings.tmp / "out"
    assert main(["calibrate", *refusal.arguments, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("calib_all: error: ")
    assert re.search(refusal.sentence, line), line
    assert not out.exists()


def test_unwritable_folder_is_found_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    arguments = ["calibrate", str(tmp_path / "not read"), "--out", str(file / "out")]
    assert main(arguments) == 2
    assert f"cannot write to the folder {file / 'out'}" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_refusal_leaves_earlier_results_alone(recordings: Recordings) -> None:
    out = recordings.tmp / "out"
    out.mkdir()
    (out / "calibration.yaml").write_text("earlier")
    missing = str(recordings.tmp / "nowhere")
    assert main(["calibrate", missing, "--out", str(out)]) == 2
    assert [path.name for path in out.iterdir()] == ["calibration.yaml"]
    assert (out / "calibration.yaml").read_text() == "earlier"


def test_refusal_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "nowhere")
    assert main(["calibrate", missing, "--out", str(tmp_path / "out"), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 2
    assert "nowhere does not exist" in document["error"]


def test_truncated_bag_is_calibrated_from_what_is_left(recordings: Recordings) -> None:
    path, out = recordings.tmp / "cut.mcap", recordings.tmp / "out"
    (storage,) = recordings.bag.glob("*.mcap")
    data = storage.read_bytes()
    path.write_bytes(data[: int(0.8 * len(data))])
    arguments = ["calibrate", str(path), "--masks", MASK_TOPIC, "--out", str(out), "--quiet"]
    assert main(arguments) == 0
    calibration = Calibration.load(out)
    assert max(calibration.provenance.frames_used) < 18
    loss = r"truncated or damaged.*read \d+ messages"
    assert any(re.search(loss, note) for note in calibration.notes)
    assert re.search(loss, (out / "calib_all.log").read_text())
