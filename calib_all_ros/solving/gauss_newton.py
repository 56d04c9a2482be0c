# SPDX-License-Identifier: Apache-2.0
"""One robust Gauss-Newton step on outline measurements, whatever measured them.

A measurement says: along a direction in the image, the predicted outline point is ``residual``
pixels beyond where the outline was observed. Masks and image edges both speak this language.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
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
        frame_lags: Estimate a lag of its own for every image as well.
        mask_bias: Estimate by how much the observed outlines are too fat.
        image_biases: Estimate a bias of its own for every image as well.
        focal_scale: Estimate a common factor on the focal lengths.
        joint_offsets: Estimate by how much each joint's recorded position is off.
        lag_sigma_s: Prior standard deviation of the lag, about zero.
        frame_lag_sigma_s: Prior standard deviation of each image's own lag, about the common one.
        mask_bias_sigma_px: Prior standard deviation of the bias, full-size pixels.
        image_bias_sigma_px: Prior standard deviation of each image's own bias, about the common.
        focal_scale_sigma: Prior standard deviation of the focal scale, about one.
        joint_offset_sigma: Prior standard deviation of each joint's offset, radians or metres.
    """

    lag: bool = True
    frame_lags: bool = False
    mask_bias: bool = True
    image_biases: bool = False
    focal_scale: bool = False
    joint_offsets: bool = False
    lag_sigma_s: float = 0.2
    frame_lag_sigma_s: float = 0.5
    mask_bias_sigma_px: float = 2.0
    image_bias_sigma_px: float = 2.0
    focal_scale_sigma: float = 0.03
    joint_offset_sigma: float = JOINT_OFFSET_SIGMA


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

    def biased(self, bias_px: float) -> Measurements:
        """Return the measurements of an outline believed to be observed too fat by that much."""
        return replace(self, residual=self.residual + bias_px)

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
        system: The linearised measurements, None where nothing was measured.
    """

    estimate: Estimate
    shift_px: float
    cost: float
    system: LinearSystem | None = field(default=None, repr=False)


@dataclass(frozen=True)
class LinearSystem:
    """Measurements linearised about an estimate.

    Attributes:
        J: (K, P) derivatives of the residuals, pose first: rotation about ``centre`` and
            translation in the optical frame.
        residual: (K,) residuals in pixels.
        evidence: (K,) robust weights over the residuals' variance and correlation.
        frame: (K,) frame of each measurement.
        prior: (P,) diagonal information of the priors.
        centre: (3,) point in the optical frame.
    """

    J: NDArray[np.float64]
    residual: NDArray[np.float64]
    evidence: NDArray[np.float64]
    frame: NDArray[np.int32]
    prior: NDArray[np.float64]
    centre: NDArray[np.float64]

    def information(self) -> NDArray[np.float64]:
        """Return the (P, P) information matrix, priors included."""
        data = (self.J * self.evidence[:, None]).T @ self.J
        return np.asarray(data + np.diag(self.prior))


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

    along = np.einsum("ki,kij->kj", m.direction, outline.d_pixels_d_point[m.index])
    columns = [np.cross(points - centre, along), along]
    prior_information = [np.zeros(POSE_SIZE)]
    prior_pull = [np.zeros(POSE_SIZE)]

    def add(column: NDArray[np.float64], sigma: float, departure: float) -> None:
        columns.append(column[:, None])
        prior_information.append(np.array([sigma**-2]))
        prior_pull.append(np.array([departure / sigma**2]))

    lag_column = np.einsum("ki,ki->k", m.direction, outline.d_pixels_d_lag[m.index])
    if parameters.lag:
        add(lag_column, parameters.lag_sigma_s, estimate.lag_s)
    if parameters.mask_bias:
        bias_column = np.full(len(m.residual), image_scale)
        add(bias_column, parameters.mask_bias_sigma_px, estimate.mask_bias_px)
    if parameters.focal_scale:
        offset = outline.pixels[m.index] - camera.K[:2, 2]
        focal_column = np.einsum("ki,ki->k", m.direction, offset) / estimate.focal_scale
        add(focal_column, parameters.focal_scale_sigma, estimate.focal_scale - 1.0)
    joint_offsets = np.zeros(0)
    if parameters.joint_offsets:
        assert outline.d_pixels_d_joints is not None
        joint_columns = np.einsum("ki,kij->kj", m.direction, outline.d_pixels_d_joints[m.index])
        joint_offsets = np.zeros(joint_columns.shape[1])
        if estimate.joint_offsets is not None:
            joint_offsets = estimate.joint_offsets
        for joint, joint_column in enumerate(joint_columns.T):
            add(joint_column, parameters.joint_offset_sigma, float(joint_offsets[joint]))

    J = np.concatenate(columns, axis=1)
    # Dividing by a robust unit variance puts data and priors on one footing.
    variance = max(float((weight * m.residual**2).sum() / total), (0.3 * image_scale) ** 2)
    evidence = weight / (variance * CORRELATED_PIXELS)
    weighted = J * evidence[:, None]
    H = J.T @ weighted
    g = weighted.T @ m.residual
    frame = outline.frame[m.index]
    prior = np.concatenate(prior_information)
    H[np.diag_indices_from(H)] += prior
    g += np.concatenate(prior_pull)

    assert not (parameters.frame_lags and parameters.image_biases)
    count = len(outline.masks)
    own_lags = own_biases = None
    if parameters.frame_lags:
        current = np.zeros(count) if estimate.frame_lags_s is None else estimate.frame_lags_s
        H, g, own_lags = _eliminate_per_image(
            H, g, weighted, lag_column, evidence, frame, m.residual,
            current, parameters.frame_lag_sigma_s,
        )  # fmt: skip
    if parameters.image_biases:
        current = np.zeros(count) if estimate.image_biases_px is None else estimate.image_biases_px
        H, g, own_biases = _eliminate_per_image(
            H, g, weighted, np.full(len(frame), image_scale), evidence, frame, m.residual,
            current, parameters.image_bias_sigma_px,
        )  # fmt: skip
    H[np.diag_indices_from(H)] *= 1.0 + LEVENBERG
    delta = -np.linalg.lstsq(H, g, rcond=1e-12)[0]
    too_far = max(
        np.linalg.norm(delta[:3]) / MAX_STEP_RAD, np.linalg.norm(delta[3:POSE_SIZE]) / MAX_STEP_M
    )
    if too_far > 1.0:
        delta /= too_far

    moved = estimate.moved(delta[:POSE_SIZE], centre)
    position = POSE_SIZE
    if parameters.lag:
        moved = replace(moved, lag_s=estimate.lag_s + float(delta[position]))
        position += 1
    if parameters.mask_bias:
        moved = replace(moved, mask_bias_px=estimate.mask_bias_px + float(delta[position]))
        position += 1
    if parameters.focal_scale:
        moved = replace(moved, focal_scale=estimate.focal_scale + float(delta[position]))
        position += 1
    if parameters.joint_offsets:
        moved = replace(moved, joint_offsets=joint_offsets + delta[position:])
    if own_lags is not None:
        departure, coupling = own_lags
        moved = replace(moved, frame_lags_s=departure + coupling @ delta)
    if own_biases is not None:
        departure, coupling = own_biases
        moved = replace(moved, image_biases_px=departure + coupling @ delta)
    shift = J[:, :POSE_SIZE] @ delta[:POSE_SIZE]
    shift_px = float(np.sqrt((weight * shift**2).sum() / total))
    system = LinearSystem(J, m.residual, evidence, frame, prior, centre)
    return Step(moved, shift_px, cost, system)


def _eliminate_per_image(
    H: NDArray[np.float64],
    g: NDArray[np.float64],
    weighted: NDArray[np.float64],
    column: NDArray[np.float64],
    evidence: NDArray[np.float64],
    frame: NDArray[np.int32],
    residual: NDArray[np.float64],
    current: NDArray[np.float64],
    sigma: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[NDArray[np.float64], ...]]:
    """Eliminate one parameter of each image's own by the Schur complement.

    Args:
        H: (P, P) normal matrix of what all images share.
        g: (P,) gradient.
        weighted: (K, P) derivatives times evidence.
        column: (K,) derivative of each residual with respect to its image's parameter.
        evidence: (K,) weights.
        frame: (K,) images.
        residual: (K,) residuals.
        current: (N,) the parameters' present values.
        sigma: Their prior standard deviation, about zero.

    Returns:
        The reduced normal matrix and gradient, and (new values for no step, (N, P) their change
        with the step).
    """
    count = len(current)
    own = np.bincount(frame, evidence * column**2, count) + sigma**-2
    pull = np.bincount(frame, evidence * column * residual, count) + current / sigma**2
    cross = np.stack([np.bincount(frame, shared * column, count) for shared in weighted.T], axis=1)
    reduced = H - cross.T @ (cross / own[:, None])
    gradient = g - cross.T @ (pull / own)
    return reduced, gradient, (current - pull / own, -cross / own[:, None])
