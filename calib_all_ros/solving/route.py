# SPDX-License-Identifier: Apache-2.0
"""What every route to a camera pose returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import LinearSystem

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
        masks: (M, H, W) the observed silhouettes.
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
