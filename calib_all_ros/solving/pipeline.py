# SPDX-License-Identifier: Apache-2.0
"""The pipeline of a solve: coarse pose, refined pose, late images left out, figures.

It is the same whether masks or the images themselves are compared with the robot; a `Measurer`
knows how to do that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.progress import Progress, silent
from calib_all_ros.settings import RefinementSettings, Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.frame_systems import FrameSystems
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.search import NO_STARTS, StartAgreement
from calib_all_ros.solving.timing import FrameTiming, LagCurve

# Between fewer key frames a lag can be anything.
MIN_FRAMES_FOR_LAG = 5

Trace = tuple[tuple[Estimate, float], ...]
"""Estimates on the way to a fit and their robust costs."""


@dataclass(frozen=True)
class Start:
    """A camera pose to begin from.

    Attributes:
        T_camera_base: (4, 4).
        source: Where it comes from: "mark", "search", "images" or "given".
    """

    T_camera_base: NDArray[np.float64]
    source: str


@dataclass(frozen=True)
class CoarsePose:
    """The start that explains the images best, followed roughly.

    Attributes:
        start: That start.
        estimate: Where it led.
        agreement: Whether other starts led to the same pose.
        refined: ``T_camera_base`` that all starts led to, with their scores.
        trace: The estimates on the way.
        stage: The stage that they belong to: "search" or "coarse".
    """

    start: Start
    estimate: Estimate
    agreement: StartAgreement = NO_STARTS
    refined: tuple[tuple[NDArray[np.float64], float], ...] = ()
    trace: Trace = ()
    stage: str = "coarse"


class PoseFit(Protocol):
    """A refined estimate, as a measurer fits it."""

    @property
    def estimate(self) -> Estimate:
        """The estimate."""
        ...

    @property
    def trace(self) -> Trace:
        """The estimates on the way."""
        ...


@dataclass(frozen=True)
class FitFigures:
    """How M images agree with a fit.

    Attributes:
        iou: (M,) overlap of rendered and observed silhouettes.
        contour_px: (M,) median distance of the outlines, NaN where not measured.
        masks: (M, H, W) the robot as seen in the images of the solve, recorded or found in them.
        systems: The measurements of the used images at the estimate, numbered from 0 to M - 1; None
            where there were too few.
        quality: Further figures, with units in their names.
    """

    iou: NDArray[np.float64]
    contour_px: NDArray[np.float64]
    masks: NDArray[np.bool_]
    systems: FrameSystems | None
    quality: dict[str, float]


Fit = TypeVar("Fit", bound=PoseFit)


class Measurer(Protocol[Fit]):
    """What compares the robot, drawn at an estimate, with M images."""

    convincing_support: float
    """A fit that is supported by so much needs no other start."""
    min_fitting_frames: int
    """Late images are left out where at least so many others fit."""

    def parameters(self, wanted: RefinementSettings) -> Parameters:
        """Return what a refinement estimates, with the priors of these measurements."""
        ...

    def coarse_pose(self, given: tuple[Start, ...], seed: int, on_progress: Progress) -> CoarsePose:
        """Search for the camera, beside the given starts, and follow the best start roughly."""
        ...

    def refine(self, start: Estimate, parameters: Parameters, on_progress: Progress) -> Fit:
        """Fit an estimate that is off by centimetres to all M images."""
        ...

    def refit(
        self, fit: Fit, start: Estimate, use: NDArray[np.intp], parameters: Parameters
    ) -> Fit:
        """Fit again, to some of the images."""
        ...

    def support(self, fit: Fit) -> float:
        """Return the share of the outline, between 0 and 1, that the images support."""
        ...

    def agreement(self, fit: Fit, tried: Sequence[CoarsePose]) -> StartAgreement:
        """Compare a fit with what all starts led to."""
        ...

    def timing(self, fit: Fit) -> FrameTiming:
        """Compare each image with the robot at other instants than its own."""
        ...

    def figures(self, fit: Fit, used: NDArray[np.bool_]) -> FitFigures:
        """Measure how all images agree with a fit to the (M,) used ones."""
        ...


@dataclass(frozen=True, eq=False)
class TracePoint:
    """An estimate on the way to the result.

    Attributes:
        stage: "search", "coarse" or "refine".
        T_camera_base: (4, 4).
        cost: Robust cost, between 0 and 1; costs of different stages do not compare.
    """

    stage: str
    T_camera_base: NDArray[np.float64]
    cost: float


@dataclass(frozen=True)
class PoseResult:
    """A refined camera pose with its evidence.

    Attributes:
        start: What the refinement began from.
        estimate: The refined estimate.
        parameters: What was estimated, and its priors.
        used: (M,) frames of the M fitted ones that the final fit rests on.
        iou: (M,) overlap of rendered and observed silhouettes.
        contour_px: (M,) median distance of the outlines, NaN where not measured.
        own_lag_s: (M,) what each image's own lag adds to the estimate's, NaN where the image fits
            without or none was looked for.
        masks: (M, H, W) the robot as seen in the images of the solve, recorded or found in them.
        systems: The measurements of the used images at the estimate, numbered in the order of
            ``used``; None where there were too few.
        starts: Whether independent starts agreed.
        timing: Agreement over the lag.
        trace: The estimates on the way.
        quality: Further figures, with units in their names.
    """

    start: Start
    estimate: Estimate
    parameters: Parameters
    used: NDArray[np.bool_]
    iou: NDArray[np.float64]
    contour_px: NDArray[np.float64]
    own_lag_s: NDArray[np.float64]
    masks: NDArray[np.bool_]
    systems: FrameSystems | None
    starts: StartAgreement
    timing: LagCurve | None = None
    trace: tuple[TracePoint, ...] = ()
    quality: dict[str, float] = field(default_factory=dict)


def estimated_parameters(wanted: RefinementSettings) -> Parameters:
    """Return what a refinement estimates, by the settings; the paper's descent the pose alone."""
    if wanted.method == "adam":
        return Parameters(lag=False, mask_bias=False)
    return Parameters(
        lag=wanted.lag,
        mask_bias=wanted.mask_bias,
        focal_scale=wanted.focal_scale,
        joint_offsets=wanted.joint_offsets,
    )


def find_pose(
    measurer: Measurer[Fit],
    settings: Settings,
    given: tuple[Start, ...] = (),
    on_progress: Progress = silent,
) -> PoseResult:
    """Search for the camera and refine its pose; again from elsewhere while little supports it.

    Args:
        measurer: Compares the robot with the images.
        settings: Effort, and what is estimated beside the pose.
        given: Starts from elsewhere; the search's are tried beside them.
        on_progress: Called with the stage and its finished share.
    """
    parameters = measurer.parameters(settings.refinement)
    tried: list[CoarsePose] = []
    best: tuple[float, CoarsePose, Fit] | None = None
    for attempt in range(settings.search.attempts):
        coarse = measurer.coarse_pose(
            given if attempt == 0 else (), settings.seed + attempt, on_progress
        )
        tried.append(coarse)
        fit = measurer.refine(coarse.estimate, parameters, on_progress)
        support = measurer.support(fit)
        if best is None or support > best[0]:
            best = support, coarse, fit
        agreement = measurer.agreement(best[2], tried)
        if best[0] >= measurer.convincing_support or agreement.unanimous:
            break
    assert best is not None
    _, coarse, fit = best
    return _examined(measurer, parameters, replace(coarse, agreement=agreement), fit)


def refine_pose(
    measurer: Measurer[Fit], settings: Settings, start: Start, on_progress: Progress = silent
) -> PoseResult:
    """Refine a camera pose that is already within centimetres, without any search.

    Args:
        measurer: Compares the robot with the images.
        settings: What is estimated beside the pose.
        start: Where to start.
        on_progress: Called with the stage and its finished share.
    """
    parameters = measurer.parameters(settings.refinement)
    coarse = CoarsePose(start, Estimate(start.T_camera_base))
    fit = measurer.refine(coarse.estimate, parameters, on_progress)
    return _examined(measurer, parameters, coarse, fit)


def _examined(
    measurer: Measurer[Fit], parameters: Parameters, coarse: CoarsePose, fit: Fit
) -> PoseResult:
    """Leave out images that are out of step, if there are any, and measure how the rest agrees."""
    trace = [TracePoint(coarse.stage, at.T_camera_base, cost) for at, cost in coarse.trace]
    trace += [TracePoint("refine", at.T_camera_base, cost) for at, cost in fit.trace]
    timing = measurer.timing(fit)
    used = np.ones(len(timing.fits), dtype=bool)
    examined_lag_s = fit.estimate.lag_s
    fitting = int(np.count_nonzero(timing.fits))
    if timing.late.any() and fitting >= measurer.min_fitting_frames:
        used = timing.fits
        start = fit.estimate.common()
        if fitting < MIN_FRAMES_FOR_LAG:
            parameters, start = replace(parameters, lag=False), replace(start, lag_s=0.0)
        fit = measurer.refit(fit, start, np.flatnonzero(used), parameters)
        trace += [TracePoint("refine", at.T_camera_base, cost) for at, cost in fit.trace]
    figures = measurer.figures(fit, used)
    estimate = fit.estimate.common()
    late_by_s = timing.best_lag_s + examined_lag_s - estimate.lag_s
    return PoseResult(
        start=coarse.start,
        estimate=estimate,
        parameters=parameters,
        used=used,
        iou=figures.iou,
        contour_px=figures.contour_px,
        own_lag_s=np.where(timing.late, late_by_s, np.nan),
        masks=figures.masks,
        systems=figures.systems,
        starts=coarse.agreement,
        timing=timing.curve,
        trace=tuple(trace),
        quality={**figures.quality, "late_frames": float(np.count_nonzero(timing.late))},
    )
