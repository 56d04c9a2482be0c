# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import StaticTransform
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.extrinsics_file import GivenExtrinsics, in_frames

T_CAMERA_BASE = se3.from_rotvec(np.array([0.4, -0.3, 2.0]), np.array([0.1, 0.2, 1.5]))
T_WORLD_BASE = se3.from_rotvec(np.array([0.0, 0.0, 0.5]), np.array([0.0, 1.0, 0.8]))
T_LINK_MIDDLE = se3.from_rotvec(np.array([0.0, 0.1, 0.0]), np.array([0.01, 0.0, 0.0]))
T_MIDDLE_OPTICAL = se3.from_rotvec(np.array([-1.2, 1.2, -1.2]), np.array([0.0, 0.015, 0.0]))
EDGES = (
    StaticTransform("world", "base", T_WORLD_BASE),
    StaticTransform("camera_link", "middle", T_LINK_MIDDLE),
    StaticTransform("middle", "optical", T_MIDDLE_OPTICAL),
)


def test_the_same_frames_change_nothing() -> None:
    given = GivenExtrinsics(T_CAMERA_BASE, "file", "/base", "optical")
    T, notes = in_frames(given, "base", "optical", EDGES)
    np.testing.assert_array_equal(T, T_CAMERA_BASE)
    assert notes == ()


def test_what_is_not_named_is_said_to_be_assumed() -> None:
    T, notes = in_frames(GivenExtrinsics(T_CAMERA_BASE, "file"), "base", "optical")
    np.testing.assert_array_equal(T, T_CAMERA_BASE)
    assert "taken for 'base'" in notes[0] and "not a camera_link" in notes[1]


def test_other_frames_are_converted_where_they_are_connected() -> None:
    T_link_optical = T_LINK_MIDDLE @ T_MIDDLE_OPTICAL
    T_link_world = T_link_optical @ T_CAMERA_BASE @ se3.invert(T_WORLD_BASE)
    given = GivenExtrinsics(T_link_world, "file", "world", "camera_link")
    T, notes = in_frames(given, "base", "optical", EDGES)
    np.testing.assert_allclose(T, T_CAMERA_BASE, atol=1e-12)
    assert all("/tf_static" in note for note in notes) and len(notes) == 2


@pytest.mark.parametrize(
    ("base", "camera", "words"),
    [
        ("table", "optical", "--base-frame base if 'table' is only another name"),
        ("base", "tracker", "--camera-frame optical if 'tracker' is only another name"),
    ],
)
def test_other_frames_are_refused(base: str, camera: str, words: str) -> None:
    with pytest.raises(ResultError, match=words):
        in_frames(GivenExtrinsics(T_CAMERA_BASE, "file", base, camera), "base", "optical", EDGES)
