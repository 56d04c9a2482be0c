# SPDX-License-Identifier: Apache-2.0
"""Masks of the robot from the recording itself, with the model in the loop.

The camera stands still and the robot moves: once a pose says roughly which pixels the robot
covers when, the frames that do not cover a pixel show its background, and what deviates from it
near the rendered silhouette is robot. Where the background is known, a pixel is judged against it
and its shadowed version; elsewhere only colour statistics inside and outside the silhouette
speak, as in region-based tracking (Prisacariu and Reid, PWP3D, 2012; Stoiber et al., ICG, 2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

# Camera noise after JPEG; a spread estimated from few samples can be smaller by luck.
MIN_SPREAD = 3.0
MIN_SAMPLES = 3
# Of a normal distribution, over its median absolute deviation.
MAD_TO_SIGMA = 1.4826
BINS = 16
LOG_UNIFORM = -3.0 * np.log(256.0)
OUTLIER_SHARE = 0.02
HISTOGRAM_SHARE = 0.7
# Standard deviation in bins: a few thousand pixels do not fill 4096 bins.
HISTOGRAM_SMOOTHING = 0.8
# A cast shadow leaves at least this share of the light, and is this much less likely than none.
DARKEST_SHADOW = 0.45
LOG_SHADOW_PRIOR = -2.0
MAX_LOG_RATIO = 8.0
# Where the model claims robot in at least this many frames and nearly all of them look like the
# background, something stands in front of the robot.
OCCLUDED_FRAMES = 3
OCCLUDED_SHARE = 0.8
STRONG_LOG_RATIO = 4.0
SURROUNDINGS_PX = 2


@dataclass(frozen=True)
class Background:
    """What each pixel looks like without the robot.

    Attributes:
        mean: (H, W, 3) robust mean colour, 0 to 255; meaningless where unknown.
        spread: (H, W) robust standard deviation of a channel.
        samples: (H, W) in how many frames the pixel was seen without the robot.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    samples: NDArray[np.int32]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(H, W) pixels that were seen often enough."""
        return self.samples >= MIN_SAMPLES


def estimate_background(
    images: NDArray[np.float32], covered: NDArray[np.bool_], margin_px: int
) -> Background:
    """Estimate the background from the frames in which each pixel is not covered.

    Args:
        images: (N, H, W, 3) colours of one exposure.
        covered: (N, H, W) where the robot may be, with a margin for the pose's error.
        margin_px: The background is of interest up to so far from what is ever covered; farther
            away it stays unknown.
    """
    ever = np.asarray(covered.any(axis=0), dtype=np.uint8)
    size = 2 * margin_px + 1
    wanted = cv2.dilate(ever, np.ones((size, size), np.uint8)) > 0
    height, width = images.shape[1:3]
    background = Background(
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), MIN_SPREAD, np.float32),
        np.zeros((height, width), np.int32),
    )
    _estimate(images, covered, wanted, background.mean, background.spread, background.samples)
    return background


@numba.njit(parallel=True, cache=True, nogil=True)
def _estimate(images, covered, wanted, mean, spread, samples):  # type: ignore[no-untyped-def]
    count, height, width = covered.shape
    for v in numba.prange(height):
        values = np.empty(count, dtype=np.float32)
        for u in range(width):
            if not wanted[v, u]:
                continue
            total = 0.0
            seen = 0
            for channel in range(3):
                seen = 0
                for n in range(count):
                    if not covered[n, v, u]:
                        values[seen] = images[n, v, u, channel]
                        seen += 1
                if seen == 0:
                    break
                middle = np.median(values[:seen])
                mean[v, u, channel] = middle
                for n in range(seen):
                    values[n] = abs(values[n] - middle)
                total += np.median(values[:seen])
            samples[v, u] = seen
            if seen > 0:
                spread[v, u] = max(np.float32(MIN_SPREAD), np.float32(MAD_TO_SIGMA * total / 3.0))


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


def robot_log_ratio(
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
    log_ratio = np.empty(images.shape[:3], dtype=np.float32)
    _log_ratio(
        images,
        background.mean,
        background.spread,
        background.known,
        robot_log_density,
        surroundings_log_density,
        log_ratio,
    )
    return log_ratio


@numba.njit(parallel=True, cache=True, nogil=True)
def _log_ratio(images, mean, spread, known, robot, surroundings, log_ratio):  # type: ignore[no-untyped-def]
    count, height, width = log_ratio.shape
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
                log_ratio[n, v, u] = min(max(ratio, -MAX_LOG_RATIO), MAX_LOG_RATIO)


@dataclass(frozen=True)
class SegmentedFrames:
    """Masks found with the help of a rendered guess.

    Attributes:
        masks: (N, H, W) robot pixels; beyond the band around the guess they equal the guess.
        ignore: (N, H, W) pixels that say nothing: the robot may be hidden, or its background
            was never seen and its colour does not tell.
        hidden: (H, W) pixels at which something stands in front of the robot.
        log_ratio: (N, H, W) smoothed log-likelihood ratio of robot against background.
        background: The background.
    """

    masks: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    log_ratio: NDArray[np.float32]
    background: Background


def segment(
    images: NDArray[np.float32],
    rendered: NDArray[np.bool_],
    use: NDArray[np.intp],
    band_px: int,
    smoothing_px: float = 0.7,
) -> SegmentedFrames:
    """Segment some of the frames, using all of them for the background.

    Args:
        images: (N, H, W, 3) colours of one exposure.
        rendered: (N, H, W) where the current estimate says the robot is.
        use: (M,) indices of the frames to segment.
        band_px: How far the guess may be off.
        smoothing_px: Standard deviation of the Gaussian that the log ratio is smoothed by.

    Returns:
        Masks of the M frames.
    """
    grown = grown_silhouettes(rendered, band_px)
    background = estimate_background(images, grown, SURROUNDINGS_PX)
    chosen = images[use]
    inside = _per_frame(cv2.erode, rendered[use], _disc(band_px if band_px < 8 else band_px // 2))
    around = grown[use] & ~rendered[use]
    if not inside.any():
        inside = rendered[use]
    surroundings = colour_log_density(chosen, around | ~grown[use])
    uninformed = np.full_like(surroundings, np.log(1 / 256.0**3))
    # Pixels inside a rough guess that look like the background must not teach the robot's colour.
    first = robot_log_ratio(chosen, background, uninformed, surroundings)
    likely = inside & ((first > 0.0) | ~background.known)
    robot = colour_log_density(chosen, likely if likely.any() else inside)
    raw = robot_log_ratio(chosen, background, robot, surroundings)
    hidden = _hidden(raw, inside, background)
    raw[:, hidden] = 0.0
    log_ratio = np.stack([cv2.GaussianBlur(frame, (0, 0), smoothing_px) for frame in raw])
    band = grown[use] & ~inside
    masks = np.where(band, log_ratio > 0.0, rendered[use])
    undecided = ~background.known & (np.abs(log_ratio) < 1.0)
    return SegmentedFrames(masks, (hidden | undecided) & band, hidden, log_ratio, background)


def grown_silhouettes(masks: NDArray[np.bool_], margin_px: int) -> NDArray[np.bool_]:
    """Return (N, H, W) masks grown by a margin, for where the robot may be."""
    return np.asarray(_per_frame(cv2.dilate, masks, _disc(margin_px)))


def _hidden(
    log_ratio: NDArray[np.float32], inside: NDArray[np.bool_], background: Background
) -> NDArray[np.bool_]:
    """Return the (H, W) pixels at which the robot, though claimed, never shows."""
    claimed = np.count_nonzero(inside, axis=0)
    like_background = np.count_nonzero(inside & (log_ratio < -STRONG_LOG_RATIO), axis=0)
    hidden = (
        background.known
        & (claimed >= OCCLUDED_FRAMES)
        & (like_background > OCCLUDED_SHARE * claimed)
    )
    return np.asarray(cv2.dilate(hidden.astype(np.uint8), _disc(2)) > 0)


def _disc(radius: int) -> NDArray[np.uint8]:
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size), dtype=np.uint8)


def _per_frame(
    operation: Callable[..., cv2.typing.MatLike],
    masks: NDArray[np.bool_],
    element: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    return np.stack([operation(mask.astype(np.uint8), element) > 0 for mask in masks])
