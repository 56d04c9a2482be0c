# SPDX-License-Identifier: Apache-2.0
"""Comparison of a rendered outline with masks, in both directions.

Each rendered outline pixel is measured in the signed distance field of the mask, and each
outline pixel of the mask against the nearest rendered one. One direction alone collapses: a
silhouette shrunk to nothing has no outline left to disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from calib_all_ros.geometry.rectification import shrink_mask
from calib_all_ros.rendering.contour import Contour, find_contours
from calib_all_ros.solving.gauss_newton import Measurements
from calib_all_ros.solving.outline import Outline

BORDER_PX = 2
# An outline pixel lies inside the silhouette; the edge itself is half a pixel further out.
EDGE_OFFSET_PX = 0.5


@dataclass(frozen=True)
class MaskTargets:
    """Masks prepared for comparison at one image size.

    Attributes:
        masks: (N, H, W) robot pixels.
        distance: (N, H, W) signed distance to the mask's edge in pixels, negative inside.
        contour: Outline of the masks, without what lies on the image border or in ``ignore``.
        usable: (N,) frames whose mask shows both robot and background.
        ignore: (N, H, W) pixels that say nothing, or None.
    """

    masks: NDArray[np.bool_]
    distance: NDArray[np.float32]
    contour: Contour
    usable: NDArray[np.bool_]
    ignore: NDArray[np.bool_] | None = None


def prepare_targets(
    masks: NDArray[np.bool_], scale: float = 1.0, ignore: NDArray[np.bool_] | None = None
) -> MaskTargets:
    """Prepare (N, H, W) masks at ``scale`` times their size.

    Args:
        masks: Robot pixels.
        scale: At most 1; the resized masks follow the pixel-centre rule of `Camera.scaled`.
        ignore: (N, H, W) pixels whose mask value is unknown.
    """
    if scale != 1.0:
        masks = np.stack([shrink_mask(mask, scale) for mask in masks])
        if ignore is not None:
            ignore = np.stack([shrink_mask(mask, scale) for mask in ignore])
    contour = find_contours(masks)
    u, v = contour.pixels.T
    height, width = masks.shape[1:]
    inside = (
        (u >= BORDER_PX) & (v >= BORDER_PX) & (u < width - BORDER_PX) & (v < height - BORDER_PX)
    )
    if ignore is not None:
        inside &= ~ignore[contour.frame, v, u]
    robot = masks.reshape(len(masks), -1)
    return MaskTargets(
        masks=masks,
        distance=np.stack([signed_distance(mask) for mask in masks]),
        contour=contour.take(inside),
        usable=np.asarray(robot.any(axis=1) & ~robot.all(axis=1)),
        ignore=ignore,
    )


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the (H, W) distance of each pixel centre to the mask's edge, negative inside.

    The edge runs midway between neighbouring pixels of different kind.
    """
    image = mask.astype(np.uint8)
    inside = cv2.distanceTransform(image, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - image, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(mask, EDGE_OFFSET_PX - inside, outside - EDGE_OFFSET_PX).astype(np.float32)


def measure_forward(
    outline: Outline,
    targets: MaskTargets,
    bias_px: float | NDArray[np.float64],
    frame_weight: NDArray[np.float64],
) -> Measurements:
    """Measure rendered outline pixels in the distance fields of the masks.

    Args:
        outline: The rendered outline, at the size of ``targets``.
        targets: The masks.
        bias_px: How much too fat the masks are believed to be, in these pixels; for all or (N,).
        frame_weight: (N,) weight of each frame.
    """
    height, width = targets.masks.shape[1:]
    u, v = outline.pixels.T
    border = np.minimum(np.minimum(u, v), np.minimum(width - 1 - u, height - 1 - v))
    index = np.flatnonzero((border >= BORDER_PX) & targets.usable[outline.frame])
    frame = outline.frame[index]
    column = np.rint(u[index]).astype(np.intp)
    row = np.rint(v[index]).astype(np.intp)
    field = targets.distance
    # With lens-free pixels at integer places no interpolation is needed: the render sits on them.
    direction = np.stack(
        [
            field[frame, row, column + 1] - field[frame, row, column - 1],
            field[frame, row + 1, column] - field[frame, row - 1, column],
        ],
        axis=1,
    ).astype(np.float64)
    norm = np.linalg.norm(direction, axis=1)
    direction /= np.maximum(norm, 1e-9)[:, None]
    bias = np.broadcast_to(bias_px, len(targets.masks))
    residual = field[frame, row, column].astype(np.float64) + EDGE_OFFSET_PX + bias[frame]
    agreement = np.einsum("ki,ki->k", direction, outline.normals[index])
    weight = np.maximum(agreement, 0.0) ** 2 * frame_weight[frame]
    # What lies beyond the border is unknown: the true edge may be there, and nearer.
    keep = (weight > 0.0) & (norm > 0.2) & (np.abs(residual) <= border[index])
    if targets.ignore is not None:
        keep &= ~targets.ignore[frame, row, column]
    return Measurements(index[keep], direction[keep], residual[keep], weight[keep])


def measure_backward(
    outline: Outline,
    targets: MaskTargets,
    bias_px: float | NDArray[np.float64],
    frame_weight: NDArray[np.float64],
) -> Measurements:
    """Measure the masks' outline pixels against the nearest rendered ones; as `measure_forward`."""
    indices, residuals, weights = [], [], []
    contour = targets.contour
    bias = np.broadcast_to(bias_px, len(targets.masks))
    for n in range(len(targets.masks)):
        if not targets.usable[n] or frame_weight[n] <= 0.0:
            continue
        start, stop = np.searchsorted(outline.frame, [n, n + 1])
        first, last = np.searchsorted(contour.frame, [n, n + 1])
        if start == stop or first == last:
            continue
        target = contour.pixels[first:last].astype(np.float64)
        _, nearest = cKDTree(outline.pixels[start:stop]).query(target)
        index = nearest + start
        normal = outline.normals[index]
        residuals.append(np.einsum("ki,ki->k", normal, outline.pixels[index] - target) + bias[n])
        agreement = np.einsum("ki,ki->k", normal, contour.normals[first:last].astype(np.float64))
        weights.append(np.maximum(agreement, 0.0) ** 2 * frame_weight[n])
        indices.append(index)
    if not indices:
        return Measurements(np.empty(0, np.intp), np.empty((0, 2)), np.empty(0), np.empty(0))
    index = np.concatenate(indices)
    return Measurements(
        index, outline.normals[index], np.concatenate(residuals), np.concatenate(weights)
    )


def outline_share(
    outline: Outline,
    targets: MaskTargets,
    bias_px: float | NDArray[np.float64],
    tolerance_px: float,
) -> NDArray[np.float64]:
    """Return the (N,) share of each rendered outline that runs along the mask's.

    False blobs do not lower it, and a part that the mask misses lowers it only by its own length,
    so it tells bad masks from a bad pose better than the overlap does. NaN where no outline is in
    view.
    """
    height, width = targets.masks.shape[1:]
    column, row = np.rint(outline.pixels).astype(np.intp).T
    seen = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    if targets.ignore is not None:
        seen[seen] &= ~targets.ignore[outline.frame[seen], row[seen], column[seen]]
    frame = outline.frame[seen]
    bias = np.broadcast_to(bias_px, len(targets.masks))
    distance = targets.distance[frame, row[seen], column[seen]] + EDGE_OFFSET_PX + bias[frame]
    total = np.bincount(frame, minlength=len(targets.masks))
    close = np.bincount(frame[np.abs(distance) < tolerance_px], minlength=len(targets.masks))
    return np.where(total > 0, close / np.maximum(total, 1), np.nan)


def intersection_over_union(
    first: NDArray[np.bool_], second: NDArray[np.bool_], ignore: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the (N,) overlap of two stacks of (N, H, W) masks, 1 where both are empty."""
    axes = (1, 2)
    both, either = first & second, first | second
    if ignore is not None:
        both, either = both & ~ignore, either & ~ignore
    union = np.count_nonzero(either, axis=axes)
    return np.where(union > 0, np.count_nonzero(both, axis=axes) / np.maximum(union, 1), 1.0)
