# SPDX-License-Identifier: Apache-2.0
"""From images and joint angles alone to a refined camera pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.resizing import shrink_mask
from calib_all_ros.quality.synchronisation import FrameTiming, compare_lags
from calib_all_ros.settings import Settings, SettingsError
from calib_all_ros.solving.change import change_probability, shrink_images
from calib_all_ros.solving.edge_fit import EdgeExaminer, EdgeFit, fit_edges
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.route import (
    Progress,
    RouteResult,
    Start,
    Tracer,
    begin,
    refined_parameters,
    search_settings,
)
from calib_all_ros.solving.search import SearchSettings, search_change
from calib_all_ros.solving.self_masked import (
    FINE_ROUNDS,
    ROUGH_ROUNDS,
    ImageStack,
    SelfMaskedFit,
    refine_from_images,
)
from calib_all_ros.solving.silhouette_scores import PosedRobot, posed_points
from calib_all_ros.solving.start_agreement import StartAgreement, start_agreement

ROUGH_FRAMES = 10
JUDGING_WIDTH_PX = 96
EDGE_BIAS_SIGMA_PX = 0.3
# An outline supported by edges along so much of its length needs no other start.
CONVINCING_SUPPORT = 0.45
# Late images are looked for at half the size, where edges are found from twice as far.
EXAMINED_SCALE = 0.5
EXAMINED_REACH_PX = 6.0
EXAMINED_DETAIL_M = 0.003
MIN_FITTING_FRAMES = 3
MIN_FRAMES_FOR_LAG = 5


class ChangeJudge:
    """Says how well a pose explains what changes between images.

    Unlike the overlap with masks that were made with the help of a pose, this does not depend on
    any estimate, so it can tell good poses from bad ones.
    """

    def __init__(self, observations: Observations, frames: NDArray[np.intp]) -> None:
        """Prepare the change maps between ``frames``, positions in the observations."""
        self._camera = observations.camera.scaled(JUDGING_WIDTH_PX / observations.camera.width)
        self._pairs, self._change = change_probability(
            shrink_images(observations.images[frames], JUDGING_WIDTH_PX)
        )
        self._surface = observations.surface.simplified(0.01)
        self._motion = observations.motion.subset(frames)

    def score(self, estimate: Estimate) -> float:
        """Return the mean overlap of predicted and observed change, between 0 and 1."""
        robot = PosedRobot(self._surface, self._motion.link_poses(estimate.lag_s))
        poses = estimate.T_camera_base[None]
        return float(robot.change_overlap(poses, self._camera, self._pairs, self._change)[0])


def solve_from_images(
    observations: Observations,
    settings: Settings,
    marked: tuple[Start, ...] = (),
    on_progress: Progress | None = None,
) -> RouteResult:
    """Find and refine the camera pose from what moves in the images.

    Args:
        observations: Frames; those beside the fitted ones serve the background.
        settings: Effort and nuisances.
        marked: Starts from elsewhere; the search's are tried beside them.
        on_progress: Called with the stage and its finished share.

    Raises:
        SettingsError: The settings ask for the paper's descent, which needs masks.
    """
    require_contour(settings)
    evidence = _evidence(observations, settings)
    parameters = refined_parameters(settings)
    best: _Refined | None = None
    agreement = StartAgreement(0, 0, 0.0)
    for attempt in range(settings.search.attempts):
        seed = settings.seed + attempt
        tried = marked if attempt == 0 else ()
        start, rough, agreed = _best_start(
            evidence, search_settings(settings), seed, tried, on_progress
        )
        agreement = agreement.joined(agreed)
        refined = _refine(evidence, start, rough, parameters, begin(on_progress, "refine"))
        if best is None or refined.support > best.support:
            best = refined
        if best.support >= CONVINCING_SUPPORT:
            break
    assert best is not None
    return _result(evidence, best, agreement, parameters)


def refine_with_images(
    observations: Observations,
    settings: Settings,
    start: Start,
    on_progress: Progress | None = None,
) -> RouteResult:
    """Refine a camera pose that is already within centimetres, without any search.

    Args:
        observations: Frames; those beside the fitted ones serve the background.
        settings: What is estimated beside the pose.
        start: Where to start.
        on_progress: Called with the stage and its finished share.

    Raises:
        SettingsError: The settings ask for the paper's descent, which needs masks.
    """
    require_contour(settings)
    evidence = _evidence(observations, settings)
    parameters = refined_parameters(settings)
    rough = Estimate(start.T_camera_base)
    refined = _refine(evidence, start, rough, parameters, begin(on_progress, "refine"))
    return _result(evidence, refined, StartAgreement(0, 0, 0.0), parameters)


def require_contour(settings: Settings) -> None:
    """Check that the settings do not ask for what needs masks.

    Raises:
        SettingsError: They do.
    """
    if settings.refinement.method == "adam":
        raise SettingsError(
            "setting refinement.method is adam, which needs masks of the robot, and there are "
            "none: give a folder of masks, or set it to contour"
        )


def _evidence(observations: Observations, settings: Settings) -> _Evidence:
    frames = observations.spread(search_settings(settings).change_frames)
    return _Evidence(
        observations, ImageStack(observations.images), ChangeJudge(observations, frames)
    )


def _result(
    evidence: _Evidence, best: _Refined, agreement: StartAgreement, parameters: Parameters
) -> RouteResult:
    """Examine the best pose; drop images that are out of step, if there are any."""
    observations = evidence.observations
    timing = _timing(evidence, best)
    late, used = timing.late, np.ones(len(observations.solve), dtype=bool)
    examined_lag_s = best.edges.estimate.lag_s
    if late.any() and np.count_nonzero(timing.fits) >= MIN_FITTING_FRAMES:
        used = timing.fits
        best = _without_late_frames(evidence, best, observations.solve[used], parameters)
    edges = best.edges
    systems = edges.systems
    if systems is not None:
        stamps = observations.motion.stamps_ns[observations.solve]
        systems = systems.numbered(np.flatnonzero(used), stamps)
    contour_px = np.full(len(used), np.nan)
    contour_px[used] = edges.contour_px
    return RouteResult(
        start=best.start,
        estimate=edges.estimate,
        used=used,
        iou=best.self_masked.fit.iou,
        contour_px=contour_px,
        own_lag_s=np.where(late, timing.best_lag_s + examined_lag_s - edges.estimate.lag_s, np.nan),
        masks=best.self_masked.segmented.masks,
        systems=systems,
        starts=agreement,
        timing=timing.curve,
        trace=tuple(best.tracer.points),
        quality={
            "change_overlap": evidence.judge.score(edges.estimate),
            "edge_share": edges.measured_share,
            "edge_within_1px_share": edges.close_share,
            "late_frames": float(np.count_nonzero(late)),
            **_held_out(evidence, best),
        },
    )


@dataclass(frozen=True)
class _Evidence:
    """The images in the forms that the stages need."""

    observations: Observations
    stack: ImageStack
    judge: ChangeJudge


@dataclass(frozen=True)
class _Refined:
    """One start followed to the end."""

    start: Start
    self_masked: SelfMaskedFit
    edges: EdgeFit
    tracer: Tracer

    @property
    def support(self) -> float:
        """Share of the outline in view that has an edge within a pixel."""
        return self.edges.measured_share * self.edges.close_share


def _fit_edges(
    evidence: _Evidence,
    fine: SelfMaskedFit,
    start: Estimate,
    free: Parameters,
    use: NDArray[np.intp],
) -> EdgeFit:
    observations = evidence.observations
    return fit_edges(
        evidence.stack.at(1.0), observations.surface, observations.motion, observations.camera,
        start, use, fine.segmented.hidden, replace(free, mask_bias_sigma_px=EDGE_BIAS_SIGMA_PX),
    )  # fmt: skip


def _refine(
    evidence: _Evidence,
    start: Start,
    rough: Estimate,
    parameters: Parameters,
    on_progress: Callable[[float], None] | None,
) -> _Refined:
    observations = evidence.observations
    tracer = Tracer()
    visited = tracer.stage("refine")
    tracer.stage("coarse")(rough, 1.0)

    def report(turn: int, masked: SelfMaskedFit) -> None:
        visited(masked.fit.estimate, masked.fit.cost)
        if on_progress:
            on_progress(0.8 * (turn + 1) / len(FINE_ROUNDS))

    fine = refine_from_images(
        evidence.stack, observations.surface, observations.motion, observations.camera, rough,
        observations.solve, FINE_ROUNDS, parameters, report,
    )  # fmt: skip
    # The bias of the masks is not that of the edges.
    unbiased = replace(fine.fit.estimate, mask_bias_px=0.0)
    edges = _fit_edges(evidence, fine, unbiased, parameters, observations.solve)
    for estimate, cost in edges.trace:
        visited(estimate, cost)
    if on_progress:
        on_progress(1.0)
    return _Refined(start, fine, edges, tracer)


def _examiner(
    evidence: _Evidence, best: _Refined, frames: NDArray[np.intp], scale: float
) -> EdgeExaminer:
    observations = evidence.observations
    hidden = best.self_masked.segmented.hidden
    return EdgeExaminer(
        evidence.stack.at(scale), observations.surface.simplified(EXAMINED_DETAIL_M),
        observations.motion, observations.camera.scaled(scale), best.edges.estimate, frames,
        shrink_mask(hidden, scale) if scale != 1.0 else hidden, EXAMINED_REACH_PX,
    )  # fmt: skip


def _timing(evidence: _Evidence, best: _Refined) -> FrameTiming:
    observations = evidence.observations
    examiner = _examiner(evidence, best, observations.solve, EXAMINED_SCALE)

    def shares_at(estimate: Estimate) -> NDArray[np.float64]:
        return examiner.support(estimate).close_share

    stamps = observations.motion.stamps_ns[observations.solve]
    return compare_lags(best.edges.estimate, stamps, shares_at)


def _held_out(evidence: _Evidence, best: _Refined) -> dict[str, float]:
    """Return how well the pose predicts images that it was not fitted to."""
    others = evidence.observations.held_out()
    if not len(others):
        return {}
    support = _examiner(evidence, best, others, 1.0).support(best.edges.estimate)
    figures = {
        "held_out_frames": float(len(others)),
        "held_out_outline_share": float(np.median(np.nan_to_num(support.close_share))),
    }
    if np.isfinite(support.contour_px).any():
        figures["held_out_contour_px"] = float(np.nanmedian(support.contour_px))
    return figures


def _without_late_frames(
    evidence: _Evidence, best: _Refined, use: NDArray[np.intp], parameters: Parameters
) -> _Refined:
    """Refit to the images that fit."""
    # With a few key frames left, a lag between them can be anything.
    fewer = replace(parameters, lag=parameters.lag and len(use) >= MIN_FRAMES_FOR_LAG)
    start = best.edges.estimate if fewer.lag else replace(best.edges.estimate, lag_s=0.0)
    edges = _fit_edges(evidence, best.self_masked, start, fewer, use)
    for estimate, cost in edges.trace:
        best.tracer.stage("refine")(estimate, cost)
    return replace(best, edges=edges)


def _best_start(
    evidence: _Evidence,
    effort: SearchSettings,
    seed: int,
    marked: tuple[Start, ...],
    on_progress: Progress | None,
) -> tuple[Start, Estimate, StartAgreement]:
    """Return the start whose rough refinement explains the changes best, and that refinement."""
    observations = evidence.observations
    frames = observations.spread(effort.change_frames)
    found, agreement = search_change(
        observations.images[frames],
        observations.surface,
        observations.motion.subset(frames),
        observations.camera,
        effort,
        seed,
        begin(on_progress, "search"),
    )
    starts = [*marked, *(Start(candidate.T_camera_base, "search") for candidate in found)]
    rough_frames = observations.spread(ROUGH_FRAMES)
    report = begin(on_progress, "coarse")
    refined, scores = [], []
    for number, start in enumerate(starts):
        rough = refine_from_images(
            evidence.stack, observations.surface, observations.motion, observations.camera,
            Estimate(start.T_camera_base), rough_frames, ROUGH_ROUNDS,
        ).fit.estimate  # fmt: skip
        refined.append(rough)
        scores.append(evidence.judge.score(rough))
        if report:
            report((number + 1) / len(starts))
    posed = posed_points(observations.surface, observations.motion.subset(frames).link_poses())
    # What was distinct before may end in one place, and what is another place may be as good.
    refined_agreement = start_agreement(
        [rough.T_camera_base for rough in refined], scores, posed.reshape(-1, 3).mean(axis=0)
    )
    agreement = replace(agreement, rival=refined_agreement.rival)
    best = int(np.argmax(scores))
    return starts[best], refined[best], agreement
