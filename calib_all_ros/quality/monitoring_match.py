# SPDX-License-Identifier: Apache-2.0
"""Where a drawn outline meets the edges of an image, and how much of that is chance."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.quality.monitoring_edges import strongest_along_normal
from calib_all_ros.solving.gauss_newton import Measurements
from calib_all_ros.solving.outline import Outline

MAX_POINTS = 240
# An edge belongs to the outline when it is this close, working pixels.
CLOSE_PX = 1.0
# Displacements at which an outline meets edges by chance only, working pixels.
ELSEWHERE_PX = 12.0 * np.array(
    [[1, 0], [0, 1], [-1, 0], [0, -1], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7], [-0.7, -0.7]]
)
BORDER_PX = 2.0


def in_view(outline: Outline, camera: Camera, number: int = 0) -> NDArray[np.intp]:
    """Return at most `MAX_POINTS` indices of outline points of one frame inside the image."""
    begin, end = np.searchsorted(outline.frame, [number, number + 1])
    u, v = outline.pixels[begin:end].T
    border = np.minimum(np.minimum(u, v), np.minimum(camera.width - 1 - u, camera.height - 1 - v))
    sloped = np.abs(outline.normals[begin:end]).sum(axis=1) > 0
    index = begin + np.flatnonzero((border >= BORDER_PX) & sloped)
    every = max(1, -(-len(index) // MAX_POINTS))
    return np.asarray(index[::every])


def edge_points(
    outline: Outline, index: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (M, 2) points on the true edge, which is outside of the outline pixels' centres."""
    normals = outline.normals[index]
    outside = 0.5 * np.abs(normals).max(axis=1, keepdims=True)
    return outline.pixels[index] + outside * normals, normals


def match_edges(
    outline: Outline, edges: NDArray[np.float32], camera: Camera, reach_px: float
) -> Measurements:
    """Measure how far the edges are from the outline of N frames, along its normals.

    Args:
        outline: Outline in all frames.
        edges: (N, H, W, 2) their moving edges.
        camera: Pinhole camera of the frames.
        reach_px: How far edges are looked for on either side.
    """
    parts = []
    for number, picture in enumerate(edges):
        index = in_view(outline, camera, number)
        pixels, normals = edge_points(outline, index)
        distance, agreement = strongest_along_normal(pixels, normals, picture, reach_px)
        found = agreement > 0.0
        parts.append(Measurements(index[found], normals[found], -distance[found], agreement[found]))
    return reduce(Measurements.joined, parts)


def support_and_agreement(
    pixels: NDArray[np.float64], normals: NDArray[np.float64], edges: NDArray[np.float32]
) -> tuple[float, float]:
    """Return how much better the outline agrees with the edges than by chance, and how well.

    Chance is what it finds at displacements that are certainly wrong.
    """
    here = mean_agreement(pixels, normals, edges)
    elsewhere = [mean_agreement(pixels + offset, normals, edges) for offset in ELSEWHERE_PX]
    return here - float(np.mean(elsewhere)), here


def mean_agreement(
    pixels: NDArray[np.float64], normals: NDArray[np.float64], edges: NDArray[np.float32]
) -> float:
    """Return how well (M, 2) points agree with edges close to them, 0 to 1."""
    return float(np.mean(strongest_along_normal(pixels, normals, edges, CLOSE_PX)[1]))
