# SPDX-License-Identifier: Apache-2.0
"""Fit silhouettes by gradient descent on the squared mask loss: the refinement of CalibAll.

The paper (section 3.3, as EasyHeC before it) renders the robot with nvdiffrast and runs Adam for
10,000 iterations. Here the silhouette comes from the CPU rasteriser, its edges are anti-aliased
as by nvdiffrast (Laine et al., "Modular Primitives for High-Performance Differentiable
Rendering", 2020, section 3.6), and the gradient is analytic. It serves as the yardstick for
`silhouette_fit`, and as the answer to "what would the paper's method have said?".

The paper's weight decay is left out: it pulls the pose towards an arbitrary origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import NEAR_M, silhouettes
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

# An edge that two faces share can be part of the outline; one of any other number always may be.
_NO_FACE = -1


@dataclass(frozen=True)
class AdamSettings:
    """Settings of the descent (Kingma and Ba 2015).

    Attributes:
        steps: Iterations; there is no other end.
        learning_rate: Largest step of each parameter, radians and metres.
        beta1: Decay of the mean gradient.
        beta2: Decay of the mean squared gradient.
        epsilon: Keeps the division finite; the loss is a mean over pixels.
        detail_m: Details of the robot's mesh smaller than this are left out.
    """

    steps: int = 10_000
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-12
    detail_m: float = 0.001


@dataclass(frozen=True)
class AdamFit:
    """The outcome.

    Attributes:
        estimate: The iterate with the smallest loss.
        loss: (steps + 1,) mean squared difference of the masks at every iterate.
        best_step: Index of the iterate that was kept.
        iou: (N,) overlap of rendered and observed silhouettes.
    """

    estimate: Estimate
    loss: NDArray[np.float64]
    best_step: int
    iou: NDArray[np.float64]


@dataclass(frozen=True)
class MaskLoss:
    """The loss at one estimate.

    Attributes:
        value: Mean over frames and pixels of (coverage - mask)^2.
        gradient: (6,) derivative with respect to the twist of `Estimate.moved` about ``centre``.
        coverage: (N, H, W) anti-aliased silhouettes.
    """

    value: float
    gradient: NDArray[np.float64]
    coverage: NDArray[np.float32] = field(repr=False)


class MaskObjective:
    """The squared mask loss of one problem, and its gradient."""

    def __init__(self, problem: SilhouetteProblem, detail_m: float = 0.0) -> None:
        """Prepare the edges of the robot's mesh.

        Args:
            problem: The masks and the robot; masked-out pixels count as agreeing.
            detail_m: Details of the mesh smaller than this are left out.
        """
        self._problem = problem
        self._surface = problem.surface.simplified(detail_m)
        self._edges, self._edge_faces = mesh_edges(self._surface)
        shown = np.ones(problem.masks.shape, bool) if problem.ignore is None else ~problem.ignore
        self._weights = shown * problem.weights()[:, None, None].astype(np.float32)

    def centre(self, estimate: Estimate) -> NDArray[np.float64]:
        """Return the (3,) mean position of the links, optical frame: what a twist turns about."""
        T_base_link = estimate.link_poses(self._problem.motion)
        seen = np.unique(self._surface.link_of_vertex)
        middle = T_base_link[:, seen, :3, 3].mean(axis=(0, 1))
        T = estimate.T_camera_base
        return np.asarray(T[:3, :3] @ middle + T[:3, 3])

    def evaluate(self, estimate: Estimate, centre: NDArray[np.float64]) -> MaskLoss:
        """Return loss and gradient.

        Args:
            estimate: Where to evaluate.
            centre: (3,) point about which the twist turns, optical frame.
        """
        problem, surface = self._problem, self._surface
        camera: Camera = estimate.camera(problem.camera)
        T = estimate.T_camera_base @ estimate.link_poses(problem.motion)
        masks = silhouettes(surface, T, camera)
        coverage = np.empty(masks.shape, dtype=np.float32)
        losses = np.empty(len(masks))
        gradients = np.empty((len(masks), POSE_SIZE))
        _evaluate_frames(
            surface.vertices,
            surface.link_of_vertex,
            surface.faces,
            self._edges,
            self._edge_faces,
            np.ascontiguousarray(T[:, :, :3, :]),
            camera.K,
            masks,
            problem.masks,
            self._weights,
            np.asarray(centre, dtype=np.float64),
            coverage,
            losses,
            gradients,
        )
        return MaskLoss(
            float(losses.sum() / masks.size), gradients.sum(axis=0) / masks.size, coverage
        )


def fit_adam(
    problem: SilhouetteProblem,
    start: Estimate,
    settings: AdamSettings = AdamSettings(),
    on_step: Callable[[Estimate, float], None] | None = None,
) -> AdamFit:
    """Fit the camera pose to masks by Adam; the best iterate is kept, not the last.

    Args:
        problem: The masks and the robot.
        start: Where to start; its nuisances stay as they are.
        settings: Settings of the descent.
        on_step: Called with every estimate and its loss.
    """
    objective = MaskObjective(problem, settings.detail_m)
    centre = objective.centre(start)
    estimate = best = start
    losses = np.empty(settings.steps + 1)
    best_step = 0
    mean = np.zeros(POSE_SIZE)
    square = np.zeros(POSE_SIZE)
    for step in range(settings.steps + 1):
        loss = objective.evaluate(estimate, centre)
        losses[step] = loss.value
        if loss.value < losses[best_step]:
            best, best_step = estimate, step
        if on_step:
            on_step(estimate, loss.value)
        mean += (1.0 - settings.beta1) * (loss.gradient - mean)
        square += (1.0 - settings.beta2) * (loss.gradient**2 - square)
        unbiased_mean = mean / (1.0 - settings.beta1 ** (step + 1))
        unbiased_square = square / (1.0 - settings.beta2 ** (step + 1))
        move = unbiased_mean / (np.sqrt(unbiased_square) + settings.epsilon)
        # The twist is taken about a fixed point that moves with the robot.
        twist = -settings.learning_rate * move
        estimate = estimate.moved(twist, centre)
        centre = centre + twist[3:]
    T = best.T_camera_base @ best.link_poses(problem.motion)
    rendered = silhouettes(problem.surface, T, best.camera(problem.camera))
    return AdamFit(
        estimate=best,
        loss=losses,
        best_step=best_step,
        iou=intersection_over_union(rendered, problem.masks, problem.ignore),
    )


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


@numba.njit(parallel=True, cache=True, nogil=True)
def _evaluate_frames(  # type: ignore[no-untyped-def]
    vertices, link_of_vertex, faces, edges, edge_faces, T, K, masks, targets, weights, centre,
    coverage, losses, gradients,
):  # fmt: skip
    for n in numba.prange(T.shape[0]):
        pixels, points = _project(vertices, link_of_vertex, T[n], K)
        crossings, rows = _outline_crossings(pixels, points, faces, edges, edge_faces, K, masks[n])
        losses[n] = _antialiased_loss(
            crossings, rows, masks[n], targets[n], weights[n], centre, coverage[n], gradients[n]
        )


@numba.njit(cache=True, nogil=True)
def _project(vertices, link_of_vertex, T, K):  # type: ignore[no-untyped-def]
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
def _outline_crossings(pixels, points, faces, edges, edge_faces, K, mask):  # type: ignore[no-untyped-def]
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


@numba.njit(cache=True, nogil=True)
def _antialiased_loss(  # type: ignore[no-untyped-def]
    crossings, rows, mask, target, weight, centre, coverage, gradient
):
    """Blend the pixels on either side of the outline; return the summed loss of one frame."""
    height, width = mask.shape
    for v in range(height):
        for u in range(width):
            coverage[v, u] = 1.0 if mask[v, u] else 0.0
    for m in range(crossings.shape[0]):
        fraction = crossings[m, 0]
        # Beyond the middle the robot reaches into the other pixel, else it leaves some of its own.
        side = 2 if fraction > 0.5 else 0
        coverage[rows[m, side], rows[m, side + 1]] += fraction - 0.5
    loss = 0.0
    for v in range(height):
        for u in range(width):
            error = coverage[v, u] - (1.0 if target[v, u] else 0.0)
            loss += weight[v, u] * error * error
    gradient[:] = 0.0
    arm = np.empty(3)
    for m in range(crossings.shape[0]):
        side = 2 if crossings[m, 0] > 0.5 else 0
        v, u = rows[m, side], rows[m, side + 1]
        error = coverage[v, u] - (1.0 if target[v, u] else 0.0)
        pull = 2.0 * weight[v, u] * error
        d = crossings[m, 1:4]
        for k in range(3):
            arm[k] = crossings[m, 4 + k] - centre[k]
            gradient[3 + k] += pull * d[k]
        gradient[0] += pull * (arm[1] * d[2] - arm[2] * d[1])
        gradient[1] += pull * (arm[2] * d[0] - arm[0] * d[2])
        gradient[2] += pull * (arm[0] * d[1] - arm[1] * d[0])
    return loss
