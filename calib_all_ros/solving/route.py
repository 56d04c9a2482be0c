# SPDX-License-Identifier: Apache-2.0
"""What the routes to a camera pose have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import LinearSystem, Parameters
from calib_all_ros.solving.search import SearchSettings

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
        system: The linearised measurements at the estimate.
        quality: Further figures, with units in their names.
    """

    start: Start
    estimate: Estimate
    used: NDArray[np.bool_]
    iou: NDArray[np.float64]
    contour_px: NDArray[np.float64]
    own_lag_s: NDArray[np.float64]
    masks: NDArray[np.bool_]
    system: LinearSystem | None
    quality: dict[str, float] = field(default_factory=dict)


def begin(on_progress: Progress | None, stage: str) -> Callable[[float], None] | None:
    """Announce a stage, and return what reports its finished share."""
    if on_progress is None:
        return None
    report = on_progress
    report(stage, 0.0)
    return lambda share: report(stage, share)


def refined_parameters(settings: Settings) -> Parameters:
    """Return what the refinement estimates, by the settings."""
    wanted = settings.refinement
    return Parameters(lag=wanted.lag, mask_bias=wanted.mask_bias, focal_scale=wanted.focal_scale)


def search_settings(settings: Settings) -> SearchSettings:
    """Return the search's effort, by the settings."""
    wanted = settings.search
    return SearchSettings(
        hypotheses=wanted.hypotheses, candidates=wanted.candidates, finalists=wanted.finalists
    )
