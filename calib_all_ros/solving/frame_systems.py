# SPDX-License-Identifier: Apache-2.0
"""Measurements of each image, linearised in everything that may be wrong.

The pose is fitted with a few nuisances; whether something else is wrong shows in what the
residuals would gain from further parameters. All of that is algebra on small matrices, one for
each group of measurements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.estimate import (
    FIRST_JOINT,
    FOCAL_SCALE,
    MASK_BIAS,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
    Estimate,
)
from calib_all_ros.solving.gauss_newton import (
    CORRELATED_PIXELS,
    Measurements,
    residual_derivatives,
    robust_weight,
)
from calib_all_ros.solving.normal_equations import NormalEquations
from calib_all_ros.solving.outline import Outline

# The kernel follows the residuals, so that a systematic misfit of a few pixels is not taken for
# outliers; within these limits, in pixels.
KERNEL_PX = (3.0, 8.0)
KERNEL_DEVIATIONS = 2.5
_MAD_TO_SIGMA = 1.4826
# Recordings of fewer images are grouped by image and link.
FEW_IMAGES = 5
# An image of fewer measurements says nothing.
MIN_MEASUREMENTS = 20


# Outlines are no better than this, whatever their residuals say.
LEAST_NOISE_PX = 0.1
# Shadows and soft edges err alike in all images, and read as a wrong model: against the models'
# tolerances the images count by so much less.
SYSTEMATIC_PIXELS = 10.0


@dataclass(frozen=True)
class ModelTolerance:
    """Standard deviations of what is usually left wrong in a camera's and a robot's model.

    Attributes:
        focal_scale: Of the focal length, relative.
        principal_point: Of the principal point, over the image width.
        distortion: Of the radial distortion k1.
        joint: Of a joint's zero position, radians or metres.
    """

    focal_scale: float = 0.005
    principal_point: float = 0.003
    distortion: float = 0.002
    joint: float = 0.001

    def sigmas(self, joints: int, image_width_px: int) -> NDArray[np.float64]:
        """Return those of the (12 + J,) parameters, infinite for those of no model."""
        sigma = np.full(FIRST_JOINT + joints, self.joint)
        sigma[:FIRST_JOINT] = np.inf
        sigma[FOCAL_SCALE] = self.focal_scale
        sigma[list(PRINCIPAL_POINT)] = self.principal_point * image_width_px
        sigma[RADIAL_DISTORTION] = self.distortion
        return sigma


@dataclass(frozen=True)
class FrameSystems(NormalEquations):
    """Normal equations of G groups of measurements, in pixels, about an estimate.

    The parameters are those of `gauss_newton.residual_derivatives`.

    Attributes:
        weight: (G,) sums of the weights.
        frame: (G,) image of each group, ascending.
        link: (G,) link of each group, -1 where groups are whole images.
        centre: (3,) point in the optical frame.
        stamps_s: (N,) times of the images in seconds after the first.
    """

    weight: NDArray[np.float64]
    frame: NDArray[np.int32]
    link: NDArray[np.int32]
    centre: NDArray[np.float64]
    stamps_s: NDArray[np.float64]

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

    @property
    def noise_px2(self) -> float:
        """Variance of a residual, counted as often as neighbouring pixels repeat each other."""
        return max(self.variance_px2, LEAST_NOISE_PX**2) * CORRELATED_PIXELS


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
    joints = outline.d_pixels_d_joints.shape[2]
    J = residual_derivatives(
        outline, m, estimate.camera(camera), np.arange(FIRST_JOINT + 4 * joints), centre,
        estimate.focal_scale,
    )  # fmt: skip
    frame = outline.frame[m.index]
    link = outline.link[m.index] if by_link else np.full(len(frame), -1, np.int32)
    keys, group, counts = np.unique(
        np.stack([frame, link], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    group = group.reshape(-1)
    kept = np.flatnonzero(counts >= MIN_MEASUREMENTS)
    if not len(kept):
        return None
    total: NDArray[np.float64] = np.bincount(group, weight, len(keys)).astype(np.float64)
    equations = NormalEquations.of(J, m.residual, weight, group, len(keys)).chosen(kept)
    if image_bias_sigma_px > 0.0:
        # The prior of an image's own bias is as strong as one independent pixel.
        information = (total / counts)[kept] / image_bias_sigma_px**2
        equations, *_ = equations.eliminated(MASK_BIAS, information)
    return FrameSystems(
        equations.H, equations.g, equations.cost, equations.prior, equations.pull, total[kept],
        keys[kept, 0], keys[kept, 1], centre, (stamps_ns - stamps_ns[0]) / 1e9,
    )  # fmt: skip
