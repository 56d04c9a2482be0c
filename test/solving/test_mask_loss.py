# SPDX-License-Identifier: Apache-2.0
"""The anti-aliased mask loss and its gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.robot.kinematics import Joint, Kinematics
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.mask_loss import RasterisedMaskLoss
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

CAMERA = Camera(np.array([[300.0, 0, 159.3], [0, 300.0, 120.2], [0, 0, 1]]), 320, 240, np.zeros(0))


@pytest.mark.parametrize("offset_px", [0.1, 0.4, 0.6, 0.9])
def test_coverage_of_a_pixel_is_the_share_that_is_robot(offset_px: float) -> None:
    """An upright edge between two pixel columns, known in closed form."""
    depth = 2.0
    K = CAMERA.K
    left, right = 40.0, 90.0 + offset_px
    top, bottom = 29.5, 80.5
    corners = [
        [(u - K[0, 2]) / K[0, 0] * depth, (v - K[1, 2]) / K[1, 1] * depth, depth]
        for u, v in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]
    sheet = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    kinematics = Kinematics(("sheet", "unseen"), [Joint("hinge", "revolute", "sheet", "unseen")])
    surface = RobotSurface.from_meshes([sheet, None], kinematics.link_names)
    still = JointTrajectory(("hinge",), np.array([0, 1]), np.zeros((2, 1)))
    motion = RobotMotion(kinematics, still, np.array([0]))
    masks = np.zeros((1, CAMERA.height, CAMERA.width), bool)
    problem = SilhouetteProblem(surface, motion, CAMERA, masks)
    objective = RasterisedMaskLoss(problem, Estimate(np.eye(4)))
    row = objective.coverage(np.eye(4))[0, 55]
    # Pixel u spans u - 0.5 to u + 0.5.
    expected = np.clip(right - (np.arange(CAMERA.width) - 0.5), 0.0, 1.0)
    assert row[60:] == pytest.approx(expected[60:], abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_gradient_is_that_of_finite_differences(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    objective = RasterisedMaskLoss(pillar_problem, Estimate(pillar_truth))
    centre = pillar_truth[:3, 3]
    at = Estimate(pillar_truth).moved(rng.normal(0.0, 0.03, 6), centre)
    gradient = objective.evaluate(at.T_camera_base, centre).gradient
    step = 1e-5
    numeric = [
        (
            objective.evaluate(at.moved(step * axis, centre).T_camera_base, centre).value
            - objective.evaluate(at.moved(-step * axis, centre).T_camera_base, centre).value
        )
        / (2 * step)
        for axis in np.eye(6)
    ]
    assert gradient == pytest.approx(numeric, abs=0.01 * np.abs(numeric).max())


def test_loss_between_two_poses_is_the_integral_of_its_gradient(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]
) -> None:
    """Over a way on which many pixels change sides."""
    objective = RasterisedMaskLoss(pillar_problem, Estimate(pillar_truth))
    centre = pillar_truth[:3, 3]
    way = np.array([0.03, -0.02, 0.04, 0.02, 0.03, -0.05])
    count = 200
    here = [Estimate(pillar_truth).moved((i + 0.5) / count * way, centre) for i in range(count)]
    # For these small angles the twist's derivative along the way is the twist itself.
    slopes = [
        objective.evaluate(estimate.T_camera_base, centre).gradient @ way for estimate in here
    ]
    start = objective.evaluate(pillar_truth, centre).value
    end = objective.evaluate(Estimate(pillar_truth).moved(way, centre).T_camera_base, centre).value
    assert end > 20 * start
    assert np.mean(slopes) == pytest.approx(end - start, rel=0.1)


def test_ignored_pixels_do_not_count(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]
) -> None:
    everything = replace(
        pillar_problem, masks=~pillar_problem.masks, ignore=np.ones_like(pillar_problem.masks)
    )
    loss = RasterisedMaskLoss(everything, Estimate(pillar_truth)).evaluate(
        pillar_truth, np.zeros(3)
    )
    assert loss.value == 0.0
    assert not loss.gradient.any()
