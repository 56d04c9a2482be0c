# SPDX-License-Identifier: Apache-2.0
"""What the routes to a camera pose have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.frame_systems import FrameSystems
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.search import SearchSettings
from calib_all_ros.solving.start_agreement import StartAgreement

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Start:
    """A camera pose to begin from.

    Attributes:
        T_camera_base: (4, 4).
        source: Where it comes from: "mark" or "search".
    """

    T_camera_base: NDArray[np.float64]
    source: str


@dataclass(frozen=True, eq=False)
class LagCurve:
    """How well the images agree with the joint states of other instants.

    Attributes:
        lags_s: (L,) lags of the images, ascending; positive when stamped later than their light.
        agreement: (L,) share of the robot's outline, drawn at that lag, that agrees with the
            images; mean over the images.
    """

    lags_s: NDArray[np.float64]
    agreement: NDArray[np.float64]


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
class RouteResult:
    """A refined camera pose with its evidence.

    Attributes:
        start: What the refinement began from.
        estimate: The refined estimate.
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


def begin(on_progress: Progress | None, stage: str) -> Callable[[float], None] | None:
    """Announce a stage, and return what reports its finished share."""
    if on_progress is None:
        return None
    report = on_progress
    report(stage, 0.0)
    return lambda share: report(stage, share)


class Tracer:
    """Collects the estimates that a solve visits."""

    def __init__(self) -> None:
        self.points: list[TracePoint] = []

    def stage(self, name: str) -> Callable[[Estimate, float], None]:
        """Return what takes the estimates of a stage and their costs."""
        return lambda estimate, cost: self.points.append(
            TracePoint(name, estimate.T_camera_base, cost)
        )


def refined_parameters(settings: Settings) -> Parameters:
    """Return what the refinement estimates, by the settings."""
    wanted = settings.refinement
    if wanted.method == "adam":
        return Parameters(lag=False, mask_bias=False)
    return Parameters(
        lag=wanted.lag,
        mask_bias=wanted.mask_bias,
        focal_scale=wanted.focal_scale,
        joint_offsets=wanted.joint_offsets,
    )


def search_settings(settings: Settings) -> SearchSettings:
    """Return the search's effort, by the settings."""
    wanted = settings.search
    return SearchSettings(
        hypotheses=wanted.hypotheses, candidates=wanted.candidates, finalists=wanted.finalists
    )
