# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.recording.writing import JointSamples, write_folder


@pytest.fixture
def folder(bags: Any) -> Path:
    """A recording folder with masks, of 6 frames."""
    path: Path = bags.folder / "recording"
    stamps = np.arange(bags.start_ns - 10**7, bags.stamps[-1] + 2 * 10**7, 10**7)
    joints = JointSamples(bags.joints, stamps, np.array([bags.position(s) for s in stamps]))
    write_folder(
        path,
        images=[bags.picture(i) for i in range(6)],
        image_stamps_ns=bags.stamps,
        joints=joints,
        camera=bags.camera,
        urdf="<robot name='r'/>",
        T_camera_base=np.eye(4),
        base_frame="base",
        masks=[bags.mask(i) for i in range(6)],
    )
    return path


def edit(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | changes))


def test_folder_reads_back(bags: Any, folder: Path) -> None:
    recording = load_recording(folder)
    assert recording.image_stamps_ns.tolist() == bags.stamps
    assert np.abs(recording.images[4].astype(int) - bags.picture(4)).mean() < 4
    positions, valid = recording.joints.at(bags.stamps)
    assert valid.all()
    np.testing.assert_allclose(positions, [bags.position(s) for s in bags.stamps], atol=1e-9)
    assert recording.urdf == "<robot name='r'/>"
    assert (recording.base_frame, recording.camera.frame_id) == ("base", "cam_optical_frame")
    np.testing.assert_array_equal(recording.reference_T_camera_base, np.eye(4))
    assert recording.masks is None and recording.warnings == ()


def test_recorded_masks(bags: Any, folder: Path) -> None:
    masks = load_recording(RecordingSource(folder, masks="recorded", start_s=0.2)).masks
    assert masks is not None and len(masks) == 4
    np.testing.assert_array_equal(masks[0], bags.mask(2))


def test_yaml_reads_like_json(bags: Any, folder: Path) -> None:
    original = load_recording(folder)
    for name in ("joint_states", "camera", "timestamps"):
        source = folder / f"{name}.json"
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(json.loads(source.read_text())))
        source.unlink()
    recording = load_recording(folder)
    assert recording.image_stamps_ns.tolist() == bags.stamps
    np.testing.assert_array_equal(recording.camera.K, original.camera.K)
    np.testing.assert_array_equal(
        recording.joints.at(bags.stamps)[0], original.joints.at(bags.stamps)[0]
    )


def test_joint_states_as_csv(bags: Any, folder: Path) -> None:
    (folder / "joint_states.json").unlink()
    lines = ["stamp_ns, a, b", *(f"{s},{s % 7}.5,-1e-3" for s in bags.stamps)]
    (folder / "joint_states.csv").write_text("\n".join(lines) + "\n")
    positions, valid = load_recording(folder).joints.at(bags.stamps, ("b", "a"))
    assert valid.all()
    np.testing.assert_allclose(positions, [[-1e-3, s % 7 + 0.5] for s in bags.stamps])


def test_frames_are_ordered_by_stamp(bags: Any, folder: Path) -> None:
    edit(folder / "timestamps.json", image_stamps_ns=bags.stamps[::-1])
    recording = load_recording(RecordingSource(folder, masks="recorded"))
    assert recording.image_stamps_ns.tolist() == bags.stamps
    assert np.abs(recording.images[0].astype(int) - bags.picture(5)).mean() < 4
    assert recording.masks is not None
    np.testing.assert_array_equal(recording.masks[0], bags.mask(5))


def test_camera_without_frame_is_noted(folder: Path) -> None:
    edit(folder / "camera.json", optical_frame=None)
    assert "names no optical frame" in load_recording(folder).warnings[0]


def test_camera_argument_replaces_the_folders_own(folder: Path, tmp_path: Path) -> None:
    camera = tmp_path / "other.yaml"
    camera.write_text("{K: [70, 0, 32, 0, 70, 24, 0, 0, 1], width: 64, height: 48}")
    assert load_recording(RecordingSource(folder, camera=camera)).camera.K[0, 0] == 70.0


@pytest.mark.parametrize("name", ["joint_states", "camera", "timestamps"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / f"{name}.json").unlink()
    with pytest.raises(RecordingError, match=f"has no {name} file: add one of {name}.json"):
        load_recording(folder)


def test_wrong_number_of_stamps(bags: Any, folder: Path) -> None:
    edit(folder / "timestamps.json", image_stamps_ns=bags.stamps[:4])
    with pytest.raises(RecordingError, match=r"4 stamps but .*frames holds 6 images"):
        load_recording(folder)


def test_stamps_in_seconds_are_refused(folder: Path) -> None:
    edit(folder / "timestamps.json", image_stamps_ns=[0.1 * i for i in range(6)])
    with pytest.raises(RecordingError, match="integer nanoseconds"):
        load_recording(folder)


def test_size_must_match_the_camera(folder: Path) -> None:
    edit(folder / "camera.json", width=640)
    with pytest.raises(RecordingError, match=r"000000.jpg is 64x48.*640x48"):
        load_recording(folder)


def test_broken_image_is_named(folder: Path) -> None:
    (folder / "frames" / "000002.jpg").write_bytes(b"nothing")
    recording = load_recording(folder)
    with pytest.raises(RecordingError, match=r"000002.jpg cannot be decoded"):
        recording.images[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": [[0.0]]}, "one row per stamp"),
        ({"names": ["a", "a"]}, "'a' is listed twice"),
        ({"positions": {"a": 1}}, "cannot be read"),
    ],
)
def test_broken_joint_states_are_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit(folder / "joint_states.json", **changes)
    with pytest.raises(RecordingError, match=f"joint_states.json.*{message}"):
        load_recording(folder)


def test_nan_in_json_names_joint_and_stamp(folder: Path) -> None:
    document = json.loads((folder / "joint_states.json").read_text())
    document["positions"][3][1] = float("nan")
    (folder / "joint_states.json").write_text(json.dumps(document))
    stamp = document["stamps_ns"][3]
    with pytest.raises(RecordingError, match=f"'b' is nan at stamp {stamp}"):
        load_recording(folder)


def test_development_folder(shared_data: Path) -> None:
    recording = load_recording(RecordingSource(shared_data / "d2", masks="recorded"))
    assert len(recording) == 60 and recording.images[59].shape == (480, 640, 3)
    assert recording.joints.names[0] == "elbow_joint" and recording.base_frame == "base_link"
    assert recording.masks is not None and recording.masks[0] is not None
    assert 0.02 < recording.masks[0].mean() < 0.06
    assert recording.joints.at(recording.image_stamps_ns)[1].all()
