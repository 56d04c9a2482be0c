# SPDX-License-Identifier: Apache-2.0
"""Recordings whose fault is known, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.diagnosis.misfit import (
    examine_directions,
    examine_masks,
    explain_misfit,
    seen_share,
)
from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.results.records import Cause, Finding
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.pipeline import PoseResult

LIMITS = VerdictLimits()
FRAMES = FrameSettings(count=8)
MISFIT = Finding("unexplained", "warning", "little agrees", "look", 2.0)


def observed(recording: Recording, robot: Robot, masks: np.ndarray | None = None) -> Observations:
    if masks is not None:
        recording = replace(recording, masks=FrameList(list(masks)))
    return prepare(recording, robot, FRAMES)


@pytest.fixture(scope="module")
def true_masks(simulated_recording: Recording) -> np.ndarray:
    assert simulated_recording.masks is not None
    return np.stack([m for m in simulated_recording.masks if m is not None])


def reversed_joint(recording: Recording, name: str) -> Recording:
    series = {other: recording.joints.series(other) for other in recording.joints.names}
    stamps, positions = series[name]
    series[name] = stamps, -positions
    return replace(recording, joints=JointTrajectory.from_series(series))


def causes(observations: Observations, result: PoseResult, *findings: Finding) -> tuple[Cause, ...]:
    found = explain_misfit(observations, result, findings or (MISFIT,), LIMITS, 0)
    return tuple(finding.cause for finding in found)


def test_true_masks_show_what_moves(simulated_recording: Recording, demo_robot: Robot) -> None:
    truth = examine_masks(observed(simulated_recording, demo_robot))
    assert truth is not None and truth.agreement > LIMITS.sound_mask_agreement


def test_masks_of_something_still_are_bad(
    simulated_recording: Recording, demo_robot: Robot, true_masks: np.ndarray, good: PoseResult
) -> None:
    still = np.zeros_like(true_masks)
    still[:, 10:60, 10:60] = True
    observations = observed(simulated_recording, demo_robot, still)
    truth = examine_masks(observations)
    assert truth is not None and truth.seen_share < 0.3
    assert causes(observations, good) == ("bad_masks",)


def test_masks_that_miss_half_of_the_robot_are_bad(
    simulated_recording: Recording, demo_robot: Robot, true_masks: np.ndarray, good: PoseResult
) -> None:
    half = true_masks.copy()
    for mask in half:
        rows = np.flatnonzero(mask.any(axis=1))
        mask[rows[0] : (rows[0] + rows[-1]) // 2] = False
    observations = observed(simulated_recording, demo_robot, half)
    truth = examine_masks(observations)
    assert truth is not None and truth.inside_share < LIMITS.sound_mask_agreement
    assert causes(observations, good) == ("bad_masks",)


def test_images_without_change_say_nothing_of_masks(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    observations = observed(simulated_recording, demo_robot)
    blank = replace(observations, images=np.zeros_like(observations.images))
    assert examine_masks(blank) is None
    assert examine_masks(replace(observations, masks=None)) is None


def test_a_reversed_joint_is_named(
    simulated_recording: Recording, demo_robot: Robot, good: PoseResult
) -> None:
    name = demo_robot.kinematics.joint_names[1]
    observations = observed(reversed_joint(simulated_recording, name), demo_robot)
    directions = examine_directions(observations)
    assert directions.reversed_joint == name
    assert directions.overlap > directions.recorded + LIMITS.reversal_gain
    assert directions.plausible
    rejected = replace(MISFIT, severity="rejected")
    assert causes(observations, good, rejected) == ("mirrored_joint",)


def test_sound_masks_that_nothing_explains_speak_against_the_model(
    simulated_recording: Recording, demo_robot: Robot, good: PoseResult
) -> None:
    observations = observed(simulated_recording, demo_robot)
    assert causes(observations, good) == ("wrong_robot_model",)


def test_a_base_frame_that_moves_is_named(
    simulated_recording: Recording, demo_robot: Robot, good: PoseResult
) -> None:
    kinematics = demo_robot.kinematics
    moving = next(name for name in kinematics.link_names if kinematics.moving_joints(name))
    rebased = load_robot(demo_urdf_path(), base_frame=moving)
    observations = observed(simulated_recording, rebased)
    (found,) = explain_misfit(observations, good, [MISFIT], LIMITS, 0)
    assert found.cause == "wrong_robot_model" and f"base frame '{moving}' moves" in found.evidence


def test_nothing_is_explained_where_nothing_is_wrong(
    simulated_recording: Recording, demo_robot: Robot, good: PoseResult
) -> None:
    observations = observed(simulated_recording, demo_robot)
    assert explain_misfit(observations, good, [], LIMITS, 0) == []


def test_what_is_known_to_be_in_the_view_explains_it(
    simulated_recording: Recording, demo_robot: Robot, good: PoseResult
) -> None:
    observations = observed(simulated_recording, demo_robot)
    passer_by = Finding("moving_object", "warning", "somebody walks", "keep clear")
    assert causes(observations, good, MISFIT, passer_by) == ()


def test_a_robot_that_is_hardly_seen(
    simulated_recording: Recording, demo_robot: Robot, true_masks: np.ndarray, good: PoseResult
) -> None:
    dots = np.zeros_like(true_masks)
    dots[:, :4, :4] = True
    with_dots = observed(simulated_recording, demo_robot, dots)
    assert seen_share(with_dots) == pytest.approx(dots.mean())
    assert causes(with_dots, good) == ("degenerate_view",)
    observations = observed(simulated_recording, demo_robot)
    truly = np.median(true_masks.mean(axis=(1, 2)))
    assert seen_share(replace(observations, masks=None)) == pytest.approx(truly, rel=0.6)


def test_what_was_only_noted_explains_a_misfit(
    simulated_recording: Recording, demo_robot: Robot, good: PoseResult
) -> None:
    noted = Finding("images_late", "note", "the lag drifts", "synchronise the clocks")
    observations = observed(simulated_recording, demo_robot)
    (found,) = explain_misfit(observations, good, [MISFIT, noted], LIMITS, 0)
    assert (found.cause, found.severity) == ("images_late", "warning")
