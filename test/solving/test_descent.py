# SPDX-License-Identifier: Apache-2.0
"""The paper's descent in the place of the fit to outlines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.progress import Progress
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import AdamSettings, FrameSettings, Settings, SettingsError
from calib_all_ros.solving import adam
from calib_all_ros.solving.image_measurer import ImageMeasurer
from calib_all_ros.solving.mask_measurer import MaskMeasurer
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.pipeline import (
    PoseResult,
    Start,
    estimated_parameters,
    find_pose,
    refine_pose,
)

STEPS = 100
DESCENT = Settings.from_mapping(
    {
        "frames": {"count": 3, "working_width_px": 160},
        "refinement": {"method": "adam"},
        "adam": {"steps": STEPS, "learning_rate": 2e-3},
    }
)


def descend(
    observations: Observations, settings: Settings, start: Start, *on_progress: Progress
) -> PoseResult:
    measurer = MaskMeasurer(observations, settings.search, settings.adam)
    return refine_pose(measurer, settings, start, *on_progress)


@pytest.fixture(scope="module")
def start(simulated_recording: Recording) -> Start:
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None
    shift = se3.from_rotvec(np.array([0.02, -0.01, 0.02]), np.array([0.015, 0.01, -0.01]))
    return Start(shift @ truth, "mark")


@pytest.fixture(scope="module")
def result(simulated_recording: Recording, demo_robot: Robot, start: Start) -> PoseResult:
    observations = prepare(simulated_recording, demo_robot, DESCENT.frames)
    return descend(observations, DESCENT, start)


def test_descent_refines(result: PoseResult, simulated_recording: Recording, start: Start) -> None:
    truth = simulated_recording.reference_T_camera_base
    degrees, metres = se3.difference(result.estimate.T_camera_base, truth)
    assert metres < 0.2 * se3.difference(start.T_camera_base, truth)[1]
    assert degrees < 0.2 * se3.difference(start.T_camera_base, truth)[0]
    assert result.iou.min() > 0.95 and result.used.all()
    assert result.systems is not None


def test_descent_leaves_lag_and_bias_alone(result: PoseResult) -> None:
    assert result.estimate.lag_s == 0.0
    assert result.estimate.mask_bias_px == 0.0
    parameters = estimated_parameters(DESCENT.refinement)
    assert not any((parameters.lag, parameters.mask_bias, parameters.focal_scale))


def test_losses_are_on_record(result: PoseResult) -> None:
    losses = [point.cost for point in result.trace]
    assert len(losses) == STEPS + 1
    assert losses[-1] < 0.5 * losses[0]


def test_of_a_long_descent_some_estimates_are_kept(
    simulated_recording: Recording,
    demo_robot: Robot,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adam, "TRACED_STEPS", 4)
    short = replace(DESCENT, adam=AdamSettings(steps=11, learning_rate=1e-3))
    observations = prepare(simulated_recording, demo_robot, DESCENT.frames)
    shares: list[float] = []
    result = descend(observations, short, start, lambda _, share: shares.append(share))
    assert len(result.trace) == 4
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert sum(0 < share < adam.DESCENT_SHARE for share in shares) == 3


def test_images_alone_do_not_do(simulated_recording: Recording, demo_robot: Robot) -> None:
    observations = prepare(
        replace(simulated_recording, masks=None), demo_robot, FrameSettings(count=3)
    )
    with pytest.raises(SettingsError, match=r"refinement.method is adam.* needs masks"):
        find_pose(ImageMeasurer(observations, DESCENT.search), DESCENT)


def test_unknown_methods_and_backends_are_refused() -> None:
    with pytest.raises(SettingsError, match="contour or adam"):
        Settings.from_mapping({"refinement": {"method": "sgd"}})
    with pytest.raises(SettingsError, match="cpu or nvdiffrast"):
        Settings.from_mapping({"rendering": {"backend": "opengl"}})
    with pytest.raises(SettingsError, match=r"adam\.learning_rate"):
        Settings.from_mapping({"adam": {"learning_rate": 0.0}})
