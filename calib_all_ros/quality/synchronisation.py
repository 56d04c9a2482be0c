# SPDX-License-Identifier: Apache-2.0
"""Which images do not belong to the joint states of their stamp, and by how much they are late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.mask_measurements import intersection_over_union, prepare_targets
from calib_all_ros.solving.outline import render_outline
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

NS_PER_S = 1e9
EXAMINED_WIDTH_PX = 160
LAG_STEPS = 33
# Lags are looked for up to this many image intervals, or this long, whichever is longer.
MAX_INTERVALS = 2.0
MIN_RANGE_S = 0.3
# An image fits when its overlap reaches this share of the best image's.
FITTING_SHARE = 0.93
# A lag explains an image when it wins this much overlap.
EXPLAINED_GAIN = 0.04


@dataclass(frozen=True)
class FrameTiming:
    """How each image agrees with the joint states, at its stamp and at others.

    Attributes:
        iou: (N,) overlap at the common lag.
        best_iou: (N,) overlap at the image's own best lag.
        best_lag_s: (N,) that lag, relative to the common one.
        fits: (N,) images that agree with the joint states as well as the best ones.
        late: (N,) images that do not, but would with a lag of their own.
    """

    iou: NDArray[np.float64]
    best_iou: NDArray[np.float64]
    best_lag_s: NDArray[np.float64]
    fits: NDArray[np.bool_]
    late: NDArray[np.bool_]


def examine_timing(problem: SilhouetteProblem, estimate: Estimate) -> FrameTiming:
    """Compare each mask with the robot at other instants than its own.

    Args:
        problem: Masks that do not depend on the estimate.
        estimate: The pose, and the common lag.
    """
    scale = min(1.0, EXAMINED_WIDTH_PX / problem.camera.width)
    targets = prepare_targets(problem.masks, scale, problem.ignore)
    camera = problem.camera.scaled(scale)
    surface = problem.surface.simplified(0.005)
    stamps = problem.motion.stamps_ns
    interval = float(np.median(np.diff(stamps))) / NS_PER_S if len(stamps) > 1 else 0.0
    reach = max(MAX_INTERVALS * interval, MIN_RANGE_S)
    # Intervals of seconds are key frames, of which nothing finer can be said.
    reach = min(reach, 3.0)
    lags = np.linspace(-reach, reach, LAG_STEPS)
    overlaps = []
    for lag in lags:
        own = np.full(len(stamps), lag)
        shifted = Estimate(estimate.T_camera_base, estimate.lag_s, own, 0.0, estimate.focal_scale)
        outline = render_outline(surface, problem.motion, camera, shifted)
        overlaps.append(intersection_over_union(outline.masks, targets.masks, targets.ignore))
    table = np.stack(overlaps, axis=1)
    iou = table[:, LAG_STEPS // 2]
    best = table.argmax(axis=1)
    best_iou = table[np.arange(len(best)), best]
    fits = iou >= FITTING_SHARE * float(np.max(iou))
    late = ~fits & (best_iou - iou > EXPLAINED_GAIN)
    return FrameTiming(iou, best_iou, lags[best], fits, late)
