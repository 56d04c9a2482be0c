# SPDX-License-Identifier: Apache-2.0
"""Measurements from masks: outlines of the robot that were recorded or made by a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.progress import Progress, silent
from calib_all_ros.settings import AdamSettings, RefinementSettings, SearchEffort
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
from calib_all_ros.solving.pipeline import (
    CoarsePose,
    FitFigures,
    Start,
    Trace,
    estimated_parameters,
)
from calib_all_ros.solving.search import (
    MASK_FRAMES,
    SAME_VIEW,
    StartAgreement,
    search_masks,
    start_agreement,
    view_separation,
)
from calib_all_ros.solving.silhouette_fit import (
    POLISH_SCHEDULE,
    Level,
    SilhouetteFit,
    SilhouetteProblem,
    TargetPyramid,
    evaluate,
    fit_silhouettes,
)
from calib_all_ros.solving.small_pictures import posed_points
from calib_all_ros.solving.timing import FrameTiming, candidate_lags, frame_timing

OUTLINE_TOLERANCE_PX = 2.0
# Segmentation errs by as much from image to image, beside what all images have in common.
IMAGE_BIAS_SIGMA_PX = 2.0
# Another start may be a rival when its overlap reaches this share of the best one's.
PROMISING_SHARE = 0.9
# Starts are compared at a quarter of the size, where masks prepared once serve them all.
COMPARISON = (Level(1 / 4, 10, 8.0, 4.0, detail_m=0.005),)
POSE_ONLY = Parameters(lag=False, mask_bias=False)
JUDGED_DETAIL_M = 0.003
# Late images are looked for at this width; an outline agrees where it is a pixel of it from the
# mask's: wide enough for masks that are pixels too fat or too thin, which is no matter of time.
EXAMINED_WIDTH_PX = 160
EXAMINED_TOLERANCE_PX = 1.0
EXAMINED_DETAIL_M = 0.005


@dataclass(frozen=True, eq=False)
class MaskFit:
    """An estimate fitted to masks.

    Attributes:
        estimate: The estimate, with a bias of its own for each mask that it was fitted to.
        iou: (M,) overlap of rendered and observed silhouettes.
        contour_px: (M,) median distance of the outlines, NaN where not measured.
        trace: The estimates on the way.
    """

    estimate: Estimate
    iou: NDArray[np.float64]
    contour_px: NDArray[np.float64]
    trace: Trace


class MaskMeasurer:
    """Compares the robot with the masks of the solve; implements `pipeline.Measurer`."""

    # Outlines that agree along so much of their length in the better frames need no other start.
    convincing_support = 0.7
    min_fitting_frames = 2

    def __init__(
        self, observations: Observations, effort: SearchEffort, descent: AdamSettings | None = None
    ) -> None:
        """Prepare the masks.

        Args:
            observations: Frames with masks.
            effort: Of the search.
            descent: The paper's descent, where the pose is to be refined by it; None fits outlines.
        """
        self._observations = observations
        self._effort = effort
        self._descent = descent
        self._problem = mask_problem(observations, observations.solve)
        self._targets = TargetPyramid(self._problem.masks)

    def parameters(self, wanted: RefinementSettings) -> Parameters:
        """Return what a refinement estimates."""
        return estimated_parameters(wanted)

    def coarse_pose(self, given: tuple[Start, ...], seed: int, on_progress: Progress) -> CoarsePose:
        """Return the start that overlaps the masks most at low resolution, and where it led."""
        problem, seen = self._problem, self._observations
        few = problem.subset(np.searchsorted(seen.solve, seen.spread(MASK_FRAMES)))
        found, agreement = search_masks(few, self._effort, seed, on_progress)
        starts = [*given, *(Start(candidate.T_camera_base, "search") for candidate in found)]
        fits = [
            fit_silhouettes(
                problem, Estimate(start.T_camera_base), POSE_ONLY, COMPARISON, self._targets
            )
            for start in starts
        ]
        best = int(np.argmax([np.sum(fit.iou**2) for fit in fits]))
        agreement = replace(agreement, rival=self._rival(fits, fits[best]))
        return CoarsePose(
            starts[best], fits[best].estimate, agreement, trace=fits[best].trace, stage="search"
        )

    def refine(self, start: Estimate, parameters: Parameters, on_progress: Progress) -> MaskFit:
        """Fit the outlines of all masks, or descend on their loss."""
        on_progress("refine", 0.0)
        fit = self._fit(self._problem, start, parameters, self._targets, on_progress)
        on_progress("refine", 1.0)
        return fit

    def refit(
        self, fit: MaskFit, start: Estimate, use: NDArray[np.intp], parameters: Parameters
    ) -> MaskFit:
        """Fit to some of the masks; the overlap is that of all of them."""
        fit = self._fit(self._problem.subset(use), start, parameters)
        iou, contour_px = evaluate(self._problem, fit.estimate.common())
        return replace(fit, iou=iou, contour_px=contour_px)

    def support(self, fit: MaskFit) -> float:
        """Return the share of the outline that agrees with the masks in the better frames."""
        shares = self._outline_shares(fit.estimate, COMPARISON[-1].scale)
        return float(np.quantile(np.nan_to_num(shares), 0.75))

    def agreement(self, fit: MaskFit, tried: Sequence[CoarsePose]) -> StartAgreement:
        """Say whether the starts of all searches agree; they were refined by themselves."""
        return reduce(StartAgreement.joined, (coarse.agreement for coarse in tried))

    def timing(self, fit: MaskFit) -> FrameTiming:
        """Compare each mask with the outline of the robot at other instants."""
        return mask_timing(self._problem, fit.estimate)

    def figures(self, fit: MaskFit, used: NDArray[np.bool_]) -> FitFigures:
        """Measure how all masks agree with a fit to the used ones."""
        everywhere = fit.estimate if used.all() else fit.estimate.common()
        shares = self._outline_shares(everywhere, 1.0)
        measured = shares[used & np.isfinite(shares)]
        quality = {
            "outline_share": float(np.median(measured)) if len(measured) else 0.0,
            **self._held_out(fit.estimate.common()),
        }
        systems = self._linearised(np.flatnonzero(used), fit.estimate)
        return FitFigures(fit.iou, fit.contour_px, self._problem.masks, systems, quality)

    def _fit(
        self,
        problem: SilhouetteProblem,
        start: Estimate,
        parameters: Parameters,
        targets: TargetPyramid | None = None,
        on_progress: Progress = silent,
    ) -> MaskFit:
        if self._descent is None:
            wanted = replace(parameters, image_biases=parameters.mask_bias)
            fit = fit_silhouettes(problem, start, wanted, POLISH_SCHEDULE, targets)
            return MaskFit(fit.estimate, fit.iou, fit.contour_px, fit.trace)
        descended = fit_adam(problem, start, self._descent, on_progress)
        iou, contour_px = evaluate(problem, descended.estimate)
        return MaskFit(descended.estimate, iou, contour_px, descended.trace)

    def _rival(self, fits: list[SilhouetteFit], best: SilhouetteFit) -> float:
        """Return how well another pose than the best one explains the masks, over the best one.

        On small pictures rivals look better than they are, so they are refined first.
        """
        problem = self._problem
        points = posed_points(problem.surface, problem.motion.link_poses())
        centre = points.reshape(-1, 3).mean(axis=0)
        promising = [
            fit
            for fit in fits
            if view_separation(fit.estimate.T_camera_base, best.estimate.T_camera_base, centre)
            > SAME_VIEW
            and fit.iou.mean() > PROMISING_SHARE * best.iou.mean()
        ]
        if not promising:
            return 0.0
        parameters = Parameters(image_biases=True)
        refined = [
            fit_silhouettes(
                problem, fit.estimate, parameters, POLISH_SCHEDULE[:2], self._targets
            ).estimate
            for fit in (best, *promising)
        ]
        shares = [float(np.nan_to_num(self._outline_shares(e, 1 / 2)).mean()) for e in refined]
        return start_agreement([e.T_camera_base for e in refined], shares, centre).rival

    def _outline_shares(self, estimate: Estimate, scale: float) -> NDArray[np.float64]:
        return outline_shares(self._problem, self._targets, estimate, scale)

    def _linearised(self, used: NDArray[np.intp], estimate: Estimate) -> FrameSystems | None:
        chosen = self._problem.subset(used)
        targets = prepare_targets(chosen.masks)
        outline = chosen.outline(chosen.camera, estimate, with_joints=True)
        weights, bias_px = chosen.weights(), estimate.biases_px()
        forward = measure_forward(outline, targets, bias_px, weights)
        measured = forward.joined(measure_backward(outline, targets, bias_px, weights))
        systems = linearise(
            outline, measured, chosen.camera, estimate, chosen.motion.stamps_ns,
            by_link=len(used) < FEW_IMAGES, image_bias_sigma_px=IMAGE_BIAS_SIGMA_PX,
        )  # fmt: skip
        return None if systems is None else systems.numbered(used, self._problem.motion.stamps_ns)

    def _held_out(self, estimate: Estimate) -> dict[str, float]:
        """Return how well the pose predicts masks that it was not fitted to."""
        others = self._observations.held_out()
        if not len(others):
            return {}
        problem = mask_problem(self._observations, others)
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


def mask_problem(
    observations: Observations,
    frames: NDArray[np.intp],
    masks: NDArray[np.bool_] | None = None,
) -> SilhouetteProblem:
    """Return masks to be explained.

    Args:
        observations: What they belong to.
        frames: (N,) positions in the observations.
        masks: (N, H, W) their masks; the observations' own where None.
    """
    if masks is None:
        assert observations.masks is not None
        masks = observations.masks[frames]
    return SilhouetteProblem(
        observations.surface,
        observations.motion.subset(frames),
        observations.camera,
        masks,
        renderer=observations.renderer,
    )


def mask_timing(problem: SilhouetteProblem, estimate: Estimate) -> FrameTiming:
    """Compare each mask with the outline of the robot at other instants.

    Args:
        problem: Masks that do not depend on the estimate.
        estimate: The pose, and the common lag.
    """
    scale = min(1.0, EXAMINED_WIDTH_PX / problem.camera.width)
    targets, camera = prepare_targets(problem.masks, scale), problem.camera.scaled(scale)
    bias_px = estimate.biases_px() * scale
    lags_s = candidate_lags(problem.motion.stamps_ns)
    shares = []
    for lag_s in lags_s:
        later = replace(estimate, lag_s=estimate.lag_s + lag_s)
        outline = problem.outline(camera, later, EXAMINED_DETAIL_M)
        shares.append(outline_share(outline, targets, bias_px, EXAMINED_TOLERANCE_PX))
    return frame_timing(np.stack(shares, axis=1), lags_s, estimate.lag_s)


def outline_shares(
    problem: SilhouetteProblem, targets: TargetPyramid, estimate: Estimate, scale: float
) -> NDArray[np.float64]:
    """Return the (N,) share of each outline that agrees with its mask's, at ``scale``."""
    outline = problem.outline(problem.camera.scaled(scale), estimate, JUDGED_DETAIL_M)
    bias_px = estimate.biases_px() * scale
    return outline_share(outline, targets.at(scale), bias_px, OUTLINE_TOLERANCE_PX)


def _own_biases(
    problem: SilhouetteProblem, targets: TargetPyramid, estimate: Estimate
) -> NDArray[np.float64]:
    """Return the (N,) px by which each mask is fatter than the common bias says."""
    outline = problem.outline(problem.camera, estimate, JUDGED_DETAIL_M)
    measured = measure_forward(outline, targets.at(1.0), estimate.mask_bias_px, problem.weights())
    frame = outline.frame[measured.index]
    biases = np.zeros(len(problem.masks))
    for number in np.unique(frame):
        biases[number] = -np.median(measured.residual[frame == number])
    return biases
