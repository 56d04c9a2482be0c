# SPDX-License-Identifier: Apache-2.0
"""From images and joint angles alone to a refined camera pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.focal_probe import MIN_FRAMES, probe_figures, probe_parameters
from calib_all_ros.settings import Settings
from calib_all_ros.solving.change import change_probability, shrink_images
from calib_all_ros.solving.edge_fit import EdgeFit, fit_edges
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.route import (
    Progress,
    RouteResult,
    Start,
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
from calib_all_ros.solving.silhouette_scores import PosedRobot

ROUGH_FRAMES = 10
JUDGING_WIDTH_PX = 96
EDGE_BIAS_SIGMA_PX = 0.3
# An outline supported by edges along so much of its length needs no other start.
CONVINCING_SUPPORT = 0.45


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
    """
    effort = search_settings(settings)
    evidence = _Evidence(
        observations,
        ImageStack(observations.images),
        ChangeJudge(observations, observations.spread(effort.change_frames)),
    )
    parameters = refined_parameters(settings)
    best: _Refined | None = None
    for attempt in range(settings.search.attempts):
        seed = settings.seed + attempt
        tried = marked if attempt == 0 else ()
        start, rough = _best_start(evidence, effort, seed, tried, on_progress)
        refined = _refine(evidence, start, rough, parameters, begin(on_progress, "refine"))
        if best is None or refined.support > best.support:
            best = refined
        if best.support >= CONVINCING_SUPPORT:
            break
    assert best is not None
    focal = {}
    if len(observations.solve) >= MIN_FRAMES and not parameters.focal_scale:
        free = probe_parameters(parameters)
        probe = _fit_edges(evidence, best.self_masked, best.edges.estimate, free)
        focal = probe_figures(probe.estimate, probe.system)
    count = len(observations.solve)
    edges = best.edges
    return RouteResult(
        start=best.start,
        estimate=edges.estimate,
        used=np.ones(count, dtype=bool),
        iou=best.self_masked.fit.iou,
        contour_px=edges.contour_px,
        own_lag_s=np.full(count, np.nan),
        masks=best.self_masked.segmented.masks,
        system=edges.system,
        quality={
            "change_overlap": evidence.judge.score(edges.estimate),
            "edge_share": edges.measured_share,
            "edge_within_1px_share": edges.close_share,
            **focal,
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

    @property
    def support(self) -> float:
        """Share of the outline in view that has an edge within a pixel."""
        return self.edges.measured_share * self.edges.close_share


def _fit_edges(
    evidence: _Evidence, fine: SelfMaskedFit, start: Estimate, free: Parameters
) -> EdgeFit:
    observations = evidence.observations
    return fit_edges(
        evidence.stack.at(1.0), observations.surface, observations.motion, observations.camera,
        start, observations.solve, fine.segmented.hidden,
        replace(free, mask_bias_sigma_px=EDGE_BIAS_SIGMA_PX),
    )  # fmt: skip


def _refine(
    evidence: _Evidence,
    start: Start,
    rough: Estimate,
    parameters: Parameters,
    on_progress: Callable[[float], None] | None,
) -> _Refined:
    observations = evidence.observations

    def report(turn: int, _: SelfMaskedFit) -> None:
        if on_progress:
            on_progress(0.8 * (turn + 1) / len(FINE_ROUNDS))

    fine = refine_from_images(
        evidence.stack, observations.surface, observations.motion, observations.camera, rough,
        observations.solve, FINE_ROUNDS, parameters, report,
    )  # fmt: skip
    # The bias of the masks is not that of the edges.
    edges = _fit_edges(evidence, fine, replace(fine.fit.estimate, mask_bias_px=0.0), parameters)
    if on_progress:
        on_progress(1.0)
    return _Refined(start, fine, edges)


def _best_start(
    evidence: _Evidence,
    effort: SearchSettings,
    seed: int,
    marked: tuple[Start, ...],
    on_progress: Progress | None,
) -> tuple[Start, Estimate]:
    """Return the start whose rough refinement explains the changes best, and that refinement."""
    observations = evidence.observations
    frames = observations.spread(effort.change_frames)
    found = search_change(
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
    best: tuple[float, Start, Estimate] | None = None
    for number, start in enumerate(starts):
        refined = refine_from_images(
            evidence.stack, observations.surface, observations.motion, observations.camera,
            Estimate(start.T_camera_base), rough_frames, ROUGH_ROUNDS,
        ).fit.estimate  # fmt: skip
        score = evidence.judge.score(refined)
        if best is None or score > best[0]:
            best = (score, start, refined)
        if report:
            report((number + 1) / len(starts))
    assert best is not None
    return best[1], best[2]
