# SPDX-License-Identifier: Apache-2.0
"""The measurements of each image, linearised in everything that may be wrong.

The pose is fitted with a few nuisances; whether something else is wrong shows in what the
residuals would gain from further parameters. All of that is algebra on small matrices, one for
each group of measurements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
from calib_all_ros.solving.gauss_newton import Measurements, Parameters, robust_weight
from calib_all_ros.solving.outline import Outline

LAG, MASK_BIAS, FOCAL_SCALE = POSE_SIZE, POSE_SIZE + 1, POSE_SIZE + 2
PRINCIPAL_POINT = (POSE_SIZE + 3, POSE_SIZE + 4)
RADIAL_DISTORTION = POSE_SIZE + 5
FIRST_JOINT = POSE_SIZE + 6
# The kernel follows the residuals, so that a systematic misfit of a few pixels is not taken for
# outliers; within these limits, in pixels.
KERNEL_PX = (3.0, 8.0)
KERNEL_DEVIATIONS = 2.5
_MAD_TO_SIGMA = 1.4826
# Recordings of fewer images are grouped by image and link.
FEW_IMAGES = 5
# An image of fewer measurements says nothing.
MIN_MEASUREMENTS = 20


@dataclass(frozen=True)
class FrameSystems:
    """Normal equations of G groups of measurements in P parameters about an estimate.

    The parameters are the pose (rotation about ``centre`` and translation, optical frame, as in
    `Estimate.moved`), then lag (s), mask bias (px), focal scale, principal point (2, px), radial
    distortion k1, the J joints' offsets (rad or m), and 3 J displacements of the joints' origins on
    their parent links (m).

    Attributes:
        H: (G, P, P) weighted sums of squared derivatives, 1/px^2 times the parameters' units.
        g: (G, P) weighted sums of derivative times residual.
        cost: (G,) weighted sums of squared residuals, px^2.
        weight: (G,) sums of the weights.
        frame: (G,) image of each group, ascending.
        link: (G,) link of each group, -1 where groups are whole images.
        centre: (3,) point in the optical frame.
        stamps_s: (N,) times of the images in seconds after the first.
    """

    H: NDArray[np.float64]
    g: NDArray[np.float64]
    cost: NDArray[np.float64]
    weight: NDArray[np.float64]
    frame: NDArray[np.int32]
    link: NDArray[np.int32]
    centre: NDArray[np.float64]
    stamps_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.H)

    def numbered(self, numbers: NDArray[np.intp], stamps_ns: NDArray[np.int64]) -> FrameSystems:
        """Return the systems with image i called ``numbers[i]`` of the images at ``stamps_ns``."""
        return replace(
            self,
            frame=numbers[self.frame].astype(np.int32),
            stamps_s=(stamps_ns - stamps_ns[0]) / 1e9,
        )

    @property
    def joints(self) -> int:
        """Number of the robot's joints."""
        return int(self.H.shape[1] - FIRST_JOINT) // 4

    def origin_columns(self, joint: int) -> list[int]:
        """Return the columns of the displacements of a joint's origin."""
        first = FIRST_JOINT + self.joints + 3 * joint
        return list(range(first, first + 3))

    @property
    def variance_px2(self) -> float:
        """Weighted mean squared residual."""
        return float(self.cost.sum() / max(self.weight.sum(), 1e-12))


def estimated_columns(parameters: Parameters, joints: int) -> NDArray[np.intp]:
    """Return which parameters of `FrameSystems` a fit estimated, the pose first."""
    columns = list(range(POSE_SIZE))
    wanted = (
        (parameters.lag, LAG),
        (parameters.mask_bias, MASK_BIAS),
        (parameters.focal_scale, FOCAL_SCALE),
    )
    columns += [column for estimated, column in wanted if estimated]
    if parameters.joint_offsets:
        columns += range(FIRST_JOINT, FIRST_JOINT + joints)
    return np.array(columns, dtype=np.intp)


def linearise(
    outline: Outline,
    measurements: Measurements,
    camera: Camera,
    estimate: Estimate,
    stamps_ns: NDArray[np.int64],
    *,
    by_link: bool = False,
    image_bias_sigma_px: float = 0.0,
) -> FrameSystems | None:
    """Linearise measurements about the estimate that the outline was rendered at.

    Args:
        outline: The rendered outline, with the joints' derivatives.
        measurements: Its observations at full size.
        camera: The pinhole camera, without the estimate's focal scale.
        estimate: The estimate.
        stamps_ns: (N,) stamps of the images.
        by_link: Group by image and link, for recordings of few images.
        image_bias_sigma_px: How much too fat or thin an image's outline may be by itself, beside
            the common bias; 0 where outlines come from edges.

    Returns:
        The systems, or None where too little was measured.
    """
    assert outline.d_pixels_d_joints is not None
    m = measurements
    if len(m.index) < MIN_MEASUREMENTS:
        return None
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(m.residual - np.median(m.residual))))
    weight = m.weight * robust_weight(
        m.residual, float(np.clip(KERNEL_DEVIATIONS * spread, *KERNEL_PX))
    )
    if not weight.sum() > 0.0:
        return None
    points = outline.points[m.index]
    centre = np.average(points, axis=0, weights=weight)
    J = _columns(outline, m, estimate.camera(camera), estimate.focal_scale, centre)
    frame = outline.frame[m.index]
    link = outline.link[m.index] if by_link else np.full(len(frame), -1, np.int32)
    keys, group, counts = np.unique(
        np.stack([frame, link], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(counts)
    kept, H, g, cost, total = [], [], [], [], []
    for number, (first, last) in enumerate(zip(ends - counts, ends, strict=True)):
        own = order[first:last]
        if len(own) < MIN_MEASUREMENTS:
            continue
        w, r, A = weight[own], m.residual[own], J[own]
        weighted = A * w[:, None]
        own_H, own_g, own_cost = A.T @ weighted, weighted.T @ r, float(w @ r**2)
        if image_bias_sigma_px > 0.0:
            # Eliminates the image's own bias; its prior is as strong as one independent pixel.
            column = own_H[MASK_BIAS].copy()
            bias_weight = column[MASK_BIAS] + float(np.mean(w)) / image_bias_sigma_px**2
            pull = own_g[MASK_BIAS]
            own_H = own_H - np.outer(column, column) / bias_weight
            own_g = own_g - column * pull / bias_weight
            own_cost -= pull**2 / bias_weight
        kept.append(number)
        H.append(own_H)
        g.append(own_g)
        cost.append(own_cost)
        total.append(float(w.sum()))
    if not kept:
        return None
    return FrameSystems(
        np.stack(H), np.stack(g), np.array(cost), np.array(total),
        keys[kept, 0], keys[kept, 1], centre, (stamps_ns - stamps_ns[0]) / 1e9,
    )  # fmt: skip


def _columns(
    outline: Outline,
    m: Measurements,
    camera: Camera,
    focal_scale: float,
    centre: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the (K, P) derivatives of the residuals."""
    assert outline.d_pixels_d_joints is not None and outline.d_pixels_d_origins is not None
    points = outline.points[m.index]
    along = np.einsum("ki,kij->kj", m.direction, outline.d_pixels_d_point[m.index])
    offset = outline.pixels[m.index] - camera.K[:2, 2]
    radius2 = (points[:, 0] ** 2 + points[:, 1] ** 2) / points[:, 2] ** 2
    radial = np.einsum("ki,ki->k", m.direction, offset)
    return np.concatenate(
        [
            np.cross(points - centre, along),
            along,
            np.einsum("ki,ki->k", m.direction, outline.d_pixels_d_lag[m.index])[:, None],
            np.ones((len(points), 1)),
            radial[:, None] / focal_scale,
            m.direction,
            (radial * radius2)[:, None],
            np.einsum("ki,kij->kj", m.direction, outline.d_pixels_d_joints[m.index]),
            np.einsum("ki,kijx->kjx", m.direction, outline.d_pixels_d_origins[m.index]).reshape(
                len(points), -1
            ),
        ],
        axis=1,
    )
