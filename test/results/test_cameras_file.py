# SPDX-License-Identifier: Apache-2.0
"""``cameras.yaml``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from calib_all_ros.geometry import se3
from calib_all_ros.results.cameras_file import (
    CameraRecord,
    CamerasResult,
    JointRecord,
    RelativePoseRecord,
    SharedValue,
)
from calib_all_ros.results.records import Covariance, Status, Verdict

POSE = se3.from_rotvec([0.3, -0.2, 0.9], [0.1, 0.2, 0.7])


def camera(name: str, verdict: Status) -> CameraRecord:
    return CameraRecord(name, f"/{name}/image_raw", name, verdict, f"{name}_frame", POSE, None, 3.0)


def result() -> CamerasResult:
    return CamerasResult(
        recording="bag",
        base_frame="base_link",
        verdict=Verdict("rejected", ("right: no",)),
        cameras=(camera("left", "accepted"), camera("right", "rejected")),
        joint=JointRecord(
            ("left",), (("left",),), {"joint_1": 1e-3}, None, None, SharedValue(1.0, 2, 0.6)
        ),
        relative_poses=(
            RelativePoseRecord("left", "top", "l", "t", POSE, Covariance(np.eye(6), frame="of it")),
        ),
        notes=("a note",),
        created="2026-01-01T00:00:00+00:00",
        package_version="1.0",
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = result().save(tmp_path)
    document = yaml.safe_load(path.read_text())
    (pair,) = document["relative_poses"]
    assert (pair["a"], pair["b"]) == ("left", "top")
    np.testing.assert_array_equal(pair["T_a_b"]["matrix"], POSE)
    np.testing.assert_array_equal(pair["covariance"]["matrix"], np.eye(6))
    assert pair["covariance"]["frame"] == "of it"
    assert document["verdict"] == {"status": "rejected", "reasons": ["right: no"]}
    assert document["joint_refinement"]["shared"]["p_value"] == 0.6
    assert document["cameras"]["left"]["T_base_camera"]["translation_m"] == [0.1, 0.2, 0.7]


def test_only_usable_cameras_are_to_be_pasted() -> None:
    (line,) = result().static_transforms()
    assert line.endswith("--frame-id base_link --child-frame-id left_frame")
