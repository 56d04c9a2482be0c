# SPDX-License-Identifier: Apache-2.0
"""From masks to a refined camera pose, with a search for where to start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_refinement import mask_problem, outline_shares, refine_masks
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.route import (
    Progress,
    RouteResult,
    Start,
    Tracer,
    begin,
    search_settings,
)
from calib_all_ros.solving.search import search_masks
from calib_all_ros.solving.silhouette_fit import (
    POLISH_SCHEDULE,
    Level,
    SilhouetteFit,
    SilhouetteProblem,
    TargetPyramid,
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
# Another start may be a rival when its overlap reaches this share of the best one's.
PROMISING_SHARE = 0.9
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
    return refine_masks(
        observations, problem, targets, settings, start, rough, agreement, tracer, refine
    )


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
        shares = outline_shares(problem, targets, best[1].estimate, _COMPARISON[-1].scale)
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
        float(np.nan_to_num(outline_shares(problem, targets, estimate, 1 / 2)).mean())
        for estimate in refined
    ]
    return start_agreement([e.T_camera_base for e in refined], shares, centre).rival
