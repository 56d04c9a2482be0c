# SPDX-License-Identifier: Apache-2.0
"""ADD and its area under the curve as DREAM defines them.

Lee et al., "Camera-to-Robot Pose Estimation from a Single Image", ICRA 2020; the details are those
of ``pnp_metrics`` in the authors' ``dream/analysis.py``, which made the numbers in their tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AUC_THRESHOLD_M = 0.1
THRESHOLD_STEP_M = 1e-5
MIN_KEYPOINTS_IN_FRAME = 4


@dataclass(frozen=True)
class AddMetrics:
    """How far keypoints are from where they are annotated.

    Attributes:
        frames: All frames.
        found: Frames with a pose.
        possible: Frames with at least `MIN_KEYPOINTS_IN_FRAME` annotated keypoints in the image.
        mean_m: Mean ADD of the frames with a pose, metres; None where there is none.
        median_m: Their median.
        auc: Area under the curve of the share of frames below a threshold, over thresholds up to
            `AUC_THRESHOLD_M`; None where no frame is possible.
    """

    frames: int
    found: int
    possible: int
    mean_m: float | None
    median_m: float | None
    auc: float | None


def average_distance(
    estimated: NDArray[np.floating], annotated: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the (N,) mean distances between (N, K, 3) keypoints, in their unit."""
    return np.asarray(np.linalg.norm(estimated - annotated, axis=-1).mean(axis=-1))


def keypoints_in_frame(
    projections: NDArray[np.floating], width: int, height: int
) -> NDArray[np.intp]:
    """Return how many of (N, K, 2) annotated pixels lie strictly inside of the image, (N,)."""
    inside = (projections > 0.0) & (projections < [width, height])
    return np.asarray(inside.all(axis=-1).sum(axis=-1))


def add_metrics(add_m: NDArray[np.floating], in_frame: NDArray[np.integer]) -> AddMetrics:
    """Summarise the ADD of frames.

    Mean and median are of the frames that have a pose. The curve counts every frame with a pose
    but divides by the frames in which a pose is possible, whether one was found or not: a frame
    without a pose costs area, and one with a pose but few keypoints in the image can bring the
    area above 1. Its thresholds end one step below `AUC_THRESHOLD_M`, which it is divided by, so
    that perfect poses give 0.9999.

    Args:
        add_m: (N,) ADD of each frame in metres, NaN where there is no pose.
        in_frame: (N,) annotated keypoints in the image, see `keypoints_in_frame`.
    """
    found = np.sort(add_m[np.isfinite(add_m)])
    possible = int(np.count_nonzero(in_frame >= MIN_KEYPOINTS_IN_FRAME))
    auc = None
    if possible:
        thresholds = np.arange(0.0, AUC_THRESHOLD_M, THRESHOLD_STEP_M)
        shares = np.searchsorted(found, thresholds, side="right") / possible
        trapezoids = shares.sum() - 0.5 * (shares[0] + shares[-1])
        auc = float(THRESHOLD_STEP_M * trapezoids / AUC_THRESHOLD_M)
    return AddMetrics(
        frames=len(add_m),
        found=len(found),
        possible=possible,
        mean_m=float(found.mean()) if len(found) else None,
        median_m=float(np.median(found)) if len(found) else None,
        auc=auc,
    )
