# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.dataset.membership import examine, result_for, unchecked_result
from calib_all_ros.dataset.plan import SETUPS
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot


@pytest.fixture(scope="module")
def joint(whole: DatasetRun) -> Calibration:
    """What was solved on a0, a1 and a2."""
    return Calibration.load(whole.plan.out / SETUPS / whole.rows["a0"].setup)


def test_an_episode_of_the_setup_belongs(
    joint: Calibration, whole: DatasetRun, two_setups: Path, demo_robot: Robot
) -> None:
    recording = load_recording(RecordingSource(two_setups / "a1", masks="recorded"))
    member = examine(recording, demo_robot, joint, whole.plan.settings)
    assert member.belongs and member.status == "accepted" and member.reasons == ()
    result = result_for(recording, joint, member, "together")
    assert result.notes[0] == "together" and result.frames[0].iou is not None
    assert result.quality["own_pose_position_mm"] < 2.0
    assert result.quality["contour_median_px"] < 0.5


def test_an_episode_of_a_bumped_camera_does_not(
    joint: Calibration, whole: DatasetRun, two_setups: Path, demo_robot: Robot
) -> None:
    recording = load_recording(RecordingSource(two_setups / "b0", masks="recorded"))
    member = examine(recording, demo_robot, joint, whole.plan.settings)
    assert not member.belongs
    assert member.check.contour_px > 3.0


def test_a_weak_episode_belongs_where_it_agrees(
    joint: Calibration, whole: DatasetRun, two_setups: Path, demo_robot: Robot
) -> None:
    """Two images alone would not be enough for a pose; they are enough to agree with one."""
    settings = whole.plan.settings
    for name, belongs in (("a0", True), ("b0", False)):
        recording = load_recording(RecordingSource(two_setups / name, masks="recorded")).subset(
            [0, 1]
        )
        member = examine(recording, demo_robot, joint, settings)
        assert member.belongs is belongs
        if belongs:
            assert member.status == "accepted"


def test_an_episode_that_cannot_be_asked_gets_a_warning(
    joint: Calibration, two_setups: Path
) -> None:
    recording = load_recording(RecordingSource(two_setups / "a0", masks="recorded"))
    result = unchecked_result(recording, joint, "the robot does not move", "together")
    np.testing.assert_array_equal(result.T_camera_base, joint.T_camera_base)
    assert result.verdict.status == "warning"
    assert result.verdict.reasons[0].endswith("with this one: the robot does not move")
    assert result.frames == () and "iou_median" not in result.quality
