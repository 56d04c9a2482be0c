# SPDX-License-Identifier: Apache-2.0
"""The outline of a silhouette as a list of pixels with outward normals."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

NORMAL_RADIUS_PX = 3


@dataclass(frozen=True)
class Contour:
    """The outermost robot pixels of N silhouettes.

    The true edge runs on average half a pixel outside these pixel centres.

    Attributes:
        frame: (M,) index of the silhouette each pixel belongs to, ascending.
        pixels: (M, 2) integer-valued pixel coordinates (u, v).
        normals: (M, 2) unit vectors pointing out of the robot; zero where undefined.
    """

    frame: NDArray[np.int32]
    pixels: NDArray[np.int32]
    normals: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Contour:
        """Return the contour reduced to the chosen pixels."""
        return Contour(self.frame[which], self.pixels[which], self.normals[which])


def find_contours(masks: NDArray[np.bool_]) -> Contour:
    """Find the outline pixels of (N, H, W) masks.

    A robot pixel is on the outline when one of its four neighbours inside the picture is not
    robot; where a silhouette is cut by the picture's border there is no outline.
    """
    masks = np.ascontiguousarray(masks)
    counts = np.empty(masks.shape[0], dtype=np.int64)
    _count_outline(masks, counts)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    frame = np.repeat(np.arange(masks.shape[0], dtype=np.int32), counts)
    pixels = np.empty((total, 2), dtype=np.int32)
    normals = np.empty((total, 2), dtype=np.float32)
    _collect_outline(masks, ends - counts, pixels, normals)
    return Contour(frame, pixels, normals)


@numba.njit(cache=True, nogil=True, inline="always")
def _is_outline(mask, v, u):  # type: ignore[no-untyped-def]
    height, width = mask.shape
    return mask[v, u] and (
        (u > 0 and not mask[v, u - 1])
        or (u + 1 < width and not mask[v, u + 1])
        or (v > 0 and not mask[v - 1, u])
        or (v + 1 < height and not mask[v + 1, u])
    )


@numba.njit(parallel=True, cache=True, nogil=True)
def _count_outline(masks, counts):  # type: ignore[no-untyped-def]
    for n in numba.prange(masks.shape[0]):
        count = 0
        for v in range(masks.shape[1]):
            for u in range(masks.shape[2]):
                if masks[n, v, u] and _is_outline(masks[n], v, u):
                    count += 1
        counts[n] = count


@numba.njit(parallel=True, cache=True, nogil=True)
def _collect_outline(masks, starts, pixels, normals):  # type: ignore[no-untyped-def]
    height, width = masks.shape[1:]
    r = NORMAL_RADIUS_PX
    for n in numba.prange(masks.shape[0]):
        mask = masks[n]
        m = starts[n]
        for v in range(height):
            for u in range(width):
                if not mask[v, u] or not _is_outline(mask, v, u):
                    continue
                # The gradient of a disc-shaped average points into the robot.
                gu = 0.0
                gv = 0.0
                for dv in range(-r, r + 1):
                    for du in range(-r, r + 1):
                        if du * du + dv * dv > r * r + 1:
                            continue
                        uu = min(max(u + du, 0), width - 1)
                        vv = min(max(v + dv, 0), height - 1)
                        if mask[vv, uu]:
                            gu += du
                            gv += dv
                norm = np.sqrt(gu * gu + gv * gv)
                pixels[m, 0] = u
                pixels[m, 1] = v
                normals[m, 0] = -gu / norm if norm > 0 else 0.0
                normals[m, 1] = -gv / norm if norm > 0 else 0.0
                m += 1
