# SPDX-License-Identifier: Apache-2.0
"""The mask loss by nvdiffrast against that of the CPU rasteriser, and what is solved with it.

By an emulation of nvdiffrast that follows its documentation, and by nvdiffrast itself where there
is a CUDA GPU.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.models.errors import ModelUnavailableError
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.solving.adam import AdamSettings, fit_adam
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_loss import RasterisedMaskLoss
from calib_all_ros.solving.nvdiffrast_mask_loss import NvdiffrastMaskLoss
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
