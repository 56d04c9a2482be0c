# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.image_measurer import ChangeJudge, ImageMeasurer
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.pipeline import Start, find_pose

QUICK = Settings.from_mapping(
    {
        "frames": {"count": 12, "background_count": 20},
        "search": {"hypotheses": 4, "candidates": 1, "finalists": 1},
    }
)


@pytest.fixture(scope="module")
def observations(simulated_recording: Recording, demo_robot: Robot) -> Observations:
    return prepare(replace(simulated_recording, masks=None), demo_robot, QUICK.frames)


@pytest.fixture(scope="module")
def truth(simulated_recording: Recording) -> np.ndarray:
    assert simulated_recording.reference_T_camera_base is not None
    return simulated_recording.reference_T_camera_base


def test_refines_a_start_to_millimetres(observations: Observations, truth: np.ndarray) -> None:
    near = se3.from_rotvec(np.array([0.03, -0.02, 0.02]), np.array([0.02, 0.02, 0.02])) @ truth
    heard: list[str] = []
    result = find_pose(
        ImageMeasurer(observations, QUICK.search),
        QUICK,
        (Start(near, "mark"),),
        lambda stage, _: heard.append(stage),
    )
    assert result.start.source == "mark"
    angle_deg, distance_m = se3.difference(result.estimate.T_camera_base, truth)
    assert angle_deg < 0.15 and distance_m < 0.005
    assert result.iou.shape == result.contour_px.shape == (12,) and np.median(result.iou) > 0.9
    assert 0.5 < result.quality["edge_share"] <= 1.0
    assert result.quality["change_overlap"] > 0.6
    assert heard[0] == "search" and heard[-1] == "refine" and "coarse" in heard


def test_change_tells_good_poses_from_bad_ones(
    observations: Observations, truth: np.ndarray
) -> None:
    judge = ChangeJudge(observations, observations.spread(6))
    overlaps, gains = [], []
    for offset in (0.0, 0.03, 0.1):
        off = se3.from_rotvec(offset * np.array([1.0, 0.5, 0.0]), offset * np.ones(3))
        overlaps.append(judge.overlap(Estimate(off @ truth)))
        gains.append(judge.gain(Estimate(off @ truth)))
    assert overlaps[0] > overlaps[1] > overlaps[2] and overlaps[0] > 0.6
    assert gains[0] > 0.5 > gains[1] > gains[2]
