# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.robot.kinematics import RobotError

JOINTS = {
    "mount": ("fixed", ""),
    "pan": ("revolute", ""),
    "lift": ("continuous", ""),
    "finger": ("prismatic", ""),
    "twin": ("prismatic", '<mimic joint="finger"/>'),
}


def described(*names: str) -> str:
    """Return the URDF of a robot with some of the joints, one on each link."""
    parts = [
        f'<link name="{name}_link"/><joint name="{name}" type="{JOINTS[name][0]}">'
        f'<parent link="base"/><child link="{name}_link"/>{JOINTS[name][1]}</joint>'
        for name in names
    ]
    return f'<robot name="r"><link name="base"/>{"".join(parts)}</robot>'


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    path = tmp_path / "camera.json"
    path.write_text('{"K": [60, 0, 31.5, 0, 60, 23.5, 0, 0, 1], "width": 64, "height": 48}')
    return path


@pytest.fixture
def npz(bags: Any) -> Path:
    """As save_diff_optim_data.py of ManiUniCon writes it, with two joints."""
    path: Path = bags.folder / "multi_frame_calibration_data.npz"
    joints = np.array([bags.position(s) for s in bags.stamps])
    images = np.stack([bags.picture(i) for i in range(6)])
    np.savez(
        path, rgb_images=images, captured_joint_values=joints, target_joint_values=joints + 0.001
    )
    return path


def test_npz_with_joint_names(bags: Any, npz: Path, camera: Path) -> None:
    recording = load_recording(RecordingSource(npz, camera=camera, joint_names=["x", "y"]))
    np.testing.assert_array_equal(recording.images[3], bags.picture(3))
    assert np.diff(recording.image_stamps_ns).tolist() == [10**9] * 5
    positions, valid = recording.joints.at(recording.image_stamps_ns, ("y", "x"))
    assert valid.all()
    np.testing.assert_array_equal(positions[:, ::-1], [bags.position(s) for s in bags.stamps])
    assert "one second apart" in recording.warnings[0]


def test_joint_names_from_the_urdf(npz: Path, camera: Path, tmp_path: Path) -> None:
    urdf = tmp_path / "robot.urdf"
    urdf.write_text(described(*JOINTS))
    assert load_recording(RecordingSource(npz, camera=camera, urdf=urdf)).joints.names == (
        "pan",
        "lift",
    )


def test_camera_is_required(npz: Path) -> None:
    with pytest.raises(RecordingError, match=r"holds no camera intrinsics: give a camera file"):
        load_recording(RecordingSource(npz, joint_names=["x", "y"]))


def test_joint_names_are_required(npz: Path, camera: Path) -> None:
    with pytest.raises(RecordingError, match="does not name its 2 joints"):
        load_recording(RecordingSource(npz, camera=camera))
    with pytest.raises(RecordingError, match="2 joints but 1 names were given: x"):
        load_recording(RecordingSource(npz, camera=camera, joint_names=["x"]))
    with pytest.raises(RecordingError, match="moves only 1: pan"):
        load_recording(RecordingSource(npz, camera=camera, urdf=described("mount", "pan")))
    with pytest.raises(RobotError, match=r"nowhere.urdf not found"):
        load_recording(RecordingSource(npz, camera=camera, urdf="nowhere.urdf"))


def test_missing_key_lists_what_exists(camera: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, rgb_images=np.zeros((2, 48, 64, 3), np.uint8), joints=np.zeros((2, 2)))
    with pytest.raises(
        RecordingError, match="no captured_joint_values; it has: rgb_images, joints"
    ):
        load_recording(RecordingSource(path, camera=camera, joint_names=["x", "y"]))


@pytest.mark.parametrize(
    ("images", "joints", "message"),
    [
        (np.zeros((3, 48, 64, 3)), np.zeros((3, 2)), "float64"),
        (np.zeros((3, 48, 64, 3), np.uint8), np.zeros((2, 2)), r"must be \(3, J\)"),
        (np.zeros((3, 24, 32, 3), np.uint8), np.zeros((3, 2)), "32x24.*64x48"),
        (np.zeros((3, 48, 64, 3), np.uint8), np.full((3, 2), np.nan), "'x' is nan"),
    ],
)
def test_content_that_does_not_fit(
    camera: Path, tmp_path: Path, images: Any, joints: Any, message: str
) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, rgb_images=images, captured_joint_values=joints)
    with pytest.raises(RecordingError, match=message):
        load_recording(RecordingSource(path, camera=camera, joint_names=["x", "y"]))


def test_truncated_npz(npz: Path, camera: Path) -> None:
    npz.write_bytes(npz.read_bytes()[:3000])
    with pytest.raises(RecordingError, match="cannot be read"):
        load_recording(RecordingSource(npz, camera=camera, joint_names=["x", "y"]))
