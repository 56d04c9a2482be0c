# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.quality.focal_probe import probe_figures, probe_parameters
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import Level, SilhouetteProblem, fit_silhouettes

WHOLE_SIZE = (Level(1.0, 20, 4.0, 3.0, stop_px=0.01),)


def with_focal_error(camera: Camera, scale: float) -> Camera:
    K = camera.K.copy()
    K[0, 0] *= scale
    K[1, 1] *= scale
    return replace(camera, K=K)


@pytest.mark.parametrize("error", [0.95, 1.0, 1.05])
def test_silhouettes_ask_for_the_true_focal_length(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion, error: float
) -> None:
    camera = with_focal_error(simulated.camera, error)
    problem = SilhouetteProblem(
        demo_robot.surface, simulated_motion, camera, np.asarray(simulated.masks)
    )
    pose = fit_silhouettes(problem, Estimate(simulated.T_camera_base), schedule=WHOLE_SIZE)
    probe = fit_silhouettes(problem, pose.estimate, probe_parameters(Parameters()), WHOLE_SIZE)
    figures = probe_figures(probe.estimate, probe.system)
    assert figures["free_focal_scale"] == pytest.approx(1 / error, abs=0.012)
    wrong_by = abs(figures["free_focal_scale"] - 1.0)
    significant = wrong_by > 3 * figures["free_focal_scale_sigma"]
    assert significant == (error != 1.0)


def test_nothing_measured_says_nothing() -> None:
    assert probe_figures(Estimate(np.eye(4)), None) == {}
