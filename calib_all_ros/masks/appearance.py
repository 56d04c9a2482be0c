# SPDX-License-Identifier: Apache-2.0
"""How likely each pixel shows the robot rather than the background.

Where the background is known, a pixel is judged against it and its shadowed version; elsewhere
only colour statistics inside and outside the rendered silhouette speak, as in region-based
tracking (Prisacariu and Reid, PWP3D, 2012; Stoiber et al., ICG, 2022).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from calib_all_ros.masks.background import Background

BINS = 16
LOG_UNIFORM = -3.0 * np.log(256.0)
OUTLIER_SHARE = 0.02
HISTOGRAM_SHARE = 0.7
# Standard deviation in bins: a few thousand pixels do not fill 4096 bins.
HISTOGRAM_SMOOTHING = 0.8
# A cast shadow leaves at least this share of the light, and is this much less likely than none.
DARKEST_SHADOW = 0.45
LOG_SHADOW_PRIOR = -2.0
MAX_EVIDENCE = 8.0


def colour_log_density(
    images: NDArray[np.float32], weights: NDArray[np.floating] | NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the (16, 16, 16) log density of the colours of weighted pixels.

    Args:
        images: (..., 3) colours, 0 to 255.
        weights: (...) non-negative weight of each pixel.
    """
    bins = np.clip(images.reshape(-1, 3) * (BINS / 256.0), 0, BINS - 1).astype(np.int64)
    index = (bins[:, 0] * BINS + bins[:, 1]) * BINS + bins[:, 2]
    counts = np.bincount(index, weights.reshape(-1), BINS**3).reshape(BINS, BINS, BINS)
    counts = gaussian_filter(counts, HISTOGRAM_SMOOTHING, mode="nearest")
    share = counts / max(float(counts.sum()), 1e-9)
    density = HISTOGRAM_SHARE * share * (BINS / 256.0) ** 3 + (1 - HISTOGRAM_SHARE) * np.exp(
        LOG_UNIFORM
    )
    return np.ascontiguousarray(np.log(density), dtype=np.float32)


def robot_evidence(
    images: NDArray[np.float32],
    background: Background,
    robot_log_density: NDArray[np.float32],
    surroundings_log_density: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the (N, H, W) log-likelihood ratio of robot against background, clipped to +-8.

    Args:
        images: (N, H, W, 3) colours of one exposure.
        background: The background of these images.
        robot_log_density: Colours of the robot.
        surroundings_log_density: Colours of the background around the robot, for pixels whose
            own background was never seen.
    """
    evidence = np.empty(images.shape[:3], dtype=np.float32)
    _evidence(
        images,
        background.mean,
        background.spread,
        background.known,
        robot_log_density,
        surroundings_log_density,
        evidence,
    )
    return evidence


@numba.njit(parallel=True, cache=True, nogil=True)
def _evidence(images, mean, spread, known, robot, surroundings, evidence):  # type: ignore[no-untyped-def]
    count, height, width = evidence.shape
    for v in numba.prange(height):
        for u in range(width):
            sigma = spread[v, u]
            log_normal = -3.0 * np.log(sigma * 2.5066)
            b0, b1, b2 = mean[v, u, 0], mean[v, u, 1], mean[v, u, 2]
            bb = max(b0 * b0 + b1 * b1 + b2 * b2, 1.0)
            for n in range(count):
                r, g, b = images[n, v, u, 0], images[n, v, u, 1], images[n, v, u, 2]
                i = min(max(int(r * BINS / 256.0), 0), BINS - 1)
                j = min(max(int(g * BINS / 256.0), 0), BINS - 1)
                k = min(max(int(b * BINS / 256.0), 0), BINS - 1)
                if known[v, u]:
                    plain = ((r - b0) ** 2 + (g - b1) ** 2 + (b - b2) ** 2) / (2 * sigma * sigma)
                    s = min(max((r * b0 + g * b1 + b * b2) / bb, DARKEST_SHADOW), 1.0)
                    # A shadow may have any depth: its density is spread over that range.
                    depth = (1.0 - DARKEST_SHADOW) * np.sqrt(bb) / (sigma * 2.5066)
                    shaded = np.log(max(depth, 1.0)) + (
                        (r - s * b0) ** 2 + (g - s * b1) ** 2 + (b - s * b2) ** 2
                    ) / (2 * sigma * sigma)
                    behind = log_normal + np.log(
                        np.exp(-plain)
                        + np.exp(LOG_SHADOW_PRIOR - shaded)
                        + OUTLIER_SHARE * np.exp(LOG_UNIFORM - log_normal)
                    )
                else:
                    behind = surroundings[i, j, k]
                ratio = robot[i, j, k] - behind
                evidence[n, v, u] = min(max(ratio, -MAX_EVIDENCE), MAX_EVIDENCE)
