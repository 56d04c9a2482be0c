# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import FrameSettings, RefinementSettings, Settings
from calib_all_ros.solving.mask_measurer import MaskMeasurer
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.pipeline import PoseResult, Start, estimated_parameters, find_pose

QUICK = Settings.from_mapping(
    {
        "frames": {"count": 10},
        "search": {"hypotheses": 800, "candidates": 8, "finalists": 2, "attempts": 1},
    }
)


@pytest.fixture(scope="module")
def observations(simulated_recording: Recording, demo_robot: Robot) -> Observations:
    return prepare(simulated_recording, demo_robot, QUICK.frames)


@pytest.fixture(scope="module")
def truth(simulated_recording: Recording) -> np.ndarray:
    assert simulated_recording.reference_T_camera_base is not None
    return simulated_recording.reference_T_camera_base


def solve(
    observations: Observations, settings: Settings, *starts: Start, **more: Any
) -> PoseResult:
    return find_pose(MaskMeasurer(observations, settings.search), settings, starts, **more)


def test_finds_the_camera(observations: Observations, truth: np.ndarray) -> None:
    heard: list[tuple[str, float]] = []
    result = solve(
        observations, QUICK, on_progress=lambda stage, share: heard.append((stage, share))
    )
    angle_deg, distance_m = se3.difference(result.estimate.T_camera_base, truth)
    assert angle_deg < 0.1 and distance_m < 0.003
    assert result.start.source == "search" and result.used.all()
    assert result.iou.min() > 0.97 and result.quality["late_frames"] == 0
    assert np.isnan(result.own_lag_s).all()
    assert heard[-1] == ("refine", 1.0) and {"search", "refine"} <= {stage for stage, _ in heard}


def test_a_good_mark_makes_up_for_a_poor_search(
    observations: Observations, truth: np.ndarray
) -> None:
    poor = replace(QUICK, search=replace(QUICK.search, hypotheses=1, candidates=1, finalists=1))
    near = se3.from_rotvec(np.array([0.05, 0, 0.02]), np.array([0.02, 0.01, 0.0])) @ truth
    result = solve(observations, poor, Start(near, "mark"))
    assert se3.difference(result.estimate.T_camera_base, truth)[1] < 0.003


def test_a_bad_mark_does_no_harm(observations: Observations, truth: np.ndarray) -> None:
    turned = truth @ se3.from_rotvec(np.array([0.0, 0.0, np.pi]), np.zeros(3))
    result = solve(observations, QUICK, Start(turned, "mark"))
    assert result.start.source == "search"
    assert se3.difference(result.estimate.T_camera_base, truth)[1] < 0.003


def test_late_images_are_left_out_and_named(
    simulated_recording: Recording, demo_robot: Robot, truth: np.ndarray
) -> None:
    stamps = simulated_recording.image_stamps_ns.copy()
    late = np.array([4, 12])
    stamps[late] += 230_000_000
    recording = replace(simulated_recording, image_stamps_ns=stamps)
    observations = prepare(recording, demo_robot, FrameSettings(count=20))
    near = se3.from_rotvec(np.array([0.02, 0, 0.01]), np.array([0.01, 0.01, 0.0])) @ truth
    poor = replace(QUICK, search=replace(QUICK.search, hypotheses=4, candidates=1, finalists=1))
    result = solve(observations, poor, Start(near, "mark"))
    named = observations.frames[np.isfinite(result.own_lag_s)]
    assert set(late) <= set(named) and len(named) <= 3
    assert not result.used[late].any()
    own = result.own_lag_s[late] + result.estimate.lag_s
    np.testing.assert_allclose(own, 0.23, atol=0.06)
    assert se3.difference(result.estimate.T_camera_base, truth)[1] < 0.003
    # The overlaps are those of the pose that is returned.
    assert result.iou[result.used].min() > 0.97
    assert result.iou[late].max() < 0.9


def test_settings_reach_the_solve() -> None:
    wanted = RefinementSettings(lag=False, mask_bias=False, focal_scale=True)
    parameters = estimated_parameters(wanted)
    assert (parameters.lag, parameters.mask_bias, parameters.focal_scale) == (False, False, True)
