# SPDX-License-Identifier: Apache-2.0
"""The squared mask loss of CalibAll on a CUDA GPU, anti-aliased by nvdiffrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.rendering.clip_space import clip_matrix
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.mask_loss import MaskLoss, pixel_weights
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
