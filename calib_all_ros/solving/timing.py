# SPDX-License-Identifier: Apache-2.0
"""Time offsets of single images: those that do not belong to the joint states of their stamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1e9
LAG_STEPS = 33
# Lags are looked for up to this many image intervals, or this long, whichever is longer.
MAX_INTERVALS = 2.0
MIN_RANGE_S = 0.3
# Intervals of seconds are key frames, of which nothing finer can be said.
MAX_RANGE_S = 3.0
# An image fits when its outline agrees along this share of what the best image's does.
FITTING_SHARE = 0.8
# A lag explains an image when it wins this much more of the outline, and this share of the best
# image's in all: a bad mask gains a little at some lag or other.
EXPLAINED_GAIN = 0.12
EXPLAINED_SHARE = 0.5


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


@dataclass(frozen=True)
class FrameTiming:
    """How each of N images agrees with the joint states, at its stamp and at other instants.

    Attributes:
        agreement: (N,) share of the outline that agrees with the image, at the common lag.
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


def candidate_lags(stamps_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the (L,) lags, beside the common one, at which images at (N,) stamps are compared."""
    interval = float(np.median(np.diff(stamps_ns))) / NS_PER_S if len(stamps_ns) > 1 else 0.0
    reach = min(max(MAX_INTERVALS * interval, MIN_RANGE_S), MAX_RANGE_S)
    return np.linspace(-reach, reach, LAG_STEPS)


def frame_timing(
    shares: NDArray[np.float64], lags_s: NDArray[np.float64], common_lag_s: float
) -> FrameTiming:
    """Find the images that do not belong to the joint states of their stamp.

    Args:
        shares: (N, L) share of each outline that agrees with its image; NaN without an outline.
        lags_s: (L,) the `candidate_lags` that the robot was drawn at.
        common_lag_s: What they are relative to.
    """
    table = np.nan_to_num(shares)
    agreement = table[:, LAG_STEPS // 2]
    best = table.argmax(axis=1)
    best_agreement = table[np.arange(len(best)), best]
    most = float(np.max(agreement))
    fits = agreement >= FITTING_SHARE * most
    gains = best_agreement - agreement > EXPLAINED_GAIN
    late = ~fits & gains & (best_agreement >= EXPLAINED_SHARE * most)
    curve = LagCurve(common_lag_s + lags_s, table.mean(axis=0))
    return FrameTiming(agreement, best_agreement, lags_s[best], fits, late, curve)
