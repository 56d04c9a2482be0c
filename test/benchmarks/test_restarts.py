# SPDX-License-Identifier: Apache-2.0
"""A fit that got stuck is tried again from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.restarts import RestartSettings, fit_silhouettes_with_restarts
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem, fit_silhouettes

CAMERA = Camera(np.array([[300.0, 0, 159.3], [0, 300.0, 120.2], [0, 0, 1]]), 320, 240, np.zeros(0))
TRUTH = se3.make(
    np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]]), np.array([0.0, 0.4, 1.6])
)
POSE_ONLY = Parameters(lag=False, mask_bias=False)
# So far off that a single fit ends in a local minimum: see the first assertion of the test.
FAR_OFF = np.array([np.radians(50.0), 0.0, 0.0, 0.1, 0.1, 0.1])


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot(demo_urdf_path())


@pytest.fixture(scope="module")
def problem(robot: Robot) -> SilhouetteProblem:
    names = robot.kinematics.joint_names
    bent = np.array([[0.5, 0.6, 0.3, -1.2, 0.4, 1.0, 0.2] + [0.0] * (len(names) - 7)])
    joints = JointTrajectory(names, np.array([0, 1]), np.repeat(bent, 2, axis=0))
    motion = RobotMotion(robot.kinematics, joints, np.array([0]))
    masks = silhouettes(robot.surface, TRUTH @ motion.link_poses(), CAMERA)
    return SilhouetteProblem(robot.surface, motion, CAMERA, masks)


def _centre() -> np.ndarray:
    return TRUTH[:3, :3] @ np.array([0.0, 0.0, 0.4]) + TRUTH[:3, 3]


def test_finds_the_camera_where_one_fit_does_not(problem: SilhouetteProblem) -> None:
    start = Estimate(TRUTH).moved(FAR_OFF, _centre())
    assert fit_silhouettes(problem, start, POSE_ONLY).iou[0] < 0.8
    fit = fit_silhouettes_with_restarts(problem, start, POSE_ONLY)
    degrees, metres = se3.difference(fit.estimate.T_camera_base, TRUTH)
    assert degrees < 0.1
    assert metres < 0.005


def test_a_good_first_fit_is_returned_as_it_is(problem: SilhouetteProblem) -> None:
    start = Estimate(TRUTH).moved(np.full(6, 0.01), _centre())
    once = fit_silhouettes(problem, start, POSE_ONLY)
    fit = fit_silhouettes_with_restarts(problem, start, POSE_ONLY)
    assert fit.estimate.T_camera_base == pytest.approx(once.estimate.T_camera_base)


def test_the_best_is_kept_when_nothing_is_good_enough(problem: SilhouetteProblem) -> None:
    start = Estimate(TRUTH).moved(np.full(6, 0.01), _centre())
    once = fit_silhouettes(problem, start, POSE_ONLY)
    never = RestartSettings(accepted_overlap=1.1, hypotheses=20, refined=2, finalists=1)
    fit = fit_silhouettes_with_restarts(problem, start, POSE_ONLY, restarts=never)
    assert fit.iou[0] >= once.iou[0]
