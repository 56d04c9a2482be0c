# SPDX-License-Identifier: Apache-2.0
"""From masks to a refined camera pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.focal_probe import MIN_FRAMES, probe_figures, probe_parameters
from calib_all_ros.quality.synchronisation import FrameTiming, examine_timing
from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_measurements import outline_share
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.outline import render_outline
from calib_all_ros.solving.route import (
    Progress,
    RouteResult,
    Start,
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

# Outlines that agree along so much of their length in the better frames need no other start.
CONVINCING_SHARE = 0.7
OUTLINE_TOLERANCE_PX = 2.0
MIN_FITTING_FRAMES = 2
_PROBE = (Level(1 / 2, 15, 4.0, 3.0, detail_m=0.003, stop_px=0.01),)
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
    assert observations.masks is not None
    problem = SilhouetteProblem(
        observations.surface, observations.motion, observations.camera, observations.masks
    )
    targets = TargetPyramid(problem.masks)
    start, rough = _best_start(observations, problem, targets, settings, marked, on_progress)
    refining = begin(on_progress, "refine")
    parameters = refined_parameters(settings)
    fit = fit_silhouettes(problem, rough.estimate, parameters, POLISH_SCHEDULE, targets)
    if refining:
        refining(0.6)
    timing = examine_timing(problem, fit.estimate)
    examined_lag_s = fit.estimate.lag_s
    used = np.ones(len(problem.masks), dtype=bool)
    if timing.late.any() and np.count_nonzero(timing.fits) >= MIN_FITTING_FRAMES:
        fit, used = _without_late_frames(problem, fit, parameters, timing)
    if refining:
        refining(0.8)
    shares = _outline_shares(problem, targets, fit.estimate, 1.0)
    measured = shares[used & np.isfinite(shares)]
    quality = {
        "late_frames": float(np.count_nonzero(timing.late)),
        "outline_share": float(np.median(measured)) if len(measured) else 0.0,
    }
    if np.count_nonzero(used) >= MIN_FRAMES and not parameters.focal_scale:
        probe = fit_silhouettes(
            problem.subset(np.flatnonzero(used)),
            fit.estimate,
            probe_parameters(parameters),
            _PROBE,
        )
        quality |= probe_figures(probe.estimate, probe.system)
    if refining:
        refining(1.0)
    return RouteResult(
        start=start,
        estimate=fit.estimate,
        used=used,
        iou=fit.iou,
        contour_px=fit.contour_px,
        own_lag_s=np.where(
            timing.late, timing.best_lag_s + examined_lag_s - fit.estimate.lag_s, np.nan
        ),
        masks=observations.masks,
        system=fit.system,
        quality=quality,
    )


def _outline_shares(
    problem: SilhouetteProblem, targets: TargetPyramid, estimate: Estimate, scale: float
) -> NDArray[np.float64]:
    """Return the (N,) share of each outline that agrees with its mask's."""
    outline = render_outline(
        problem.surface.simplified(0.003), problem.motion, problem.camera.scaled(scale), estimate
    )
    bias_px = estimate.mask_bias_px * scale
    return outline_share(outline, targets.at(scale), bias_px, OUTLINE_TOLERANCE_PX)


def _best_start(
    observations: Observations,
    problem: SilhouetteProblem,
    targets: TargetPyramid,
    settings: Settings,
    marked: tuple[Start, ...],
    on_progress: Progress | None,
) -> tuple[Start, SilhouetteFit]:
    effort = search_settings(settings)
    few = problem.subset(observations.spread(effort.mask_frames))
    best: tuple[Start, SilhouetteFit] | None = None
    starts = list(marked)
    for attempt in range(settings.search.attempts):
        found = search_masks(
            few,
            effort,
            settings.seed + attempt,
            begin(on_progress, "search"),
        )
        starts += [Start(candidate.T_camera_base, "search") for candidate in found]
        for start in starts:
            pose_only = Parameters(lag=False, mask_bias=False)
            fit = fit_silhouettes(
                problem, Estimate(start.T_camera_base), pose_only, _COMPARISON, targets
            )
            if best is None or np.sum(fit.iou**2) > np.sum(best[1].iou ** 2):
                best = (start, fit)
        assert best is not None
        shares = _outline_shares(problem, targets, best[1].estimate, _COMPARISON[-1].scale)
        if np.quantile(np.nan_to_num(shares), 0.75) >= CONVINCING_SHARE:
            break
        starts = []
    assert best is not None
    return best


def _without_late_frames(
    problem: SilhouetteProblem, fit: SilhouetteFit, parameters: Parameters, timing: FrameTiming
) -> tuple[SilhouetteFit, NDArray[np.bool_]]:
    """Refit to the images that fit; report the overlap of all of them."""
    chosen = np.flatnonzero(timing.fits)
    # With a few key frames left, a lag between them can be anything.
    fewer = replace(parameters, lag=parameters.lag and len(chosen) >= 5)
    start = fit.estimate if fewer.lag else replace(fit.estimate, lag_s=0.0)
    refit = fit_silhouettes(problem.subset(chosen), start, fewer, POLISH_SCHEDULE)
    iou, contour_px = evaluate(problem, refit.estimate)
    return replace(refit, iou=iou, contour_px=contour_px), timing.fits
