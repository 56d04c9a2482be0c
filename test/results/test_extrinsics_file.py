# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from calib_all_ros.geometry import se3
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.extrinsics_file import load_result, read_extrinsics
from calib_all_ros.results.store import ResultStore

# A camera 1 m in front of the base that looks back at it, and is turned a little.
T_BASE_CAMERA = se3.from_rotvec(np.array([0.4, -0.3, 2.0]), np.array([1.0, 0.25, 0.5]))
T_CAMERA_BASE = se3.invert(T_BASE_CAMERA)
X, Y, Z, W = se3.quaternion_xyzw(T_BASE_CAMERA).tolist()
TRANSLATION = {"x": 1.0, "y": 0.25, "z": 0.5}
ROTATION = {"x": X, "y": Y, "z": Z, "w": W}
PARTS = {"translation": TRANSLATION, "rotation": ROTATION}


def written(folder: Path, document: Any, name: str = "camera.yaml") -> Path:
    path = folder / name
    path.write_text(json.dumps(document) if name.endswith("json") else yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    "document",
    [
        {"T_base_camera": T_BASE_CAMERA.tolist()},
        {"T_cam_base": T_CAMERA_BASE.tolist(), "K": [1, 2, 3]},
        {"T_base_cam": {"matrix": T_BASE_CAMERA.tolist()}},
        {"T_camera_base": T_CAMERA_BASE.reshape(-1).tolist()},
        {"T_camera_base": T_CAMERA_BASE[:3].tolist(), "T_base_camera": T_BASE_CAMERA.tolist()},
        {"T_base_camera": PARTS},
        {"T_base_camera": {"position": [1, 0.25, 0.5], "quaternion_xyzw": [X, Y, Z, W]}},
        {"T_base_camera": {"t": [1, 0.25, 0.5], "quaternion_wxyz": [W, X, Y, Z]}},
        {"T_base_camera": {"t": [1, 0.25, 0.5], "R": T_BASE_CAMERA[:3, :3].tolist()}},
    ],
)
@pytest.mark.parametrize("name", ["camera.yaml", "camera.json"])
def test_files_that_name_the_direction(document: Any, name: str, tmp_path: Path) -> None:
    given = read_extrinsics(written(tmp_path, document, name))
    np.testing.assert_allclose(given.T_camera_base, T_CAMERA_BASE, atol=1e-9)
    np.testing.assert_allclose(given.T_base_camera, T_BASE_CAMERA, atol=1e-9)
    assert given.base_frame is None and given.camera_frame is None


@pytest.mark.parametrize(
    "document",
    [
        T_BASE_CAMERA.tolist(),
        {"extrinsics": T_BASE_CAMERA.tolist()},
        PARTS,
        {"pose": {"position": TRANSLATION, "orientation": ROTATION}},
    ],
)
def test_the_direction_is_never_guessed(document: Any, tmp_path: Path) -> None:
    path = written(tmp_path, document)
    with pytest.raises(ResultError, match=r"T_base_camera .* T_camera_base"):
        read_extrinsics(path)
    given = read_extrinsics(path, "T_base_camera")
    np.testing.assert_allclose(given.T_base_camera, T_BASE_CAMERA, atol=1e-9)
    given = read_extrinsics(path, "T_camera_base")
    np.testing.assert_allclose(given.T_camera_base, T_BASE_CAMERA, atol=1e-9)


def test_frames_of_a_file(tmp_path: Path) -> None:
    document = {"T_base_camera": PARTS, "base_frame": "base", "optical_frame": "eye"}
    given = read_extrinsics(written(tmp_path, document))
    assert (given.base_frame, given.camera_frame) == ("base", "eye")


@pytest.mark.parametrize(
    "document",
    [
        {
            "parameters": {
                "calibration_type": "eye_on_base",
                "robot_base_frame": "panda_link0",
                "tracking_base_frame": "camera_link",
            },
            "transform": PARTS,
        },
        {
            "parameters": {
                "eye_on_hand": False,
                "robot_base_frame": "panda_link0",
                "tracking_base_frame": "camera_link",
            },
            "transformation": {**TRANSLATION, "qx": X, "qy": Y, "qz": Z, "qw": W},
        },
        {
            "header": {"frame_id": "panda_link0"},
            "child_frame_id": "camera_link",
            "transform": PARTS,
        },
    ],
    ids=["easy_handeye2", "easy_handeye", "TransformStamped"],
)
def test_neighbours(document: Any, tmp_path: Path) -> None:
    given = read_extrinsics(written(tmp_path, document, "robot.calib"))
    np.testing.assert_allclose(given.T_base_camera, T_BASE_CAMERA, atol=1e-9)
    assert (given.base_frame, given.camera_frame) == ("panda_link0", "camera_link")


def test_a_camera_on_the_hand_is_refused(tmp_path: Path) -> None:
    parameters = {"calibration_type": "eye_in_hand", "robot_base_frame": "base"}
    path = written(tmp_path, {"parameters": parameters, "transform": PARTS})
    with pytest.raises(ResultError, match="eye_in_hand"):
        read_extrinsics(path)


@pytest.mark.parametrize(
    ("document", "direction", "words"),
    [
        ({"T_base_camera": PARTS}, "T_camera_base", "leave --transform out"),
        (
            {"T_base_camera": T_BASE_CAMERA.tolist(), "T_camera_base": T_BASE_CAMERA.tolist()},
            None,
            "contradicts itself",
        ),
        ({"T_base_camera": {"t": [1, 2, 3], "q": [0, 0, 0, 1]}}, None, "can be read"),
        ({"T_base_camera": {"t": [1, 2, 3], "quaternion": [0, 0, 0, 1]}}, None, "in which order"),
        ({"T_base_camera": (2 * np.eye(4)).tolist()}, None, "last row"),
        ({"T_base_camera": np.diag([1.0, 1.0, -1.0, 1.0]).tolist()}, None, "not a rotation"),
        ({"T_base_camera": {**PARTS, "translation": [800, 0, 600]}}, None, "in metres"),
        ({"answer": 42}, "T_base_camera", "can be read"),
        ("nothing", "T_base_camera", "can be read"),
        ({"T_base_camera": {"t": [1, 2, float("nan")], "R": np.eye(3).tolist()}}, None, "rigid"),
    ],
)
def test_errors_are_one_sentence(document: Any, direction: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, document)
    with pytest.raises(ResultError, match=words) as caught:
        read_extrinsics(path, direction)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="No such file"):
        read_extrinsics(tmp_path / "none.yaml")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ResultError, match="YAML or JSON"):
        read_extrinsics(broken)


def test_results_of_this_package(
    calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path / "ros"))
    ResultStore().save("kitchen", calibration)
    file = calibration.save(tmp_path / "result")
    for given in (
        read_extrinsics(file),
        load_result(str(file)),
        load_result(str(file.parent)),
        load_result("kitchen"),
    ):
        np.testing.assert_array_equal(given.T_camera_base, calibration.T_camera_base)
        assert (given.base_frame, given.camera_frame) == ("panda_link0", "kitchen_optical_frame")
        assert given.calibration is not None
    with pytest.raises(ResultError, match="it has: kitchen"):
        load_result("garage")
    with pytest.raises(ResultError, match="cannot read"):
        load_result(str(tmp_path / "none.yaml"))
