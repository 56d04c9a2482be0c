# SPDX-License-Identifier: Apache-2.0
"""Robust Gauss-Newton steps on outline measurements, whatever measured them.

A measurement says: along a direction in the image, the predicted outline point is ``residual``
pixels beyond where the outline was observed. Masks and image edges both speak this language.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.estimate import (
    FIRST_JOINT,
    FOCAL_SCALE,
    LAG,
    MASK_BIAS,
    POSE_SIZE,
    Estimate,
)
from calib_all_ros.solving.normal_equations import NormalEquations
from calib_all_ros.solving.outline import Outline

# Neighbouring outline pixels err together; about one in this many is independent evidence, which
# matters where the data is weighed against a prior.
CORRELATED_PIXELS = 10.0
LEVENBERG = 1e-3
JOINT_OFFSET_SIGMA = np.radians(0.2)
MAX_STEP_M = 0.15
MAX_STEP_RAD = 0.25


@dataclass(frozen=True)
class Parameters:
    """Which nuisances are estimated beside the pose, and how far they are expected to stray.

    Attributes:
        lag: Estimate one time lag for all images.
        mask_bias: Estimate by how much the observed outlines are too fat.
        image_biases: Estimate a bias of its own for every image as well.
        focal_scale: Estimate a common factor on the focal lengths.
        joint_offsets: Estimate by how much each joint's recorded position is off.
        lag_sigma_s: Prior standard deviation of the lag, about zero.
        mask_bias_sigma_px: Prior standard deviation of the bias, full-size pixels.
        image_bias_sigma_px: Prior standard deviation of each image's own bias, about the common.
        focal_scale_sigma: Prior standard deviation of the focal scale, about one.
        joint_offset_sigma: Prior standard deviation of each joint's offset, radians or metres.
    """

    lag: bool = True
    mask_bias: bool = True
    image_biases: bool = False
    focal_scale: bool = False
    joint_offsets: bool = False
    lag_sigma_s: float = 0.2
    mask_bias_sigma_px: float = 2.0
    image_bias_sigma_px: float = 2.0
    focal_scale_sigma: float = 0.03
    joint_offset_sigma: float = JOINT_OFFSET_SIGMA

    def columns(self, joints: int) -> NDArray[np.intp]:
        """Return which parameters are estimated for a robot of J joints, the pose first."""
        wanted = (
            (self.lag, LAG),
            (self.mask_bias, MASK_BIAS),
            (self.focal_scale, FOCAL_SCALE),
        )
        columns = [*range(POSE_SIZE), *(column for estimated, column in wanted if estimated)]
        if self.joint_offsets:
            columns += range(FIRST_JOINT, FIRST_JOINT + joints)
        return np.array(columns, dtype=np.intp)

    def sigmas(self, joints: int) -> NDArray[np.float64]:
        """Return the (12 + J,) prior standard deviations, infinite where there is no prior."""
        sigmas = np.full(FIRST_JOINT + joints, np.inf)
        sigmas[LAG] = self.lag_sigma_s
        sigmas[MASK_BIAS] = self.mask_bias_sigma_px
        sigmas[FOCAL_SCALE] = self.focal_scale_sigma
        sigmas[FIRST_JOINT:] = self.joint_offset_sigma
        return sigmas


@dataclass(frozen=True)
class Measurements:
    """K observations of where the outline is.

    Attributes:
        index: (K,) which outline point.
        direction: (K, 2) unit vector in the image along which the residual is measured.
        residual: (K,) predicted minus observed position along ``direction``, pixels.
        weight: (K,) confidence from geometry, before the robust kernel.
    """

    index: NDArray[np.intp]
    direction: NDArray[np.float64]
    residual: NDArray[np.float64]
    weight: NDArray[np.float64]

    def biased(self, bias_px: float | NDArray[np.float64]) -> Measurements:
        """Return the measurements of an outline believed to be observed too fat by that much."""
        return replace(self, residual=self.residual + bias_px)

    def distances_px(self, outline: Outline) -> NDArray[np.float64]:
        """Return the (N,) median distance of each image's outlines, NaN where not measured.

        The median, because neither a hole in a mask nor the robust kernel's opinion of it should
        decide how well the rest agrees.
        """
        distances = np.full(len(outline.masks), np.nan)
        frame = outline.frame[self.index]
        for number in np.unique(frame):
            distances[number] = np.median(np.abs(self.residual[frame == number]))
        return distances

    def joined(self, other: Measurements) -> Measurements:
        """Return both sets of measurements as one."""
        return Measurements(
            np.concatenate([self.index, other.index]),
            np.concatenate([self.direction, other.direction]),
            np.concatenate([self.residual, other.residual]),
            np.concatenate([self.weight, other.weight]),
        )


@dataclass(frozen=True)
class Step:
    """The outcome of one linearisation.

    Attributes:
        estimate: The estimate after the step.
        shift_px: Root mean square motion of the outline that the pose step causes.
        cost: Robust cost of the estimate *before* the step, in units of the squared kernel scale.
        equations: The linearised measurements with the priors, None where nothing was measured.
        columns: The parameters of the equations, as `estimate` numbers them.
        centre: (3,) what the pose turns about, optical frame.
    """

    estimate: Estimate
    shift_px: float
    cost: float
    equations: NormalEquations | None = field(default=None, repr=False)
    columns: NDArray[np.intp] = field(default_factory=lambda: np.arange(POSE_SIZE), repr=False)
    centre: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3), repr=False)


def robust_weight(residual: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return the Geman-McClure weights of residuals at a kernel scale in the same unit."""
    return np.asarray((1.0 + (residual / scale) ** 2) ** -2)


def robust_cost(residual: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return the Geman-McClure cost of residuals, between 0 and 1."""
    squared = (residual / scale) ** 2
    return np.asarray(squared / (1.0 + squared))


def step(
    estimate: Estimate,
    outline: Outline,
    measurements: Measurements,
    camera: Camera,
    parameters: Parameters,
    kernel_px: float,
    image_scale: float = 1.0,
) -> Step:
    """Take one damped, robust Gauss-Newton step.

    Args:
        estimate: Where the outline was rendered.
        outline: The rendered outline, with the joints' derivatives where they are estimated.
        measurements: Its observations, in the pixels of ``camera``.
        camera: The pinhole camera of the rendered image.
        parameters: What to estimate.
        kernel_px: Scale of the robust kernel in the pixels of ``camera``.
        image_scale: Size of these pixels: image width over full-size width.

    Returns:
        The step; its estimate equals the argument where nothing was measured.
    """
    m = measurements
    points = outline.points[m.index]
    weight = m.weight * robust_weight(m.residual, kernel_px)
    total = float(weight.sum())
    if total <= 0.0:
        return Step(estimate, 0.0, 1.0)
    cost = float((m.weight * robust_cost(m.residual, kernel_px)).sum() / m.weight.sum())
    centre = np.average(points, axis=0, weights=weight)
    joints = 0 if outline.d_pixels_d_joints is None else outline.d_pixels_d_joints.shape[2]
    columns = parameters.columns(joints)
    J = residual_derivatives(
        outline, m, camera, columns, centre, estimate.focal_scale, bias_derivative=image_scale
    )
    # Dividing by a robust unit variance puts data and priors on one footing.
    variance = max(float((weight * m.residual**2).sum() / total), (0.3 * image_scale) ** 2)
    images = len(outline.masks)
    group = outline.frame[m.index] if parameters.image_biases else np.zeros(len(m.index), np.intp)
    equations = NormalEquations.of(
        J,
        m.residual,
        weight / (variance * CORRELATED_PIXELS),
        group,
        images if parameters.image_biases else 1,
    ).with_priors(parameters.sigmas(joints)[columns], estimate.values(joints)[columns])
    reduced, biases = equations, None
    if parameters.image_biases:
        assert parameters.mask_bias
        own = np.zeros(images) if estimate.image_biases_px is None else estimate.image_biases_px
        column = int(np.flatnonzero(columns == MASK_BIAS)[0])
        reduced, *biases = equations.eliminated(column, parameters.image_bias_sigma_px**-2, own)
    H = reduced.information()
    H[np.diag_indices_from(H)] *= 1.0 + LEVENBERG
    delta = -np.asarray(np.linalg.lstsq(H, reduced.gradient(), rcond=1e-12)[0], np.float64)
    too_far = max(
        np.linalg.norm(delta[:3]) / MAX_STEP_RAD, np.linalg.norm(delta[3:POSE_SIZE]) / MAX_STEP_M
    )
    if too_far > 1.0:
        delta /= too_far
    moved = estimate.stepped(columns, delta, centre, joints)
    if biases is not None:
        departure, coupling = biases
        moved = replace(moved, image_biases_px=departure + coupling @ delta)
    shift = J[:, :POSE_SIZE] @ delta[:POSE_SIZE]
    shift_px = float(np.sqrt((weight * shift**2).sum() / total))
    return Step(moved, shift_px, cost, equations, columns, centre)


def residual_derivatives(
    outline: Outline,
    measurements: Measurements,
    camera: Camera,
    columns: NDArray[np.integer],
    centre: NDArray[np.float64],
    focal_scale: float = 1.0,
    bias_derivative: float = 1.0,
) -> NDArray[np.float64]:
    """Return the (K, Q) derivatives of the residuals with respect to some parameters.

    The parameters, numbered as in `estimate`: rotation about ``centre`` (rad) and translation (m)
    of the robot in the optical frame, lag (s), mask bias (px), focal scale, principal point (2,
    px), radial distortion k1, the J joints' offsets (rad or m), and 3 J displacements of the
    joints' origins on their parent links (m).

    Args:
        outline: The rendered outline; with the joints' derivatives where they are asked for.
        measurements: Where it was observed.
        camera: The pinhole camera of the rendered image, estimated focal scale applied or not:
            only its principal point counts.
        columns: (Q,) which parameters.
        centre: (3,) in the optical frame.
        focal_scale: The estimated one.
        bias_derivative: Size of the image's pixels in the pixels of the bias.
    """
    index, direction = measurements.index, measurements.direction
    points = outline.points[index]
    along = np.einsum("ki,kij->kj", direction, outline.d_pixels_d_point[index])
    radial = np.einsum("ki,ki->k", direction, outline.pixels[index] - camera.K[:2, 2])
    radius2 = (points[:, 0] ** 2 + points[:, 1] ** 2) / points[:, 2] ** 2
    blocks = [
        np.cross(points - centre, along),
        along,
        np.einsum("ki,ki->k", direction, outline.d_pixels_d_lag[index])[:, None],
        np.full((len(points), 1), bias_derivative),
        radial[:, None] / focal_scale,
        direction,
        (radial * radius2)[:, None],
    ]
    if columns.max() >= FIRST_JOINT:
        assert outline.d_pixels_d_joints is not None and outline.d_pixels_d_origins is not None
        blocks.append(np.einsum("ki,kij->kj", direction, outline.d_pixels_d_joints[index]))
        if columns.max() >= FIRST_JOINT + blocks[-1].shape[1]:
            origins = np.einsum("ki,kijx->kjx", direction, outline.d_pixels_d_origins[index])
            blocks.append(origins.reshape(len(points), -1))
    return np.asarray(np.concatenate(blocks, axis=1)[:, columns])
