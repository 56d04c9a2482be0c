# SPDX-License-Identifier: Apache-2.0
"""The anti-aliased mask loss and its gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.robot.kinematics import Joint, Kinematics
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.adam import AdamSettings, fit_adam
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_loss import NvdiffrastMaskLoss, RasterisedMaskLoss
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import Level, SilhouetteProblem, fit_silhouettes

pytest.importorskip("torch", reason="pip install '.[foundation]'")

TWIST = np.array([0.02, -0.03, 0.01, 0.01, 0.02, -0.02])


def at_scale(
    scale: float, problem: SilhouetteProblem, truth: NDArray[np.float64]
) -> SilhouetteProblem:
    camera = problem.camera.scaled(scale)
    links, _ = problem.renderer(problem.surface, truth @ problem.motion.link_poses(), camera)
    return replace(problem, camera=camera, masks=links >= 0)


@pytest.fixture(params=["emulation", "cuda"])
def renderer(request: pytest.FixtureRequest) -> Nvdiffrast:
    if request.param == "emulation":
        request.getfixturevalue("emulated_nvdiffrast")
        return Nvdiffrast(device="cpu")
    try:
        return Nvdiffrast()
    except ModelUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def box(pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]) -> SilhouetteProblem:
    """The pillar alone, of large triangles, with pixels to ignore and frames that count less."""
    ignore = np.zeros((2, 120, 160), bool)
    ignore[0, 40:70, 60:90] = True
    problem = at_scale(0.5, pillar_problem, pillar_truth)
    surface = problem.surface.without_links(["arm"])
    links, _ = problem.renderer(surface, pillar_truth @ problem.motion.link_poses(), problem.camera)
    return replace(
        problem,
        surface=surface,
        masks=links >= 0,
        ignore=ignore,
        frame_weight=np.array([1.0, 0.4]),
    )


@pytest.fixture
def start(pillar_truth: NDArray[np.float64]) -> Estimate:
    return Estimate(pillar_truth).moved(TWIST, pillar_truth[:3, 3])


def test_coverage_is_that_of_the_rasteriser(
    renderer: Nvdiffrast,
    pillar_problem: SilhouetteProblem,
    pillar_truth: NDArray[np.float64],
    start: Estimate,
) -> None:
    """Where nvdiffrast blends: it finds only outlines of triangles that a pixel centre shows."""
    problem = at_scale(0.5, pillar_problem, pillar_truth)
    here = NvdiffrastMaskLoss(problem, start, renderer).coverage(start.T_camera_base)
    there = RasterisedMaskLoss(problem, start).coverage(start.T_camera_base)
    assert here.shape == there.shape == (2, 120, 160)
    blended = (here > 0) & (here < 1)
    assert blended.sum() > 300
    # Where two edges of the outline meet, the two take different ones.
    assert (np.abs(here - there)[blended] > 0.01).mean() < 0.02
    silhouettes = ~blended & ((there == 0) | (there == 1))
    np.testing.assert_array_equal(here[silhouettes], there[silhouettes])
    missed = ~blended & ~silhouettes
    assert missed.sum() < 0.3 * blended.sum()
    np.testing.assert_array_equal(here[missed], there[missed] > 0.5)


def test_loss_and_gradient_are_those_of_the_rasteriser(
    renderer: Nvdiffrast, box: SilhouetteProblem, start: Estimate
) -> None:
    centre = start.T_camera_base[:3, 3] + 0.1
    here = NvdiffrastMaskLoss(box, start, renderer).evaluate(start.T_camera_base, centre)
    there = RasterisedMaskLoss(box, start).evaluate(start.T_camera_base, centre)
    assert here.value == pytest.approx(there.value, rel=0.01)
    scale = np.abs(there.gradient).max()
    np.testing.assert_allclose(here.gradient, there.gradient, atol=0.08 * scale)


def test_frames_in_batches_give_the_same(
    box: SilhouetteProblem,
    start: Estimate,
    emulated_nvdiffrast: None,
) -> None:
    centre = start.T_camera_base[:3, 3]
    together, apart = (
        NvdiffrastMaskLoss(box, start, Nvdiffrast("cpu", memory_bytes)).evaluate(
            start.T_camera_base, centre
        )
        for memory_bytes in (1 << 30, 1)
    )
    assert apart.value == pytest.approx(together.value, rel=1e-5)
    np.testing.assert_allclose(apart.gradient, together.gradient, rtol=1e-4, atol=1e-7)


def test_descent_finds_the_camera(
    renderer: Nvdiffrast,
    pillar_problem: SilhouetteProblem,
    pillar_truth: NDArray[np.float64],
    start: Estimate,
) -> None:
    eighth = replace(at_scale(0.125, pillar_problem, pillar_truth), renderer=renderer)
    fit = fit_adam(eighth, start, AdamSettings(steps=20, learning_rate=2e-3))
    assert fit.loss[fit.best_step] < 0.4 * fit.loss[0]
    near, far = (se3.difference(e.T_camera_base, pillar_truth) for e in (fit.estimate, start))
    assert near[1] < 0.8 * far[1]


def test_contours_are_fitted_to_what_nvdiffrast_draws(
    renderer: Nvdiffrast,
    pillar_problem: SilhouetteProblem,
    pillar_truth: NDArray[np.float64],
    start: Estimate,
) -> None:
    quarter = replace(at_scale(0.25, pillar_problem, pillar_truth), renderer=renderer)
    schedule = (Level(1.0, 6, 4.0, 1.5, detail_m=0.0, stop_px=0.01),)
    parameters = Parameters(lag=False, mask_bias=False)
    here = fit_silhouettes(quarter, start, parameters, schedule)
    there = fit_silhouettes(
        replace(quarter, renderer=pillar_problem.renderer), start, parameters, schedule
    )
    degrees, metres = se3.difference(here.estimate.T_camera_base, there.estimate.T_camera_base)
    assert degrees < 0.05 and metres < 0.0005
    near, far = (se3.difference(e.T_camera_base, pillar_truth) for e in (here.estimate, start))
    assert near[1] < far[1]


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
