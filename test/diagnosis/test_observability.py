# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.diagnosis.observability import ViewFigures, observability_findings, view_figures
from calib_all_ros.diagnosis.uncertainty import PoseUncertainty
from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.observations import prepare

LIMITS = VerdictLimits()
PLENTY = ViewFigures(images=16, motion_m=0.3, robot_share=0.1, visible_share=1.0)
# One standard deviation of an error along one axis is 1/1.645 of what nine in ten stay within.
SURE = PoseUncertainty(np.diag([1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3]) ** 2, 0.5, 0.01)


def unsure(position_m: float, axis: int = 0, rotation_rad: float = 1e-4) -> PoseUncertainty:
    sigma = np.array([1e-4, 1e-4, 1e-4, rotation_rad, 1e-4, 1e-4])
    sigma[axis] = position_m
    return PoseUncertainty(np.diag(sigma**2), 0.5, 0.01)


def test_a_pose_that_is_known_is_no_finding() -> None:
    assert observability_findings(PLENTY, SURE, np.eye(4), LIMITS) == []


@pytest.mark.parametrize(
    ("uncertainty", "severity"),
    [
        (unsure(1.1e-3 * LIMITS.warning_position_mm / 1.645), "warning"),
        (unsure(1.1e-3 * LIMITS.rejected_position_mm / 1.645), "rejected"),
        (unsure(1e-4, rotation_rad=np.radians(1.1 * LIMITS.warning_rotation_deg / 1.6)), "warning"),
        (
            unsure(1e-4, rotation_rad=np.radians(1.1 * LIMITS.rejected_rotation_deg / 1.6)),
            "rejected",
        ),
        (unsure(float("nan")), "rejected"),
        (None, "rejected"),
    ],
)
def test_a_pose_that_is_not(uncertainty: PoseUncertainty | None, severity: str) -> None:
    (found,) = observability_findings(PLENTY, uncertainty, np.eye(4), LIMITS)
    assert (found.cause, found.severity) == ("degenerate_view", severity)


def test_the_direction_that_is_not_observable_is_named() -> None:
    words = ("sideways", "up and down in the image", "along the viewing direction")
    for axis, direction in enumerate(words):
        (found,) = observability_findings(PLENTY, unsure(0.1, axis), np.eye(4), LIMITS)
        assert direction in found.evidence
    # The covariance is in the base's axes, the words are in the camera's.
    turned = np.eye(4)
    turned[:3, :3] = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    (found,) = observability_findings(PLENTY, unsure(0.1, 0), turned, LIMITS)
    assert "up and down" in found.evidence


@pytest.mark.parametrize(
    ("figures", "cause", "words"),
    [
        (replace(PLENTY, motion_m=0.01), "too_little_motion", "1 cm (rms) in the 16 image"),
        (replace(PLENTY, images=2), "too_little_motion", "2 image(s) used"),
        (replace(PLENTY, visible_share=0.3), "degenerate_view", "30 % of the robot is inside"),
        (replace(PLENTY, robot_share=0.004), "degenerate_view", "0.4 % of the image"),
    ],
)
def test_why_it_is_not_known(figures: ViewFigures, cause: str, words: str) -> None:
    (found,) = observability_findings(figures, unsure(0.1), np.eye(4), LIMITS)
    assert found.cause == cause and words in found.evidence


def test_few_images_that_fit_are_warned_of_all_the_same() -> None:
    (found,) = observability_findings(replace(PLENTY, images=2), SURE, np.eye(4), LIMITS)
    assert (found.cause, found.severity) == ("too_little_motion", "warning")


def test_what_is_seen_of_the_robot(simulated_recording: Recording, demo_robot: Robot) -> None:
    observations = prepare(simulated_recording, demo_robot, FrameSettings(count=6))
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None and observations.masks is not None
    used = np.ones(len(observations.solve), bool)
    found = view_figures(observations, Estimate(truth), used)
    share = np.median(observations.masks[observations.solve].mean(axis=(1, 2)))
    assert found.robot_share == pytest.approx(share, rel=0.1)
    assert found.visible_share > 0.95 and found.images == 6 and found.motion_m > 0.05
    aside = truth.copy()
    aside[0, 3] += 0.8 * aside[2, 3]
    assert view_figures(observations, Estimate(aside), used).visible_share < 0.8
