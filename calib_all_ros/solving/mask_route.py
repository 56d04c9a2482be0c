# SPDX-License-Identifier: Apache-2.0
"""From masks to a refined camera pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.synchronisation import FrameTiming, examine_timing
from calib_all_ros.settings import Settings
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
from calib_all_ros.solving.outline import render_outline
from calib_all_ros.solving.route import (
    Progress,
    RouteResult,
    Start,
    Tracer,
    begin,
    refined_parameters,
    search_settings,
)
from calib_all_ros.solving.search import search_masks
from calib_all_ros.solving.silhouette_fit import (
    POLISH_SCHEDULE,
    Level,
    SilhouetteFit,
    SilhouetteProblem,
    TargetPyramid,
    evaluate,
    fit_silhouettes,
)
from calib_all_ros.solving.silhouette_scores import posed_points
from calib_all_ros.solving.start_agreement import (
    SAME_VIEW,
    StartAgreement,
    start_agreement,
    view_separation,
)

# Outlines that agree along so much of their length in the better frames need no other start.
CONVINCING_SHARE = 0.7
OUTLINE_TOLERANCE_PX = 2.0
MIN_FITTING_FRAMES = 2
# Another start may be a rival when its overlap reaches this share of the best one's.
PROMISING_SHARE = 0.9
# Segmentation errs by as much from image to image, beside what all images have in common.
IMAGE_BIAS_SIGMA_PX = 2.0
# Starts are compared at a quarter of the size, where masks prepared once serve them all.
_COMPARISON = (Level(1 / 4, 10, 8.0, 4.0, detail_m=0.005),)


def solve_from_masks(
    observations: Observations,
    settings: Settings,
    marked: tuple[Start, ...] = (),
    on_progress: Progress | None = None,
) -> RouteResult:
    """Find and refine the camera pose from the recorded masks.

    Args:
        observations: Frames with masks.
        settings: Effort and nuisances.
        marked: Starts from elsewhere; the search's are tried beside them.
        on_progress: Called with the stage and its finished share.
    """
    tracer = Tracer()
    problem = mask_problem(observations, observations.solve)
    targets = TargetPyramid(problem.masks)
    start, rough, agreement = _best_start(
        observations, problem, targets, settings, marked, on_progress, tracer
    )
    refine = begin(on_progress, "refine")
    return _refine(
        observations, problem, targets, settings, start, rough, agreement, tracer, refine
    )


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
    return _refine(
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
    )


def _refine(
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
    parameters = replace(refined_parameters(settings), image_biases=settings.refinement.mask_bias)
    fit = fit_silhouettes(
        problem, rough, parameters, POLISH_SCHEDULE, targets, tracer.stage("refine")
    )
    if report:
        report(0.6)
    timing = examine_timing(problem, fit.estimate)
    examined_lag_s = fit.estimate.lag_s
    used = np.ones(len(problem.masks), dtype=bool)
    if timing.late.any() and np.count_nonzero(timing.fits) >= MIN_FITTING_FRAMES:
        fit, used = _without_late_frames(problem, fit, parameters, timing, tracer)
    if report:
        report(0.8)
    everywhere = fit.estimate if used.all() else fit.estimate.common()
    shares = _outline_shares(problem, targets, everywhere, 1.0)
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


def _linearised(
    problem: SilhouetteProblem, used: NDArray[np.intp], estimate: Estimate
) -> FrameSystems | None:
    chosen = problem.subset(used)
    targets = prepare_targets(chosen.masks)
    outline = render_outline(
        chosen.surface, chosen.motion, chosen.camera, estimate, with_joints=True
    )
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
    shares = _outline_shares(problem, targets, estimate, 1.0)
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
    outline = render_outline(
        problem.surface.simplified(0.003), problem.motion, problem.camera, estimate
    )
    measured = measure_forward(outline, targets.at(1.0), estimate.mask_bias_px, problem.weights())
    frame = outline.frame[measured.index]
    biases = np.zeros(len(problem.masks))
    for number in np.unique(frame):
        biases[number] = -np.median(measured.residual[frame == number])
    return biases


def _outline_shares(
    problem: SilhouetteProblem, targets: TargetPyramid, estimate: Estimate, scale: float
) -> NDArray[np.float64]:
    """Return the (N,) share of each outline that agrees with its mask's."""
    outline = render_outline(
        problem.surface.simplified(0.003), problem.motion, problem.camera.scaled(scale), estimate
    )
    bias_px = estimate.biases_px() * scale
    return outline_share(outline, targets.at(scale), bias_px, OUTLINE_TOLERANCE_PX)


def _best_start(
    observations: Observations,
    problem: SilhouetteProblem,
    targets: TargetPyramid,
    settings: Settings,
    marked: tuple[Start, ...],
    on_progress: Progress | None,
    tracer: Tracer,
) -> tuple[Start, Estimate, StartAgreement]:
    effort = search_settings(settings)
    few = problem.subset(
        np.searchsorted(observations.solve, observations.spread(effort.mask_frames))
    )
    best: tuple[Start, SilhouetteFit] | None = None
    starts = list(marked)
    points = posed_points(problem.surface, problem.motion.link_poses())
    centre = points.reshape(-1, 3).mean(axis=0)
    agreement = StartAgreement(0, 0, 0.0)
    for attempt in range(settings.search.attempts):
        found, agreed = search_masks(
            few,
            effort,
            settings.seed + attempt,
            begin(on_progress, "search"),
        )
        starts += [Start(candidate.T_camera_base, "search") for candidate in found]
        fits = []
        for start in starts:
            pose_only = Parameters(lag=False, mask_bias=False)
            steps = Tracer()
            fit = fit_silhouettes(
                problem, Estimate(start.T_camera_base), pose_only, _COMPARISON, targets,
                steps.stage("search"),
            )  # fmt: skip
            fits.append(fit)
            if best is None or np.sum(fit.iou**2) > np.sum(best[1].iou ** 2):
                best = (start, fit)
                tracer.points = steps.points
        assert best is not None
        rival = _rival_share(problem, targets, best[1], fits, centre)
        agreement = agreement.joined(replace(agreed, rival=rival))
        shares = _outline_shares(problem, targets, best[1].estimate, _COMPARISON[-1].scale)
        if np.quantile(np.nan_to_num(shares), 0.75) >= CONVINCING_SHARE:
            break
        starts = []
    assert best is not None
    return best[0], best[1].estimate, agreement


def _rival_share(
    problem: SilhouetteProblem,
    targets: TargetPyramid,
    best: SilhouetteFit,
    fits: list[SilhouetteFit],
    centre: NDArray[np.float64],
) -> float:
    """Return how well another pose than the best one explains the masks, over the best one.

    On small pictures rivals look better than they are, so they are refined first.
    """
    most = float(best.iou.mean())
    promising = [
        fit
        for fit in fits
        if view_separation(fit.estimate.T_camera_base, best.estimate.T_camera_base, centre)
        > SAME_VIEW
        and fit.iou.mean() > PROMISING_SHARE * most
    ]
    if not promising:
        return 0.0
    parameters = Parameters(image_biases=True)
    refined = [
        fit_silhouettes(problem, fit.estimate, parameters, POLISH_SCHEDULE[:2], targets).estimate
        for fit in (best, *promising)
    ]
    shares = [
        float(np.nan_to_num(_outline_shares(problem, targets, estimate, 1 / 2)).mean())
        for estimate in refined
    ]
    return start_agreement([e.T_camera_base for e in refined], shares, centre).rival


def _without_late_frames(
    problem: SilhouetteProblem,
    fit: SilhouetteFit,
    parameters: Parameters,
    timing: FrameTiming,
    tracer: Tracer,
) -> tuple[SilhouetteFit, NDArray[np.bool_]]:
    """Refit to the images that fit; report the overlap of all of them."""
    chosen = np.flatnonzero(timing.fits)
    # With a few key frames left, a lag between them can be anything.
    fewer = replace(parameters, lag=parameters.lag and len(chosen) >= 5)
    start = fit.estimate.common() if fewer.lag else replace(fit.estimate.common(), lag_s=0.0)
    refit = fit_silhouettes(
        problem.subset(chosen), start, fewer, POLISH_SCHEDULE, on_step=tracer.stage("refine")
    )
    iou, contour_px = evaluate(problem, refit.estimate.common())
    return replace(refit, iou=iou, contour_px=contour_px), timing.fits
