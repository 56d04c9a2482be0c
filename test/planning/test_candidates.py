# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.planning.camera_prior import CameraPrior, looking_at
from calib_all_ros.planning.candidates import Candidates, Checker, Limits, draw_candidates
from calib_all_ros.planning.joint_ranges import PlanningError, joint_ranges
from calib_all_ros.robot.description import Robot

UPRIGHT, LEVEL, HANGING = [0, 0, 0, 0.01], [0, 0, np.pi / 2, 0.01], [0, 0, np.pi, 0.01]


def checker(robot: Robot, prior: CameraPrior, **limits: Any) -> Checker:
    ranges = joint_ranges(robot.kinematics)
    return Checker(robot, ranges, prior, prior.samples(4, 0), Limits(**limits))


def failures(robot: Robot, prior: CameraPrior, *positions: list[float], **limits: Any) -> list[str]:
    found, _ = checker(robot, prior, **limits).failures(np.array(positions))
    return [str(name) for name in found]


def drawn(robot: Robot, prior: CameraPrior, **limits: Any) -> Candidates:
    ranges = joint_ranges(robot.kinematics)
    return draw_candidates(checker(robot, prior, **limits), ranges, 30, 500, seed=1)


def test_ground(crane: Robot, prior: CameraPrior) -> None:
    """Hanging down, the fingers end at 0.165 m; the slide cannot leave the ground it runs on."""
    poses = UPRIGHT, HANGING
    assert failures(crane, prior, *poses) == ["", ""]
    assert failures(crane, prior, *poses, ground_m=0.14) == ["", "ground"]
    assert failures(crane, prior, *poses, ground_m=0.13) == ["", ""]
    assert failures(crane, prior, *poses, ground_m=None) == ["", ""]


def test_workspace(crane: Robot, prior: CameraPrior) -> None:
    """Level, the fingers reach 0.345 m along x; upright, they reach 0.855 m up."""
    poses = UPRIGHT, LEVEL
    assert failures(crane, prior, *poses, workspace=(-1, 0.3, -1, 1, 0, 1)) == ["", "workspace"]
    assert failures(crane, prior, *poses, workspace=(-1, 0.4, -1, 1, 0, 0.8)) == ["workspace", ""]


def test_camera(crane: Robot, prior: CameraPrior) -> None:
    """A camera 0.1 m beyond the fingertips of the level arm."""
    near = replace(
        prior,
        T_camera_base=looking_at([0.445, 0.0, 0.51], [0, 0, 0.3]),
        position_sigma_m=0.001,
        rotation_sigma_rad=0.001,
    )
    poses = UPRIGHT, LEVEL
    assert failures(crane, near, *poses, in_view=0.01) == ["", "camera"]
    assert failures(crane, near, *poses, in_view=0.01, camera_clearance_m=0.08) == ["", ""]


def test_view(crane: Robot, prior: CameraPrior) -> None:
    """A camera that only sees what is above 0.5 m: about the forearm of the upright arm."""
    level = replace(
        prior,
        T_camera_base=looking_at([1.0, 0.0, 0.5 + np.tan(np.radians(23.4))], [0, 0, 0.923]),
        position_sigma_m=0.01,
        rotation_sigma_rad=0.01,
    )
    check = checker(crane, level, in_view=0.3)
    failed, share = check.failures(np.array([UPRIGHT, HANGING]))
    assert failed.tolist() == ["", "view"]
    assert 0.3 < share[0] < 0.6
    assert share[1] < 0.1
    assert check.best_view == share[0]


def test_all_that_pass_keep_to_the_limits(crane: Robot, prior: CameraPrior) -> None:
    found = drawn(crane, prior, ground_m=0.2, in_view=0.8)
    assert found.positions.shape == (30, 4)
    assert (found.in_view > 0.6).all()
    assert found.removed["ground"] > 0
    assert found.removed["workspace"] == 0
    check = checker(crane, prior, ground_m=0.2, in_view=0.8)
    assert not any(check.failures(found.positions)[0])
    again = drawn(crane, prior, ground_m=0.2, in_view=0.8)
    np.testing.assert_array_equal(found.positions, again.positions)


def test_shares_are_those_of_the_projection(crane: Robot, prior: CameraPrior) -> None:
    """Turned away, the camera sees nothing of what it sees when it looks."""
    away = se3.from_rotvec([0.0, np.pi, 0.0], np.zeros(3)) @ prior.T_camera_base
    for T, expected in ((prior.T_camera_base, 1.0), (away, 0.0)):
        view = replace(prior, T_camera_base=T, position_sigma_m=1e-3, rotation_sigma_rad=1e-3)
        _, share = checker(crane, view).failures(np.array([UPRIGHT]))
        assert share[0] == expected


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"ground_m": 0.9}, r"none of 500 .*: 500 come too near to the ground \(--ground"),
        ({"workspace": (2, 3, 2, 3, 2, 3)}, r"\(--workspace\), in which rail, arm, fore never are"),
        ({"workspace": (-1, 1, -1, 1, 0.12, 2)}, r"500 leave .*, in which rail, arm never are"),
        ({"camera_clearance_m": 3.0}, "500 come too near to the camera"),
    ],
)
def test_says_what_removes_all(
    crane: Robot, prior: CameraPrior, limits: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PlanningError, match=sentence):
        drawn(crane, prior, **limits)


def test_camera_that_sees_nothing(crane: Robot, prior: CameraPrior) -> None:
    away = replace(prior, T_camera_base=looking_at([1.6, 0.3, 0.7], [9.0, 0.3, 0.7]))
    with pytest.raises(PlanningError, match=r"sees nothing of the robot .*--look-at"):
        drawn(crane, away)


def test_camera_that_sees_too_little(crane: Robot, prior: CameraPrior) -> None:
    beside = replace(prior, T_camera_base=looking_at([1.6, 0.3, 0.7], [0.0, 1.0, 1.0]))
    with pytest.raises(
        PlanningError, match=r"leave the view, where at best [1-9]\d? % .*--in-view"
    ):
        drawn(crane, beside, in_view=1.0)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"in_view": 0.0}, "in view is 0"),
        ({"in_view": 1.2}, "in view is 1.2"),
        ({"workspace": (1, 0, 0, 1, 0, 1)}, "workspace is empty"),
    ],
)
def test_impossible_limits(limits: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PlanningError, match=sentence):
        Limits(**limits)
