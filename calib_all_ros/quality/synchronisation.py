# SPDX-License-Identifier: Apache-2.0
"""Which images do not belong to the joint states of their stamp, and by how much they are late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.mask_measurements import outline_share, prepare_targets
from calib_all_ros.solving.route import LagCurve
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

NS_PER_S = 1e9
EXAMINED_WIDTH_PX = 160
LAG_STEPS = 33
# Lags are looked for up to this many image intervals, or this long, whichever is longer.
MAX_INTERVALS = 2.0
MIN_RANGE_S = 0.3
# An outline agrees where it is this close to the mask's, in pixels of the examined size: wide
# enough for masks that are pixels too fat or too thin, which is not a matter of time.
TOLERANCE_PX = 1.0
# An image fits when its outline agrees along this share of what the best image's does.
FITTING_SHARE = 0.8
# A lag explains an image when it wins this much more of the outline, and this share of the best
# image's in all: a bad mask gains a little at some lag or other.
EXPLAINED_GAIN = 0.12
EXPLAINED_SHARE = 0.5


@dataclass(frozen=True)
class FrameTiming:
    """How each image agrees with the joint states, at its stamp and at others.

    Attributes:
        agreement: (N,) share of the outline that runs along the mask's, at the common lag.
        best_agreement: (N,) the same at the image's own best lag.
        best_lag_s: (N,) that lag, relative to the common one.
        fits: (N,) images that agree with the joint states as well as the best ones.
        late: (N,) images that do not, but would with a lag of their own.
        curve: Mean agreement over the lag common to all images.
    """

    agreement: NDArray[np.float64]
    best_agreement: NDArray[np.float64]
    best_lag_s: NDArray[np.float64]
    fits: NDArray[np.bool_]
    late: NDArray[np.bool_]
    curve: LagCurve


def examine_timing(problem: SilhouetteProblem, estimate: Estimate) -> FrameTiming:
    """Compare each mask with the robot at other instants than its own.

    Args:
        problem: Masks that do not depend on the estimate.
        estimate: The pose, and the common lag.
    """
    scale = min(1.0, EXAMINED_WIDTH_PX / problem.camera.width)
    targets = prepare_targets(problem.masks, scale, problem.ignore)
    camera = problem.camera.scaled(scale)

    def shares_at(estimate: Estimate) -> NDArray[np.float64]:
        outline = problem.outline(camera, estimate, 0.005)
        bias_px = estimate.biases_px() * scale
        return outline_share(outline, targets, bias_px, TOLERANCE_PX)

    return compare_lags(estimate, problem.motion.stamps_ns, shares_at)


def compare_lags(
    estimate: Estimate,
    stamps_ns: NDArray[np.int64],
    shares_at: Callable[[Estimate], NDArray[np.float64]],
) -> FrameTiming:
    """Compare images with the robot at other instants than their own.

    Args:
        estimate: The pose, and the common lag.
        stamps_ns: (N,) stamps of the images.
        shares_at: Returns for an estimate with lags the (N,) share of each outline that agrees
            with its image.
    """
    interval = float(np.median(np.diff(stamps_ns))) / NS_PER_S if len(stamps_ns) > 1 else 0.0
    reach = max(MAX_INTERVALS * interval, MIN_RANGE_S)
    # Intervals of seconds are key frames, of which nothing finer can be said.
    reach = min(reach, 3.0)
    lags = np.linspace(-reach, reach, LAG_STEPS)
    shares = []
    for lag in lags:
        shares.append(shares_at(replace(estimate, frame_lags_s=np.full(len(stamps_ns), lag))))
    table = np.nan_to_num(np.stack(shares, axis=1))
    agreement = table[:, LAG_STEPS // 2]
    best = table.argmax(axis=1)
    best_agreement = table[np.arange(len(best)), best]
    most = float(np.max(agreement))
    fits = agreement >= FITTING_SHARE * most
    gains = best_agreement - agreement > EXPLAINED_GAIN
    late = ~fits & gains & (best_agreement >= EXPLAINED_SHARE * most)
    curve = LagCurve(estimate.lag_s + lags, table.mean(axis=0))
    return FrameTiming(agreement, best_agreement, lags[best], fits, late, curve)
