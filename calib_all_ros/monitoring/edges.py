# SPDX-License-Identifier: Apache-2.0
"""Edges that move in a camera's images, and the course of a drawn outline along them.

Edges are gradients of the logarithm of the brightness, so that neither exposure nor flicker
changes them. What has been at the same place for long belongs to the background and is
suppressed; what remains is mostly the robot.
"""

from __future__ import annotations

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

# Brightness at which the logarithm turns linear: below it there is mostly noise.
DARK = 10.0
BLUR_PX = 0.8
# Gradient at which an edge counts half, where noise is lower.
MIN_GRADIENT = 0.02
NOISE_FACTOR = 2.0
# Of the temporal median deviation of two-dimensional gradients over their standard deviation.
MEDIAN_TO_SIGMA = 0.85
# Share of the newest image in the mean of the background's gradients.
LEARNING_RATE = 0.15

_LOGARITHM = np.log(np.arange(256, dtype=np.float32) + DARK)


def image_gradient(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the (H, W, 2) gradient of the strongest channel's log brightness, 1/px.

    Args:
        image: (H, W, 3).
    """
    logarithm = cv2.GaussianBlur(cv2.LUT(image, _LOGARITHM), (0, 0), BLUR_PX)
    horizontal = cv2.Sobel(logarithm, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    vertical = cv2.Sobel(logarithm, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    gradient = np.empty((*image.shape[:2], 2), dtype=np.float32)
    _strongest_channel(horizontal, vertical, gradient)
    return gradient


class MovingEdges:
    """Tells the edges of what moves from those of a still background.

    Attributes:
        noise: Standard deviation of the last image's gradients against the background's, 1/px.
    """

    def __init__(self) -> None:
        self.noise = 0.0
        self._mean: NDArray[np.float32] | None = None
        self._count = 0

    def of(self, gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (H, W, 2) unit vectors across the edges, times the root of their strength.

        The strength is between 0 and 1.

        Args:
            gradient: (H, W, 2) of one image.
        """
        edges = np.empty_like(gradient)
        if self._mean is None:
            _edges(gradient, np.zeros_like(gradient), False, 0.0, edges)
            return edges
        deviation = np.linalg.norm(gradient[::3, ::3] - self._mean[::3, ::3], axis=2)
        self.noise = float(np.median(deviation)) * MEDIAN_TO_SIGMA
        _edges(gradient, self._mean, True, self.noise, edges)
        return edges

    def learn(self, gradient: NDArray[np.float32]) -> None:
        """Add an image, in which the robot stands elsewhere than in those before it."""
        self._count += 1
        rate = max(1.0 / self._count, LEARNING_RATE)
        if self._mean is None:
            self._mean = gradient.copy()
        else:
            cv2.accumulateWeighted(gradient, self._mean, rate)

    def forget(self) -> None:
        """Begin anew, because the background is no longer where it was."""
        self._mean = None
        self._count = 0


@numba.njit(cache=True, nogil=True)
def _strongest_channel(horizontal, vertical, gradient):  # type: ignore[no-untyped-def]
    for v in range(gradient.shape[0]):
        for u in range(gradient.shape[1]):
            largest = -1.0
            for c in range(horizontal.shape[2]):
                gu = horizontal[v, u, c]
                gv = vertical[v, u, c]
                size = gu * gu + gv * gv
                if size > largest:
                    largest = size
                    gradient[v, u, 0] = gu
                    gradient[v, u, 1] = gv


@numba.njit(cache=True, nogil=True)
def _edges(gradient, mean, known, noise, edges):  # type: ignore[no-untyped-def]
    half = max(MIN_GRADIENT, NOISE_FACTOR * noise)
    for v in range(gradient.shape[0]):
        for u in range(gradient.shape[1]):
            gu = gradient[v, u, 0]
            gv = gradient[v, u, 1]
            size = np.sqrt(gu * gu + gv * gv) + 1e-9
            strength = size / (size + half)
            if known:
                change = np.sqrt((gu - mean[v, u, 0]) ** 2 + (gv - mean[v, u, 1]) ** 2)
                strength *= min(max(change - NOISE_FACTOR * noise, 0.0) / size, 1.0)
            factor = np.sqrt(strength) / size
            edges[v, u, 0] = gu * factor
            edges[v, u, 1] = gv * factor


@numba.njit(cache=True, nogil=True, inline="always")
def _agreement(edges, u, v, nu, nv):  # type: ignore[no-untyped-def]
    """Strength squared times the fourth power of the cosine; negative outside of the image."""
    column = int(np.floor(u + 0.5))
    row = int(np.floor(v + 0.5))
    if column < 0 or row < 0 or column >= edges.shape[1] or row >= edges.shape[0]:
        return -1.0
    along = nu * edges[row, column, 0] + nv * edges[row, column, 1]
    return along * along * along * along


@numba.njit(cache=True, nogil=True)
def shifted_agreement(pixels, normals, edges, reach):  # type: ignore[no-untyped-def]
    """Return how well an outline agrees with the edges, displaced by every (du, dv).

    Args:
        pixels: (M, 2) outline points.
        normals: (M, 2) unit vectors.
        edges: (H, W, 2) of `MovingEdges.of`.
        reach: Largest displacement, whole pixels.

    Returns:
        (2 reach + 1, 2 reach + 1) mean agreement, 0 to 1, rows by dv, columns by du.
    """
    size = 2 * reach + 1
    scores = np.zeros((size, size), dtype=np.float32)
    for row in range(size):
        for column in range(size):
            total = 0.0
            for m in range(len(pixels)):
                here = _agreement(
                    edges,
                    pixels[m, 0] + (column - reach),
                    pixels[m, 1] + (row - reach),
                    normals[m, 0],
                    normals[m, 1],
                )
                total += max(here, 0.0)
            scores[row, column] = total / max(len(pixels), 1)
    return scores


@numba.njit(cache=True, nogil=True)
def delayed_agreement(pixels, normals, velocity, edges, lags):  # type: ignore[no-untyped-def]
    """Return (K,) mean agreement of an outline carried along its velocity by each lag.

    Args:
        pixels: (M, 2) outline points.
        normals: (M, 2) unit vectors.
        velocity: (M, 2) their motion in px per second of lag.
        edges: (H, W, 2) of `MovingEdges.of`.
        lags: (K,) in seconds.
    """
    scores = np.zeros(len(lags), dtype=np.float32)
    for k in range(len(lags)):
        total = 0.0
        for m in range(len(pixels)):
            here = _agreement(
                edges,
                pixels[m, 0] + lags[k] * velocity[m, 0],
                pixels[m, 1] + lags[k] * velocity[m, 1],
                normals[m, 0],
                normals[m, 1],
            )
            total += max(here, 0.0)
        scores[k] = total / max(len(pixels), 1)
    return scores


@numba.njit(cache=True, nogil=True)
def strongest_along_normal(pixels, normals, edges, reach):  # type: ignore[no-untyped-def]
    """Find the strongest edge along each normal.

    Args:
        pixels: (M, 2) outline points.
        normals: (M, 2) unit vectors.
        edges: (H, W, 2) of `MovingEdges.of`.
        reach: How far to look on either side, px.

    Returns:
        (M,) signed distance to the edge along the normal, px, and (M,) its agreement, 0 where the
        image ends.
    """
    step = 0.5
    half = int(np.ceil(reach / step))
    distance = np.zeros(len(pixels))
    agreement = np.zeros(len(pixels))
    profile = np.empty(2 * half + 1)
    for m in range(len(pixels)):
        best = 0
        inside = True
        for k in range(2 * half + 1):
            s = (k - half) * step
            nu, nv = normals[m, 0], normals[m, 1]
            profile[k] = _agreement(edges, pixels[m, 0] + s * nu, pixels[m, 1] + s * nv, nu, nv)
            if profile[k] < 0.0:
                inside = False
                break
            if profile[k] > profile[best] or (
                profile[k] == profile[best] and abs(k - half) < abs(best - half)
            ):
                best = k
        if not inside or profile[best] <= 0.0:
            continue
        moment = 0.0
        mass = 0.0
        for k in range(max(0, best - 3), min(2 * half + 1, best + 4)):
            moment += profile[k] * (k - half) * step
            mass += profile[k]
        distance[m] = moment / mass
        agreement[m] = profile[best]
    return distance, agreement
