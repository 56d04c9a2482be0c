# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.camera_info import camera_document, read_camera_file
from calib_all_ros.recording.recording import RecordingError

ROS_YAML = """
image_width: 640
image_height: 480
camera_name: head
camera_matrix:
  rows: 3
  cols: 3
  data: [600.0, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, 0.002, 0.03]
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [500, 0, 320, 0, 0, 500, 240, 0, 0, 0, 1, 0]}
"""


def test_ros_camera_info_yaml(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(ROS_YAML)
    read = read_camera_file(path)
    assert read.camera.K.tolist() == [[600, 0, 320], [0, 610, 240], [0, 0, 1]]
    assert read.camera.distortion.tolist() == [0.1, -0.2, 0.001, 0.002, 0.03]
    assert (read.camera.width, read.camera.height) == (640, 480)
    assert not read.names_frame and read.T_camera_base is None


@pytest.mark.parametrize(
    ("model", "count"),
    [("pinhole", 0), ("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4)],
)
def test_document_reads_back(tmp_path: Path, model: str, count: int) -> None:
    K = np.array([[600.123456789, 0, 320.1], [0, 610.2, 240.3], [0, 0, 1]])
    written = Camera(K, 640, 480, np.linspace(0.1, 0.2, count), model, "head_optical_frame")
    pose = np.eye(4) + 0.1
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(camera_document(written, "base", pose)))
    read = read_camera_file(path)
    np.testing.assert_array_equal(read.camera.K, K)
    np.testing.assert_array_equal(read.camera.distortion, written.distortion)
    assert (read.camera.model, read.camera.frame_id) == (model, "head_optical_frame")
    assert read.base_frame == "base" and read.names_frame
    np.testing.assert_array_equal(read.T_camera_base, pose)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1, 2]", "no camera description"),
        ('{"K": [[1,0,0],[0,1,0],[0,0,1]], "width": 5}', "has no 'height'.*K, width"),
        ('{"K": [1, 2], "width": 5, "height": 5}', "no camera description"),
        ('{"K": [0,0,0,0,0,0,0,0,0], "width": 5, "height": 5}', "uncalibrated"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "camera.json"
    path.write_text(text)
    with pytest.raises(RecordingError, match=f"camera.json.*{message}"):
        read_camera_file(path)
