# SPDX-License-Identifier: Apache-2.0
"""Edges of the robot in the images themselves, to a fraction of a pixel.

Across a silhouette edge a pixel is a mixture of robot and background (alpha matting). With the
background known from other frames and the robot's colour read just inside, the edge is where the
mixing ratio falls most steeply along the normal; a symmetric blur does not move it.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.masks.from_recording import Background
from calib_all_ros.solving.gauss_newton import Measurements
from calib_all_ros.solving.mask_measurements import BORDER_PX, EDGE_OFFSET_PX
from calib_all_ros.solving.outline import Outline

SAMPLES_PER_PX = 2
# The colour inside and outside is averaged over so much at the ends of the profile.
END_PX = 1.0
MIN_CONTRAST = 12.0
FULL_CONTRAST = 40.0
# Half the width of a blurred edge.
STEP_SAMPLES = 3
# Largest mean deviation of a profile from a step blurred by about a pixel.
MAX_MISFIT = 0.15
# Light that a shadow or a reflection beside the robot may leave of the background's.
LOCAL_GAIN = (0.4, 1.3)


def measurable(
    outline: Outline,
    shape: tuple[int, ...],
    reach_px: float,
    hidden: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """Return the indices of outline points that can be measured in images of (H, W) pixels.

    Args:
        outline: Outline rendered at full image size.
        shape: Height and width of the images.
        reach_px: Edges are looked for up to so far on either side.
        hidden: (H, W) pixels at which something stands in front of the robot.
    """
    height, width = shape
    u, v = outline.pixels.T
    border = np.minimum(np.minimum(u, v), np.minimum(width - 1 - u, height - 1 - v))
    usable = (border >= reach_px + END_PX + BORDER_PX) & (np.abs(outline.normals).sum(axis=1) > 0)
    index = np.flatnonzero(usable)
    if hidden is not None:
        row, column = np.rint(v[index]).astype(int), np.rint(u[index]).astype(int)
        index = index[~hidden[row, column]]
    return index


def measure_edges(
    outline: Outline,
    images: NDArray[np.float32],
    background: Background,
    reach_px: float,
    hidden: NDArray[np.bool_] | None = None,
) -> Measurements:
    """Measure outline points in the images.

    Args:
        outline: Outline rendered at full image size.
        images: (N, H, W, 3) colours of one exposure.
        background: Background of these images; where it is unknown, the colour at the outer end
            of the profile stands in for it.
        reach_px: Edges are looked for up to so far on either side.
        hidden: (H, W) pixels at which something stands in front of the robot.
    """
    index = measurable(outline, images.shape[1:3], reach_px, hidden)
    shift = np.empty(len(index))
    weight = np.empty(len(index))
    _measure(
        outline.frame[index], outline.pixels[index], outline.normals[index], images,
        background.mean, background.known, reach_px, shift, weight,
    )  # fmt: skip
    keep = weight > 0.0
    index = index[keep]
    normals = outline.normals[index]
    # Outline pixels fill a band along the rendered edge; it is narrower where the edge is oblique.
    rendered = 0.5 * np.abs(normals).max(axis=1)
    return Measurements(index, normals, rendered - shift[keep], weight[keep])


@numba.njit(cache=True, nogil=True, inline="always")
def _sample(picture, u, v, out):  # type: ignore[no-untyped-def]
    column = int(u)
    row = int(v)
    a = u - column
    b = v - row
    for c in range(3):
        top = (1 - a) * picture[row, column, c] + a * picture[row, column + 1, c]
        low = (1 - a) * picture[row + 1, column, c] + a * picture[row + 1, column + 1, c]
        out[c] = (1 - b) * top + b * low


@numba.njit(parallel=True, cache=True, nogil=True)
def _measure(frame, pixels, normals, images, mean, known, reach, shift, weight):  # type: ignore[no-untyped-def]
    step = 1.0 / SAMPLES_PER_PX
    ends = int(END_PX * SAMPLES_PER_PX)
    middle = int(2 * reach * SAMPLES_PER_PX) + 1
    count = middle + 2 * ends
    for m in numba.prange(len(frame)):
        weight[m] = 0.0
        shift[m] = 0.0
        seen = np.empty((count, 3))
        behind = np.empty((count, 3))
        all_known = True
        for i in range(count):
            s = EDGE_OFFSET_PX - reach - END_PX + i * step
            u = pixels[m, 0] + s * normals[m, 0]
            v = pixels[m, 1] + s * normals[m, 1]
            _sample(images[frame[m]], u, v, seen[i])
            if known[int(v), int(u)] and known[int(v) + 1, int(u) + 1]:
                _sample(mean, u, v, behind[i])
            else:
                all_known = False
        robot = np.zeros(3)
        outer = np.zeros(3)
        outer_behind = np.zeros(3)
        for c in range(3):
            for i in range(ends):
                robot[c] += seen[i, c] / ends
                outer[c] += seen[count - 1 - i, c] / ends
                outer_behind[c] += behind[count - 1 - i, c] / ends
        if all_known:
            dot = 0.0
            norm = 1e-6
            for c in range(3):
                dot += outer[c] * outer_behind[c]
                norm += outer_behind[c] ** 2
            gain = min(max(dot / norm, LOCAL_GAIN[0]), LOCAL_GAIN[1])
            for i in range(count):
                for c in range(3):
                    behind[i, c] *= gain
        else:
            for i in range(count):
                for c in range(3):
                    behind[i, c] = outer[c]
        contrast = 0.0
        alpha = np.empty(middle)
        for k in range(middle):
            i = k + ends
            dot = 0.0
            norm = 1e-6
            for c in range(3):
                difference = robot[c] - behind[i, c]
                dot += (seen[i, c] - behind[i, c]) * difference
                norm += difference * difference
            alpha[k] = min(max(dot / norm, -0.2), 1.2)
            contrast += np.sqrt(norm) / middle
        if contrast < MIN_CONTRAST:
            continue
        # The steepest fall marks the edge; shading towards the rim is gradual and must not count.
        steepest = 0.0
        top = 1
        for k in range(1, middle):
            fall = alpha[k - 1] - alpha[k]
            if fall > steepest:
                steepest = fall
                top = k
        moment = 0.0
        energy = 1e-9
        for k in range(max(1, top - STEP_SAMPLES), min(middle, top + STEP_SAMPLES + 1)):
            fall = max(alpha[k - 1] - alpha[k], 0.0)
            moment += fall * fall * (-reach + (k - 0.5) * step)
            energy += fall * fall
        edge = moment / energy
        if abs(edge) > reach - 0.5:
            continue
        misfit = 0.0
        for k in range(middle):
            s = -reach + k * step - edge
            ideal = min(max(0.5 - s / 2.5, 0.0), 1.0)
            misfit += abs(alpha[k] - ideal) / middle
        if misfit > MAX_MISFIT:
            continue
        shift[m] = edge + EDGE_OFFSET_PX
        weight[m] = min(contrast / FULL_CONTRAST, 1.0) ** 2 * (1.0 - misfit / MAX_MISFIT)
