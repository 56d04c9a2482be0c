# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.paste import static_transform_publisher
from calib_all_ros.results.pose_text import parse_pose

T = se3.from_rotvec(np.array([0.4, -0.3, 2.0]), np.array([-1.0, 0.25, 1e-5]))
X, Y, Z, W = se3.quaternion_xyzw(T).tolist()
YAW, PITCH, ROLL = Rotation.from_matrix(T[:3, :3]).as_euler("ZYX").tolist()
NUMBERS = f"-1.0 0.25 1e-05 {X!r} {Y!r} {Z!r} {W!r}"


@pytest.mark.parametrize("text", [NUMBERS, NUMBERS.replace(" ", ","), NUMBERS.replace(" ", ", ")])
def test_numbers_need_a_direction(text: str) -> None:
    with pytest.raises(ResultError, match=r"T_base_camera .* T_camera_base"):
        parse_pose(text)
    np.testing.assert_allclose(parse_pose(text, "T_base_camera").T_base_camera, T, atol=1e-12)
    np.testing.assert_allclose(parse_pose(text, "T_camera_base").T_camera_base, T, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        static_transform_publisher(T, "base", "eye"),
        f"static_transform_publisher {NUMBERS} base eye",
        f"static_transform_publisher -1.0 0.25 1e-05 {YAW} {PITCH} {ROLL} base eye",
        f"--x -1.0 --y 0.25 --z=1e-05 --roll {ROLL} --pitch {PITCH} --yaw {YAW} "
        "--frame-id base --child-frame-id eye",
        f"static_transform_publisher {NUMBERS} base eye --ros-args -r __node:=camera_tf",
    ],
)
def test_commands_of_a_publisher(text: str) -> None:
    given = parse_pose(text)
    np.testing.assert_allclose(given.T_base_camera, T, atol=1e-9)
    assert (given.base_frame, given.camera_frame) == ("base", "eye")


def test_the_camera_may_be_the_parent() -> None:
    given = parse_pose(static_transform_publisher(T, "eye", "base"), "T_camera_base")
    np.testing.assert_allclose(given.T_camera_base, T, atol=1e-9)
    assert (given.base_frame, given.camera_frame) == ("base", "eye")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot read the pose"),
        ("1 2 3", "cannot read the pose"),
        ("1 2 3 0 0 0", "cannot read the pose"),
        ("1 2 3 0 0 0 one", "cannot read the pose"),
        ("1 2 3 0 0 0 nan", "cannot read the pose"),
        ("--x 1 --up 2 --frame-id a --child-frame-id b", "cannot read the pose"),
        ("--x 1 --y", "cannot read the pose"),
        ("--x one", "cannot read the pose"),
        ("--x 'one", "cannot read the pose"),
        ("1 2 3 0.5 0 0 0.5", "has the length 0.707"),
        ("--qw 1 --yaw 1 --frame-id a --child-frame-id b", "give one of them"),
        ("1000 0 0 0 0 0 1", "in metres"),
    ],
)
def test_errors_say_what_to_give(text: str, words: str) -> None:
    with pytest.raises(ResultError, match=words):
        parse_pose(text, "T_base_camera")
