# SPDX-License-Identifier: Apache-2.0
"""The squared mask loss of CalibAll (section 3.3, as EasyHeC before it) and its gradient.

Here the silhouette comes from the CPU rasteriser, its edges are anti-aliased as by nvdiffrast, and
the gradient is analytic; `nvdiffrast_mask_loss` is the same on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.rendering.antialiasing import mesh_edges, outline_crossings, project_vertices
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast, clip_matrix
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem


class NvdiffrastMaskLoss:
    """A `mask_loss.MaskObjective`.

    Points, masks and weights stay on the GPU; one matrix goes there at each evaluation, and 17
    numbers come back. nvdiffrast differentiates with respect to the corners in clip space; from
    there to the pose it is one product of matrices.
    """

    def __init__(
        self,
        problem: SilhouetteProblem,
        nuisances: Estimate,
        renderer: Nvdiffrast,
        detail_m: float = 0.0,
    ) -> None:
        """Copy the problem to the GPU.

        Args:
            problem: The masks and the robot.
            nuisances: An estimate whose lags, focal scale and joint offsets hold.
            renderer: Draws.
            detail_m: Details of the mesh smaller than this are left out.
        """
        surface = problem.surface.simplified(detail_m)
        self._renderer = renderer
        self._size = problem.masks.size
        self._camera = nuisances.camera(problem.camera)
        self._clip = clip_matrix(self._camera)
        self._faces = renderer.meshes.of(surface).faces
        self._topology = renderer.library.antialias_construct_topology_hash(self._faces)
        T_base_link = nuisances.link_poses(problem.motion)
        masks = problem.masks[..., None].astype(np.float32)
        weights = pixel_weights(problem)[..., None]
        self._batches = [
            (
                renderer.meshes.points(surface, T_base_link[part]).float(),
                renderer.meshes.tensor(masks[part]),
                renderer.meshes.tensor(weights[part]),
            )
            for part in renderer.batches(len(masks), surface, self._camera)
        ]

    def evaluate(self, T_camera_base: NDArray[np.float64], centre: NDArray[np.float64]) -> MaskLoss:
        """Return loss and gradient; arguments as for `mask_loss.MaskObjective`."""
        torch = self._renderer.torch
        total: Any = 0.0
        for points, masks, weights in self._batches:
            corners, coverage = self._antialiased(points, T_camera_base)
            error = coverage.detach() - masks
            pull = weights * error
            (slope,) = torch.autograd.grad(coverage, corners, 2.0 * pull)
            moment = slope.reshape(-1, 4).T @ points.reshape(-1, 4)
            total = total + torch.cat([(pull * error).sum()[None], moment.reshape(-1)])
        numbers = np.asarray(total.cpu(), dtype=np.float64) / self._size
        # Sum over all points of the force on each, times its homogeneous coordinates.
        moment = self._clip.T @ numbers[1:].reshape(4, 4) @ T_camera_base.T
        force = moment[:3, 3]
        turned = moment[:3, :3].T - moment[:3, :3]
        torque = np.array([turned[1, 2], turned[2, 0], turned[0, 1]]) - np.cross(centre, force)
        return MaskLoss(float(numbers[0]), np.concatenate([torque, force]))

    def coverage(self, T_camera_base: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the (N, H, W) anti-aliased silhouettes at a camera pose."""
        return np.concatenate(
            [
                self._antialiased(points, T_camera_base)[1].detach().cpu().numpy()[..., 0]
                for points, _, _ in self._batches
            ]
        )

    def _antialiased(self, points: Any, T_camera_base: NDArray[np.float64]) -> tuple[Any, Any]:
        """Return the corners in clip space and the coverage, which depends on them."""
        renderer = self._renderer
        matrix = renderer.meshes.tensor((self._clip @ T_camera_base).T.astype(np.float32))
        corners = (points @ matrix).requires_grad_()
        image = renderer.draw(corners.detach(), self._faces, self._camera)
        silhouettes = (image[..., 3:] > 0).float()
        coverage = renderer.library.antialias(
            silhouettes, image, corners, self._faces, topology_hash=self._topology
        )
        return corners, coverage


@dataclass(frozen=True)
class MaskLoss:
    """The loss at one camera pose.

    Attributes:
        value: Mean over frames and pixels of (coverage - mask)^2.
        gradient: (6,) derivative with respect to the twist of `Estimate.moved`.
    """

    value: float
    gradient: NDArray[np.float64]


class MaskObjective(Protocol):
    """The squared mask loss of one problem; pixels to be ignored count as agreeing."""

    def evaluate(self, T_camera_base: NDArray[np.float64], centre: NDArray[np.float64]) -> MaskLoss:
        """Return loss and gradient.

        Args:
            T_camera_base: (4, 4) where to evaluate.
            centre: (3,) point about which the twist turns, optical frame.
        """

    def coverage(self, T_camera_base: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the (N, H, W) anti-aliased silhouettes at a camera pose."""


def pixel_weights(problem: SilhouetteProblem) -> NDArray[np.float32]:
    """Return the (N, H, W) weight of each pixel in the loss."""
    shown = np.ones(problem.masks.shape, bool) if problem.ignore is None else ~problem.ignore
    return np.asarray(shown * problem.weights()[:, None, None].astype(np.float32))


class RasterisedMaskLoss:
    """A `MaskObjective` on the CPU."""

    def __init__(
        self, problem: SilhouetteProblem, nuisances: Estimate, detail_m: float = 0.0
    ) -> None:
        """Prepare the edges of the robot's mesh.

        Args:
            problem: The masks and the robot.
            nuisances: An estimate whose lags, focal scale and joint offsets hold.
            detail_m: Details of the mesh smaller than this are left out.
        """
        self._masks = problem.masks
        self._weights = pixel_weights(problem)
        self._surface = problem.surface.simplified(detail_m)
        self._edges, self._edge_faces = mesh_edges(self._surface)
        self._camera = nuisances.camera(problem.camera)
        self._T_base_link = nuisances.link_poses(problem.motion)

    def evaluate(self, T_camera_base: NDArray[np.float64], centre: NDArray[np.float64]) -> MaskLoss:
        """Return loss and gradient; arguments as for `MaskObjective`."""
        return self._evaluate(T_camera_base, centre)[0]

    def coverage(self, T_camera_base: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the (N, H, W) anti-aliased silhouettes at a camera pose."""
        return self._evaluate(T_camera_base, np.zeros(3))[1]

    def _evaluate(
        self, T_camera_base: NDArray[np.float64], centre: NDArray[np.float64]
    ) -> tuple[MaskLoss, NDArray[np.float32]]:
        surface, camera = self._surface, self._camera
        T = T_camera_base @ self._T_base_link
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
            self._masks,
            self._weights,
            np.asarray(centre, dtype=np.float64),
            coverage,
            losses,
            gradients,
        )
        value = float(losses.sum() / masks.size)
        return MaskLoss(value, gradients.sum(axis=0) / masks.size), coverage


@numba.njit(parallel=True, cache=True, nogil=True)
def _evaluate_frames(  # type: ignore[no-untyped-def]
    vertices, link_of_vertex, faces, edges, edge_faces, T, K, masks, targets, weights, centre,
    coverage, losses, gradients,
):  # fmt: skip
    for n in numba.prange(T.shape[0]):
        pixels, points = project_vertices(vertices, link_of_vertex, T[n], K)
        crossings, rows = outline_crossings(pixels, points, faces, edges, edge_faces, K, masks[n])
        losses[n] = _antialiased_loss(
            crossings, rows, masks[n], targets[n], weights[n], centre, coverage[n], gradients[n]
        )


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
