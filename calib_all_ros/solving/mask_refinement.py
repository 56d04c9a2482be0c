# SPDX-License-Identifier: Apache-2.0
"""Refine a camera pose with masks, and measure how well they agree with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.synchronisation import FrameTiming, examine_timing
from calib_all_ros.settings import Settings
from calib_all_ros.solving.adam import fit_adam
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.frame_systems import FEW_IMAGES, FrameSystems, linearise
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_measurements import (
    measure_backward,
    measure_forward,
    outline_share,
    prepare_targets,
)
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.route import (
    Progress,
    RouteResult,
    Start,
    Tracer,
    begin,
    refined_parameters,
)
from calib_all_ros.solving.silhouette_fit import (
    POLISH_SCHEDULE,
    SilhouetteFit,
    SilhouetteProblem,
    TargetPyramid,
    evaluate,
    fit_silhouettes,
)
from calib_all_ros.solving.start_agreement import StartAgreement

OUTLINE_TOLERANCE_PX = 2.0
MIN_FITTING_FRAMES = 2
# Segmentation errs by as much from image to image, beside what all images have in common.
IMAGE_BIAS_SIGMA_PX = 2.0
# Of a long descent so many estimates are kept.
TRACED_STEPS = 200
# How far the refinement is once the first fit is done.
FITTED_SHARE = 0.6
_JUDGED_DETAIL_M = 0.003


def refine_from_masks(
    observations: Observations,
    settings: Settings,
    start: Start,
    on_progress: Progress | None = None,
) -> RouteResult:
    """Refine a camera pose that is already within centimetres, without any search.

    Args:
        observations: Frames with masks.
        settings: What is estimated beside the pose.
        start: Where to start.
        on_progress: Called with the stage and its finished share.
    """
    problem = mask_problem(observations, observations.solve)
    return refine_masks(
        observations, problem, TargetPyramid(problem.masks), settings, start,
        Estimate(start.T_camera_base), StartAgreement(0, 0, 0.0), Tracer(),
        begin(on_progress, "refine"),
    )  # fmt: skip


def mask_problem(observations: Observations, frames: NDArray[np.intp]) -> SilhouetteProblem:
    """Return the masks of some frames, positions in the observations, to be explained."""
    assert observations.masks is not None
    return SilhouetteProblem(
        observations.surface,
        observations.motion.subset(frames),
        observations.camera,
        observations.masks[frames],
        renderer=observations.renderer,
    )


def refine_masks(
    observations: Observations,
    problem: SilhouetteProblem,
    targets: TargetPyramid,
    settings: Settings,
    start: Start,
    rough: Estimate,
    agreement: StartAgreement,
    tracer: Tracer,
    report: Callable[[float], None] | None,
) -> RouteResult:
    """Refine a camera pose, leave out late images and measure how well the rest agrees.

    Args:
        observations: Frames with masks.
        problem: The masks to fit.
        targets: The same, prepared.
        settings: How to refine, and what beside the pose.
        start: What the pose comes from.
        rough: Where to start.
        agreement: Whether independent starts agreed.
        tracer: Takes the estimates on the way.
        report: Called with the finished share.
    """
    fit = _fit(problem, rough, settings, refined_parameters(settings), targets, tracer, report)
    if report:
        report(FITTED_SHARE)
    timing = examine_timing(problem, fit.estimate)
    examined_lag_s = fit.estimate.lag_s
    used = np.ones(len(problem.masks), dtype=bool)
    if timing.late.any() and np.count_nonzero(timing.fits) >= MIN_FITTING_FRAMES:
        fit, used = _without_late_frames(problem, fit, settings, timing, tracer)
    if report:
        report(0.8)
    everywhere = fit.estimate if used.all() else fit.estimate.common()
    shares = outline_shares(problem, targets, everywhere, 1.0)
    measured = shares[used & np.isfinite(shares)]
    quality = {
        "late_frames": float(np.count_nonzero(timing.late)),
        "outline_share": float(np.median(measured)) if len(measured) else 0.0,
        **_held_out(observations, fit.estimate.common()),
    }
    systems = _linearised(problem, np.flatnonzero(used), fit.estimate)
    if report:
        report(1.0)
    return RouteResult(
        start=start,
        estimate=fit.estimate.common(),
        used=used,
        iou=fit.iou,
        contour_px=fit.contour_px,
        own_lag_s=np.where(
            timing.late, timing.best_lag_s + examined_lag_s - fit.estimate.lag_s, np.nan
        ),
        masks=problem.masks,
        systems=systems,
        starts=agreement,
        timing=timing.curve,
        trace=tuple(tracer.points),
        quality=quality,
    )


def _fit(
    problem: SilhouetteProblem,
    start: Estimate,
    settings: Settings,
    parameters: Parameters,
    targets: TargetPyramid | None,
    tracer: Tracer,
    report: Callable[[float], None] | None = None,
) -> SilhouetteFit:
    """Fit the outlines, or descend on the mask loss, whichever the settings ask for."""
    on_step = tracer.stage("refine")
    if settings.refinement.method == "contour":
        wanted = replace(parameters, image_biases=parameters.mask_bias)
        return fit_silhouettes(problem, start, wanted, POLISH_SCHEDULE, targets, on_step)
    steps = settings.adam.steps
    every = -(-steps // TRACED_STEPS)
    numbers = itertools.count()

    def on_some_steps(estimate: Estimate, loss: float) -> None:
        number = next(numbers)
        if number % every == 0:
            on_step(estimate, loss)
            if report:
                report(FITTED_SHARE * number / steps)

    fit = fit_adam(problem, start, settings.adam, on_some_steps)
    iou, contour_px = evaluate(problem, fit.estimate)
    loss = float(fit.loss[fit.best_step])
    return SilhouetteFit(fit.estimate, iou, loss, contour_px, None, "step limit")


def _linearised(
    problem: SilhouetteProblem, used: NDArray[np.intp], estimate: Estimate
) -> FrameSystems | None:
    chosen = problem.subset(used)
    targets = prepare_targets(chosen.masks)
    outline = chosen.outline(chosen.camera, estimate, with_joints=True)
    weights, bias_px = chosen.weights(), estimate.biases_px()
    forward = measure_forward(outline, targets, bias_px, weights)
    measured = forward.joined(measure_backward(outline, targets, bias_px, weights))
    systems = linearise(
        outline, measured, chosen.camera, estimate, chosen.motion.stamps_ns,
        by_link=len(used) < FEW_IMAGES, image_bias_sigma_px=IMAGE_BIAS_SIGMA_PX,
    )  # fmt: skip
    return None if systems is None else systems.numbered(used, problem.motion.stamps_ns)


def _held_out(observations: Observations, estimate: Estimate) -> dict[str, float]:
    """Return how well the pose predicts masks that it was not fitted to."""
    others = observations.held_out()
    if not len(others):
        return {}
    problem = mask_problem(observations, others)
    targets = TargetPyramid(problem.masks)
    estimate = replace(estimate, image_biases_px=_own_biases(problem, targets, estimate))
    iou, contour_px = evaluate(problem, estimate)
    shares = outline_shares(problem, targets, estimate, 1.0)
    figures = {
        "held_out_frames": float(len(others)),
        "held_out_iou": float(np.median(iou)),
        "held_out_outline_share": float(np.median(np.nan_to_num(shares))),
    }
    if np.isfinite(contour_px).any():
        figures["held_out_contour_px"] = float(np.nanmedian(contour_px))
    return figures


def _own_biases(
    problem: SilhouetteProblem, targets: TargetPyramid, estimate: Estimate
) -> NDArray[np.float64]:
    """Return the (N,) px by which each mask is fatter than the common bias says."""
    outline = problem.outline(problem.camera, estimate, _JUDGED_DETAIL_M)
    measured = measure_forward(outline, targets.at(1.0), estimate.mask_bias_px, problem.weights())
    frame = outline.frame[measured.index]
    biases = np.zeros(len(problem.masks))
    for number in np.unique(frame):
        biases[number] = -np.median(measured.residual[frame == number])
    return biases


def outline_shares(
    problem: SilhouetteProblem, targets: TargetPyramid, estimate: Estimate, scale: float
) -> NDArray[np.float64]:
    """Return the (N,) share of each outline that agrees with its mask's, at ``scale``."""
    outline = problem.outline(problem.camera.scaled(scale), estimate, _JUDGED_DETAIL_M)
    bias_px = estimate.biases_px() * scale
    return outline_share(outline, targets.at(scale), bias_px, OUTLINE_TOLERANCE_PX)


def _without_late_frames(
    problem: SilhouetteProblem,
    fit: SilhouetteFit,
    settings: Settings,
    timing: FrameTiming,
    tracer: Tracer,
) -> tuple[SilhouetteFit, NDArray[np.bool_]]:
    """Refit to the images that fit; report the overlap of all of them."""
    chosen = np.flatnonzero(timing.fits)
    # With a few key frames left, a lag between them can be anything.
    parameters = refined_parameters(settings)
    fewer = replace(parameters, lag=parameters.lag and len(chosen) >= 5)
    start = fit.estimate.common() if fewer.lag else replace(fit.estimate.common(), lag_s=0.0)
    refit = _fit(problem.subset(chosen), start, settings, fewer, None, tracer)
    iou, contour_px = evaluate(problem, refit.estimate.common())
    return replace(refit, iou=iou, contour_px=contour_px), timing.fits
