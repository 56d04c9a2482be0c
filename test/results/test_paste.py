# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shlex
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.results.calibration import static_transform_publisher, urdf_origin

POSES = [
    se3.from_rotvec(np.array([0.3, 2.0, 0.1]), np.array([0.1, 1 / 3, -2.0])),
    se3.from_rotvec(np.array([0.0, np.pi / 2, 0.0]), np.array([1e-9, 0.0, 0.0])),
    se3.from_rotvec(np.array([np.pi, 0.0, 0.0]), np.zeros(3)),
]


def rolled_pitched_yawed(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Return the rotation as the URDF specification defines it: Rz(yaw) Ry(pitch) Rx(roll)."""
    axes = np.eye(3)
    parts = [
        Rotation.from_rotvec(angle * axis)
        for angle, axis in zip((roll, pitch, yaw), axes, strict=True)
    ]
    return (parts[2] * parts[1] * parts[0]).as_matrix()


@pytest.mark.parametrize("T", POSES)
def test_command_gives_the_pose_back(T: np.ndarray) -> None:
    words = shlex.split(static_transform_publisher(T, "base", "my frame"))
    assert words[:4] == ["ros2", "run", "tf2_ros", "static_transform_publisher"]
    values = dict(zip(words[4::2], words[5::2], strict=True))
    assert (values.pop("--frame-id"), values.pop("--child-frame-id")) == ("base", "my frame")
    numbers = {flag: float(text) for flag, text in values.items()}
    back = se3.from_quaternion_xyzw(
        np.array([numbers[flag] for flag in ("--qx", "--qy", "--qz", "--qw")]),
        np.array([numbers[flag] for flag in ("--x", "--y", "--z")]),
    )
    np.testing.assert_allclose(back, T, atol=1e-15)


@pytest.mark.parametrize("T", POSES)
def test_origin_gives_the_pose_back(T: np.ndarray) -> None:
    element = ElementTree.fromstring(urdf_origin(T))
    assert element.tag == "origin"
    rpy = [float(value) for value in element.attrib["rpy"].split()]
    np.testing.assert_allclose(rolled_pitched_yawed(*rpy), T[:3, :3], atol=1e-7)
    assert [float(value) for value in element.attrib["xyz"].split()] == T[:3, 3].tolist()
