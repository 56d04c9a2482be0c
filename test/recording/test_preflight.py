# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.frame_selection import joints_at_frames, require_motion
from calib_all_ros.recording.recording import RecordingError

MS = 1_000_000
START = 1_700_000_000_000_000_000


def trajectory(*spans_ms: tuple[int, int]) -> JointTrajectory:
    stamps = np.concatenate([np.arange(a, b + 1, 10) for a, b in spans_ms])
    return JointTrajectory(("a",), START + stamps * MS, stamps[:, None] / 1000)


IMAGES = START + np.arange(0, 1001, 100) * MS


def test_all_covered() -> None:
    found = joints_at_frames(IMAGES, trajectory((0, 1000)), ("a",))
    assert found.valid.all() and found.notes == ()
    np.testing.assert_allclose(found.positions[:, 0], np.arange(11) / 10)


def test_joint_states_that_end_early_cost_frames() -> None:
    found = joints_at_frames(IMAGES, trajectory((50, 620)), ("a",))
    assert found.valid.tolist() == [False] + [True] * 6 + [False] * 4
    (note,) = found.notes
    assert note.startswith("5 of 11 images are left out")
    assert "1 before" in note and "4 after the last joint state, 0.62 s" in note


def test_gaps_cost_frames() -> None:
    found = joints_at_frames(IMAGES, trajectory((0, 290), (710, 1000)), ("a",))
    assert np.flatnonzero(~found.valid).tolist() == [3, 4, 5, 6, 7]
    assert "5 in gaps of more than 200 ms" in found.notes[0]


def test_other_clock_is_an_error() -> None:
    with pytest.raises(RecordingError, match=r"no image has joint states.*same clock"):
        joints_at_frames(IMAGES + 3600_000 * MS, trajectory((0, 1000)), ("a",))


def test_robot_at_rest_is_an_error() -> None:
    rest = np.array([[0.0, 1.0], [0.001, 1.01], [0.0, 1.0]])
    with pytest.raises(RecordingError, match=r"does not move.*'elbow', moves by 0\.0100 rad"):
        require_motion(rest, ("pan", "elbow"))
    with pytest.raises(RecordingError, match="does not move"):
        require_motion(np.zeros((3, 0)), ())


def test_motion_is_enough() -> None:
    require_motion(np.array([[0.0, 1.0], [0.0, 1.3]]), ("pan", "elbow"))


def test_most_images_without_joint_states_cast_doubt() -> None:
    found = joints_at_frames(IMAGES, trajectory((50, 350)), ("a",))
    assert found.valid.sum() == 3
    assert found.notes == ()
    (warning,) = found.warnings
    assert warning.startswith("8 of 11 images are left out")
