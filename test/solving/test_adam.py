# SPDX-License-Identifier: Apache-2.0
"""The anti-aliased mask loss, its gradient, and the descent on it."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.kinematics import Joint, Kinematics
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.adam import AdamSettings, MaskObjective, fit_adam, mesh_edges
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

CAMERA = Camera(np.array([[300.0, 0, 159.3], [0, 300.0, 120.2], [0, 0, 1]]), 320, 240, np.zeros(0))
TRUTH = se3.from_rotvec(np.array([1.9, 0.3, -0.2]), np.array([-0.05, 0.1, 1.3]))


@pytest.fixture(scope="module")
def two_links() -> tuple[RobotSurface, RobotMotion]:
    """A pillar with a long, tapering arm, in two configurations."""
    pillar = trimesh.creation.box([0.2, 0.16, 0.3])
    arm = trimesh.creation.cone(0.1, 0.5, sections=12)
    hinge = Joint(
        "hinge", "revolute", "base", "arm", se3.make(np.eye(3), np.array([0.0, 0.0, 0.15]))
    )
    kinematics = Kinematics(("base", "arm"), [hinge])
    trajectory = JointTrajectory(("hinge",), np.array([0, 10**9]), np.array([[0.5], [-0.9]]))
    motion = RobotMotion(kinematics, trajectory, np.array([0, 10**9]))
    return RobotSurface.from_meshes([pillar, arm], kinematics.link_names), motion


@pytest.fixture(scope="module")
def problem(two_links: tuple[RobotSurface, RobotMotion]) -> SilhouetteProblem:
    surface, motion = two_links
    masks = silhouettes(surface, TRUTH @ motion.link_poses(), CAMERA)
    return SilhouetteProblem(surface, motion, CAMERA, masks)


def test_a_box_has_twelve_edges_and_their_diagonals(
    two_links: tuple[RobotSurface, RobotMotion],
) -> None:
    box = RobotSurface.from_meshes([trimesh.creation.box([1, 1, 1])], ["box"])
    edges, faces = mesh_edges(box)
    assert len(edges) == 18  # Euler: V - E + F = 2 with 8 vertices and 12 triangles
    assert np.bincount(faces.ravel()).tolist() == [3] * 12


def test_open_edges_belong_to_no_pair_of_faces() -> None:
    triangle = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)
    _, faces = mesh_edges(RobotSurface.from_meshes([triangle], ["sheet"]))
    assert faces.tolist() == [[-1, -1]] * 3


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
    objective = MaskObjective(SilhouetteProblem(surface, motion, CAMERA, masks))
    row = objective.evaluate(Estimate(np.eye(4)), np.zeros(3)).coverage[0, 55]
    # Pixel u spans u - 0.5 to u + 0.5.
    expected = np.clip(right - (np.arange(CAMERA.width) - 0.5), 0.0, 1.0)
    assert row[60:] == pytest.approx(expected[60:], abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_gradient_is_that_of_finite_differences(problem: SilhouetteProblem, seed: int) -> None:
    rng = np.random.default_rng(seed)
    objective = MaskObjective(problem)
    centre = TRUTH[:3, 3]
    at = Estimate(TRUTH).moved(rng.normal(0.0, 0.03, 6), centre)
    gradient = objective.evaluate(at, centre).gradient
    step = 1e-5
    numeric = [
        (
            objective.evaluate(at.moved(step * axis, centre), centre).value
            - objective.evaluate(at.moved(-step * axis, centre), centre).value
        )
        / (2 * step)
        for axis in np.eye(6)
    ]
    assert gradient == pytest.approx(numeric, abs=0.01 * np.abs(numeric).max())


def test_loss_between_two_poses_is_the_integral_of_its_gradient(
    problem: SilhouetteProblem,
) -> None:
    """Over a way on which many pixels change sides."""
    objective = MaskObjective(problem)
    centre = TRUTH[:3, 3]
    way = np.array([0.03, -0.02, 0.04, 0.02, 0.03, -0.05])
    count = 200
    here = [Estimate(TRUTH).moved((i + 0.5) / count * way, centre) for i in range(count)]
    # For these small angles the twist's derivative along the way is the twist itself.
    slopes = [objective.evaluate(estimate, centre).gradient @ way for estimate in here]
    start = objective.evaluate(Estimate(TRUTH), centre).value
    end = objective.evaluate(Estimate(TRUTH).moved(way, centre), centre).value
    assert end > 20 * start
    assert np.mean(slopes) == pytest.approx(end - start, rel=0.1)


def test_ignored_pixels_do_not_count(problem: SilhouetteProblem) -> None:
    everything = SilhouetteProblem(
        problem.surface, problem.motion, CAMERA, ~problem.masks, np.ones_like(problem.masks)
    )
    loss = MaskObjective(everything).evaluate(Estimate(TRUTH), np.zeros(3))
    assert loss.value == 0.0
    assert not loss.gradient.any()


def test_descent_finds_the_camera_from_nearby(problem: SilhouetteProblem) -> None:
    start = Estimate(TRUTH).moved(
        np.array([0.03, -0.02, 0.03, 0.02, -0.02, 0.03]), np.array(TRUTH[:3, 3])
    )
    fit = fit_adam(problem, start, AdamSettings(steps=400, learning_rate=1e-3))
    degrees, metres = se3.difference(fit.estimate.T_camera_base, TRUTH)
    start_degrees, start_metres = se3.difference(start.T_camera_base, TRUTH)
    assert degrees < 0.1 * start_degrees
    assert metres < 0.1 * start_metres
    assert fit.iou.min() > 0.99
    assert fit.loss[fit.best_step] == fit.loss.min()


def test_best_iterate_is_kept(problem: SilhouetteProblem) -> None:
    """From the truth, large steps only lead away."""
    fit = fit_adam(problem, Estimate(TRUTH), AdamSettings(steps=5, learning_rate=0.05))
    assert fit.best_step == 0
    assert fit.estimate.T_camera_base == pytest.approx(TRUTH)
