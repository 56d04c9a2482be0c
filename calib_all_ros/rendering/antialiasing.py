# SPDX-License-Identifier: Apache-2.0
"""Outline of a rendered silhouette between pixel centres, and its derivatives.

What nvdiffrast's anti-aliasing rests on (Laine et al., "Modular Primitives for High-Performance
Differentiable Rendering", 2020, section 3.6), for silhouettes against the background. nvdiffrast
misses outlines of triangles that no pixel centre shows; here all of them count.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.rendering.rasteriser import NEAR_M
from calib_all_ros.robot.surface import RobotSurface

# An edge that two faces share can be part of the outline; one of any other number always may be.
_NO_FACE = -1


def mesh_edges(surface: RobotSurface) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the edges of a mesh and the faces that share them.

    Returns:
        (E, 2) vertices of each edge, and (E, 2) its two faces; -1 where it does not have exactly
        two.
    """
    corners = np.concatenate([surface.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    face = np.tile(np.arange(len(surface.faces), dtype=np.int32), 3)
    edges, which, counts = np.unique(
        np.sort(corners, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(which.reshape(-1), kind="stable")
    first = np.cumsum(counts) - counts
    faces = np.full((len(edges), 2), _NO_FACE, dtype=np.int32)
    shared = counts == 2
    faces[shared, 0] = face[order[first[shared]]]
    faces[shared, 1] = face[order[first[shared] + 1]]
    return edges.astype(np.int32), faces


@numba.njit(cache=True, nogil=True)
def project_vertices(vertices, link_of_vertex, T, K):  # type: ignore[no-untyped-def]
    """Return (V, 2) pixels and (V, 3) points in the optical frame; NaN where not in front."""
    count = vertices.shape[0]
    points = np.empty((count, 3))
    pixels = np.empty((count, 2))
    for i in range(count):
        M = T[link_of_vertex[i]]
        a, b, c = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(3):
            points[i, k] = M[k, 0] * a + M[k, 1] * b + M[k, 2] * c + M[k, 3]
        if points[i, 2] > NEAR_M:
            pixels[i, 0] = K[0, 0] * points[i, 0] / points[i, 2] + K[0, 2]
            pixels[i, 1] = K[1, 1] * points[i, 1] / points[i, 2] + K[1, 2]
        else:
            pixels[i] = np.nan
    return pixels, points


@numba.njit(cache=True, nogil=True)
def outline_crossings(pixels, points, faces, edges, edge_faces, K, mask):  # type: ignore[no-untyped-def]
    """Find where the outline passes between two neighbouring pixel centres.

    As in nvdiffrast, an edge that is rather upright is looked for between horizontal neighbours,
    any other between vertical ones.

    Returns:
        (C, 7) for each crossing: its place, 0 at the covered pixel's centre and 1 at the other's;
        the derivative of the place with respect to the edge's point there (3, 1/m); that point (3,
        optical frame, m). And (C, 4): row and column of the covered pixel, and of the other.
    """
    height, width = mask.shape
    # For every pixel, the crossing on its way to the right and down; the outermost one counts.
    slot = np.full((2, height, width), -1, dtype=np.int32)
    capacity = 4096
    crossings = np.empty((capacity, 7))
    rows = np.empty((capacity, 4), dtype=np.int32)
    count = 0
    front = np.empty(faces.shape[0], dtype=np.bool_)
    for f in range(faces.shape[0]):
        i, j, k = faces[f]
        front[f] = (pixels[j, 0] - pixels[i, 0]) * (pixels[k, 1] - pixels[i, 1]) > (
            pixels[k, 0] - pixels[i, 0]
        ) * (pixels[j, 1] - pixels[i, 1])
    for e in range(edges.shape[0]):
        f, g = edge_faces[e]
        if f >= 0 and front[f] == front[g]:
            continue
        a, b = edges[e]
        if np.isnan(pixels[a, 0]) or np.isnan(pixels[b, 0]):
            continue
        for axis in range(2):
            # Crossings with rows (axis 0) lie between neighbours in u, with columns in v.
            along, across = axis, 1 - axis
            low, high = pixels[a, across], pixels[b, across]
            span = abs(high - low)
            lean = abs(pixels[b, along] - pixels[a, along])
            if span < lean or (span == lean and axis == 1):
                continue
            if span == 0.0:
                continue
            limit = height if axis == 0 else width
            reach = width if axis == 0 else height
            slope = (pixels[b, along] - pixels[a, along]) / (high - low)
            first = max(0, int(np.ceil(min(low, high))))
            last = min(limit - 1, int(np.floor(max(low, high))))
            for line in range(first, last + 1):
                share = (line - low) / (high - low)
                place = pixels[a, along] + (line - low) * slope
                before = int(np.floor(place))
                if before < 0 or before + 1 >= reach:
                    continue
                v, u = (line, before) if axis == 0 else (before, line)
                v_next, u_next = (v, u + 1) if axis == 0 else (v + 1, u)
                if mask[v, u] == mask[v_next, u_next]:
                    continue
                outward = 1.0 if mask[v, u] else -1.0
                fraction = place - before if outward > 0 else before + 1 - place
                m = slot[axis, v, u]
                if m >= 0 and crossings[m, 0] >= fraction:
                    continue
                if m < 0:
                    m = count
                    count += 1
                    slot[axis, v, u] = m
                    if m == capacity:
                        capacity *= 2
                        crossings = _grown(crossings, capacity)
                        rows = _grown(rows, capacity)
                if outward > 0:
                    rows[m] = v, u, v_next, u_next
                else:
                    rows[m] = v_next, u_next, v, u
                # The inverse depth is affine in the image.
                z = 1.0 / ((1.0 - share) / points[a, 2] + share / points[b, 2])
                u_here, v_here = (place, float(line)) if axis == 0 else (float(line), place)
                x_n = (u_here - K[0, 2]) / K[0, 0]
                y_n = (v_here - K[1, 2]) / K[1, 1]
                # The place moves with the edge's motion along the line, less what the edge's
                # motion across the line brings at its slope.
                du, dv = (1.0, -slope) if axis == 0 else (-slope, 1.0)
                crossings[m, 0] = fraction
                crossings[m, 1] = outward * du * K[0, 0] / z
                crossings[m, 2] = outward * dv * K[1, 1] / z
                crossings[m, 3] = -(crossings[m, 1] * x_n + crossings[m, 2] * y_n)
                crossings[m, 4] = x_n * z
                crossings[m, 5] = y_n * z
                crossings[m, 6] = z
    return crossings[:count], rows[:count]


@numba.njit(cache=True, nogil=True)
def _grown(array, capacity):  # type: ignore[no-untyped-def]
    larger = np.empty((capacity, array.shape[1]), dtype=array.dtype)
    larger[: array.shape[0]] = array
    return larger
