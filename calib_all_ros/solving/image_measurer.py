# SPDX-License-Identifier: Apache-2.0
"""Measurements from images and joint states alone: what moves, then the edges of the robot.

The start is judged by what changes between images. Its refinement alternates between segmenting
the robot and fitting its silhouette; what the result rests on in the end are edges in the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.rectification import shrink_mask
from calib_all_ros.progress import Progress
from calib_all_ros.settings import RefinementSettings, SearchEffort, SettingsError
from calib_all_ros.solving.edge_fit import EdgeExaminer, EdgeFit, fit_edges
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.pipeline import (
    CoarsePose,
    FitFigures,
    Start,
    Trace,
    estimated_parameters,
)
from calib_all_ros.solving.search import (
    CHANGE_FRAMES,
    SAME_VIEW,
    StartAgreement,
    search_change,
    view_separation,
)
from calib_all_ros.solving.self_masked import (
    FINE_ROUNDS,
    ROUGH_ROUNDS,
    ImageStack,
    SelfMaskedFit,
    refine_from_images,
)
from calib_all_ros.solving.small_pictures import (
    ChangeTable,
    PosedRobot,
    change_probability,
    posed_points,
    shrink_images,
)
from calib_all_ros.solving.timing import FrameTiming, candidate_lags, frame_timing

ROUGH_FRAMES = 10
JUDGING_WIDTH_PX = 96
EDGE_BIAS_SIGMA_PX = 0.3
# Late images are looked for at half the size, where edges are found from twice as far.
EXAMINED_SCALE = 0.5
EXAMINED_REACH_PX = 6.0
EXAMINED_DETAIL_M = 0.003


def require_contour(refinement: RefinementSettings) -> None:
    """Check that the settings do not ask for what needs masks.

    Raises:
        SettingsError: They do.
    """
    if refinement.method == "adam":
        raise SettingsError(
            "setting refinement.method is adam, which needs masks of the robot, and there are "
            "none: give a folder of masks, or set it to contour"
        )


class ChangeJudge:
    """Says how well a pose explains what changes between images.

    Unlike the overlap with masks that were made with the help of a pose, this does not depend on
    any estimate, so it can tell good poses from bad ones.
    """

    def __init__(self, observations: Observations, frames: NDArray[np.intp]) -> None:
        """Prepare the change maps between ``frames``, positions in the observations."""
        self._camera = observations.camera.scaled(JUDGING_WIDTH_PX / observations.camera.width)
        small = shrink_images(observations.images[frames], JUDGING_WIDTH_PX)
        self._pairs, self._change = change_probability(small)
        self._table = ChangeTable.of(small)
        self._surface = observations.surface.simplified(0.01)
        self._motion = observations.motion.subset(frames)

    def gain(self, estimate: Estimate) -> float:
        """Return how much of the change a pose explains, as `PosedRobot.change_gain` does."""
        poses = estimate.T_camera_base[None]
        return float(self._posed(estimate).change_gain(poses, self._camera, self._table)[0])

    def overlap(self, estimate: Estimate) -> float:
        """Return the mean overlap of predicted and observed change, between 0 and 1."""
        poses, robot = estimate.T_camera_base[None], self._posed(estimate)
        return float(robot.change_overlap(poses, self._camera, self._pairs, self._change)[0])

    def _posed(self, estimate: Estimate) -> PosedRobot:
        return PosedRobot(self._surface, self._motion.link_poses(estimate.lag_s))


@dataclass(frozen=True, eq=False)
class ImageFit:
    """An estimate fitted to the images.

    Attributes:
        masked: The last silhouette fit, to all images of the solve, and its segmentation.
        edges: The edge fit that followed it.
        trace: The estimates on the way.
    """

    masked: SelfMaskedFit
    edges: EdgeFit
    trace: Trace

    @property
    def estimate(self) -> Estimate:
        """The estimate after the last step of the edge fit."""
        return self.edges.estimate


class ImageMeasurer:
    """Compares the robot with the images of the solve; implements `pipeline.Measurer`."""

    # Right poses have edges within a pixel along 0.55 to 0.77 of their outline on renderings, and
    # 0.39 to 0.45 on photographs, where another look does no harm (benchmarks/RESULTS.md, "Start
    # search").
    convincing_support = 0.45
    min_fitting_frames = 3

    def __init__(self, observations: Observations, effort: SearchEffort) -> None:
        """Prepare the images; those beside the fitted ones serve the background."""
        self._observations = observations
        self._effort = effort
        self._stack = ImageStack(observations.images)
        self._judged = observations.spread(CHANGE_FRAMES)
        self._judge = ChangeJudge(observations, self._judged)

    def parameters(self, wanted: RefinementSettings) -> Parameters:
        """Return what a refinement estimates: the bias is that of edges.

        Raises:
            SettingsError: The settings ask for the paper's descent, which needs masks.
        """
        require_contour(wanted)
        return replace(estimated_parameters(wanted), mask_bias_sigma_px=EDGE_BIAS_SIGMA_PX)

    def coarse_pose(self, given: tuple[Start, ...], seed: int, on_progress: Progress) -> CoarsePose:
        """Return the start whose rough refinement explains the changes best, and where it led."""
        seen = self._observations
        motion = seen.motion.subset(self._judged)
        found, _ = search_change(
            seen.images[self._judged], seen.surface, motion, seen.camera, self._effort, seed,
            on_progress,
        )  # fmt: skip
        starts = [*given, *(Start(candidate.T_camera_base, "search") for candidate in found)]
        frames = seen.spread(ROUGH_FRAMES)
        rough: list[Estimate] = []
        for number, start in enumerate(starts):
            on_progress("coarse", number / len(starts))
            masked = refine_from_images(
                self._stack, seen.surface, seen.motion, seen.camera,
                Estimate(start.T_camera_base), frames, ROUGH_ROUNDS,
            )  # fmt: skip
            # Where the background never shows, a segmentation follows its guess anywhere.
            way = (Estimate(start.T_camera_base), *(estimate for estimate, _ in masked.trace))
            rough.append(max(way, key=self._judge.gain))
        on_progress("coarse", 1.0)
        scores = [self._judge.gain(estimate) for estimate in rough]
        best = int(np.argmax(scores))
        refined = tuple(zip((at.T_camera_base for at in rough), scores, strict=True))
        return CoarsePose(starts[best], rough[best], refined=refined, trace=((rough[best], 1.0),))

    def refine(self, start: Estimate, parameters: Parameters, on_progress: Progress) -> ImageFit:
        """Fit silhouettes to the images' own segmentation, then edges."""
        seen = self._observations
        on_progress("refine", 0.0)
        # Segmentation errs by more than edges do.
        masked = refine_from_images(
            self._stack, seen.surface, seen.motion, seen.camera, start, seen.solve, FINE_ROUNDS,
            replace(parameters, mask_bias_sigma_px=Parameters().mask_bias_sigma_px),
        )  # fmt: skip
        on_progress("refine", 0.8)
        # A segmentation may have led away from a good start.
        ends = (masked.trace[-1][0], start)
        fit = self._best_supported(masked, ends, parameters)
        if self.support(fit) < self.convincing_support:
            # What was segmented at another pose hides the wrong pixels.
            nearer = refine_from_images(
                self._stack, seen.surface, seen.motion, seen.camera, fit.estimate, seen.solve,
                FINE_ROUNDS[-1:], replace(parameters, lag=False),
            )  # fmt: skip
            again = self._best_supported(nearer, (fit.estimate,), parameters)
            fit = max(fit, again, key=self.support)
        on_progress("refine", 1.0)
        return replace(fit, trace=(*masked.trace, *fit.trace))

    def _best_supported(
        self, masked: SelfMaskedFit, starts: Sequence[Estimate], parameters: Parameters
    ) -> ImageFit:
        """Fit edges from several starts, until one result is convincing."""
        fits: list[ImageFit] = []
        for start in starts:
            unbiased = replace(start, mask_bias_px=0.0)
            edges = self._fit_edges(masked, unbiased, self._observations.solve, parameters)
            fits.append(ImageFit(masked, edges, edges.trace))
            if self.support(fits[-1]) >= self.convincing_support:
                break
        return max(fits, key=self.support)

    def refit(
        self, fit: ImageFit, start: Estimate, use: NDArray[np.intp], parameters: Parameters
    ) -> ImageFit:
        """Fit the edges of some of the images."""
        use = self._observations.solve[use]
        edges = self._fit_edges(fit.masked, start, use, parameters)
        return replace(fit, edges=edges, trace=edges.trace)

    def support(self, fit: ImageFit) -> float:
        """Return the share of the outline in view that has an edge within a pixel."""
        return fit.edges.measured_share * fit.edges.close_share

    def agreement(self, fit: ImageFit, tried: Sequence[CoarsePose]) -> StartAgreement:
        """Compare the pose with what all starts led to, by the change that they explain."""
        robot = self._observations.motion.subset(self._judged).link_poses()
        centre = posed_points(self._observations.surface, robot).reshape(-1, 3).mean(axis=0)
        pose, gain = fit.estimate.T_camera_base, self._judge.gain(fit.estimate)
        starts = [start for coarse in tried for start in coarse.refined]
        rivals = [s for T, s in starts if view_separation(T, pose, centre) > SAME_VIEW]
        share = max(0.0, *rivals) / max(gain, 1e-9) if rivals else 0.0
        return StartAgreement(len(starts), len(starts) - len(rivals), share)

    def timing(self, fit: ImageFit) -> FrameTiming:
        """Compare the edges with the outline of the robot at other instants."""
        frames = self._observations.solve
        examiner = self._examiner(fit, frames, EXAMINED_SCALE)
        stamps_ns = self._observations.motion.stamps_ns[frames]
        lags_s = candidate_lags(stamps_ns)
        common_s = fit.estimate.lag_s
        shares = [
            examiner.support(replace(fit.estimate, lag_s=common_s + lag_s)).close_share
            for lag_s in lags_s
        ]
        return frame_timing(np.stack(shares, axis=1), lags_s, common_s)

    def figures(self, fit: ImageFit, used: NDArray[np.bool_]) -> FitFigures:
        """Measure how all images agree with a fit to the used ones."""
        seen, edges = self._observations, fit.edges
        contour_px = np.full(len(used), np.nan)
        contour_px[used] = edges.contour_px
        systems = edges.systems
        if systems is not None:
            stamps_ns = seen.motion.stamps_ns[seen.solve]
            systems = systems.numbered(np.flatnonzero(used), stamps_ns)
        quality = {
            "change_overlap": self._judge.overlap(edges.estimate),
            "edge_share": edges.measured_share,
            "edge_within_1px_share": edges.close_share,
            **self._held_out(fit),
        }
        masks = fit.masked.segmented.masks
        return FitFigures(fit.masked.fit.iou, contour_px, masks, systems, quality)

    def _fit_edges(
        self,
        masked: SelfMaskedFit,
        start: Estimate,
        use: NDArray[np.intp],
        parameters: Parameters,
    ) -> EdgeFit:
        seen = self._observations
        return fit_edges(
            self._stack.at(1.0), seen.surface, seen.motion, seen.camera, start, use,
            masked.segmented.hidden, parameters,
        )  # fmt: skip

    def _examiner(self, fit: ImageFit, frames: NDArray[np.intp], scale: float) -> EdgeExaminer:
        seen, hidden = self._observations, fit.masked.segmented.hidden
        return EdgeExaminer(
            self._stack.at(scale), seen.surface.simplified(EXAMINED_DETAIL_M), seen.motion,
            seen.camera.scaled(scale), fit.estimate, frames,
            shrink_mask(hidden, scale) if scale != 1.0 else hidden, EXAMINED_REACH_PX,
        )  # fmt: skip

    def _held_out(self, fit: ImageFit) -> dict[str, float]:
        """Return how well the pose predicts images that it was not fitted to."""
        others = self._observations.held_out()
        if not len(others):
            return {}
        support = self._examiner(fit, others, 1.0).support(fit.estimate)
        figures = {
            "held_out_frames": float(len(others)),
            "held_out_outline_share": float(np.median(np.nan_to_num(support.close_share))),
        }
        if np.isfinite(support.contour_px).any():
            figures["held_out_contour_px"] = float(np.nanmedian(support.contour_px))
        return figures
