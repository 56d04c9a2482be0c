# SPDX-License-Identifier: Apache-2.0
"""How uncertain a pose is: what its images scatter by, and what they cannot show.

Three parts are added. The jackknife over the images (Efron and Stein, "The jackknife estimate of
variance", 1981) takes in whatever errs differently from image to image; the covariance of the
linearised fit covers few images; and what all images have in common, intrinsics and joint zeros
that are a little off, enters as consider parameters (Schmidt, "Application of state space methods
to navigation problems", 1966): with the size that ordinary calibrations leave, or with the size
that the images themselves ask for. One factor for each kind of evidence, found by comparison with
actual errors (``benchmarks/verdict.py``), makes the sum honest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from calib_all_ros.diagnosis.hypotheses import FOLDS, prior_sigmas
from calib_all_ros.solving.estimate import POSE_SIZE
from calib_all_ros.solving.frame_systems import (
    FIRST_JOINT,
    FOCAL_SCALE,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
    FrameSystems,
)
from calib_all_ros.solving.gauss_newton import CORRELATED_PIXELS
from calib_all_ros.solving.pose_errors import camera_from_twist

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


@dataclass(frozen=True)
class PoseUncertainty:
    """Uncertainty of the camera's pose in the base frame.

    Attributes:
        covariance: (6, 6) of the camera's position along the base axes (m) and its rotation about
            them (rad), in that order, as in ``geometry_msgs/PoseWithCovariance``.
        scatter_position_mm: Standard deviation of the position when a quarter of the images is
            left out in turn.
        scatter_rotation_deg: The same of the rotation.
    """

    covariance: NDArray[np.float64]
    scatter_position_mm: float
    scatter_rotation_deg: float

    @property
    def position_mm(self) -> float:
        """Standard deviation of the position, all directions together."""
        return 1e3 * float(np.sqrt(np.trace(self.covariance[:3, :3])))

    @property
    def rotation_deg(self) -> float:
        """Standard deviation of the rotation, about all axes together."""
        return float(np.degrees(np.sqrt(np.trace(self.covariance[3:, 3:]))))

    @property
    def expected_position_mm(self) -> float:
        """Nine in ten poses of this covariance are no further off."""
        return 1e3 * _ninety_percent_radius(self.covariance[:3, :3])

    @property
    def expected_rotation_deg(self) -> float:
        """Nine in ten poses of this covariance are turned by no more."""
        return float(np.degrees(_ninety_percent_radius(self.covariance[3:, 3:])))


def _ninety_percent_radius(block: NDArray[np.float64]) -> float:
    """Return the radius that nine in ten draws of a (3, 3) covariance stay within.

    A squared length is nearly a scaled chi-squared of the same mean and variance (Satterthwaite,
    "An approximate distribution of estimates of variance components", 1946).
    """
    mean, squares = float(np.trace(block)), float(np.sum(block**2))
    if mean == 0.0:
        return 0.0
    return float(np.sqrt(squares / mean * 2.0 * gammaincinv(0.5 * mean**2 / squares, 0.9)))


def pose_uncertainty(
    systems: FrameSystems,
    fitted: NDArray[np.intp],
    T_camera_base: NDArray[np.float64],
    image_width_px: int,
    factor: float,
    tolerance: ModelTolerance = ModelTolerance(),
) -> PoseUncertainty | None:
    """Estimate the uncertainty of a pose.

    Args:
        systems: The measurements of each image, at the result.
        fitted: The parameters that the fit estimated (`estimated_columns`).
        T_camera_base: (4, 4) the result.
        image_width_px: Width of the images.
        factor: On the standard deviations; makes them agree with actual errors.
        tolerance: What is usually left wrong in the models.

    Returns:
        The uncertainty, or None where fewer than two groups were measured or the system is
        singular.
    """
    if len(systems) < 2:
        return None
    # What the links measure is part of the robot's model that manufacturers get right.
    count = FIRST_JOINT + systems.joints
    noise = max(systems.variance_px2, LEAST_NOISE_PX**2) * CORRELATED_PIXELS
    prior = prior_sigmas(systems.H.shape[1])[:count] ** -2.0
    considered = np.setdiff1d(np.arange(FOCAL_SCALE, count), fitted)
    try:
        information = systems.H[:, :count, :count].sum(axis=0) / noise
        own = information[np.ix_(fitted, fitted)] + np.diag(prior[fitted])
        formal = np.linalg.inv(own)
        shifts = _left_out(systems, fitted, noise, prior, len(systems))
        quarters = _left_out(systems, fitted, noise, prior, FOLDS)
        sensitivity = -formal @ information[np.ix_(fitted, considered)]
        moments = _second_moments(
            systems, information, fitted, considered, noise, prior,
            _tolerances(count, image_width_px, tolerance)[considered],
        )  # fmt: skip
    except np.linalg.LinAlgError:
        return None
    twist = (_jackknife(shifts) + formal + sensitivity @ moments @ sensitivity.T)[
        :POSE_SIZE, :POSE_SIZE
    ]
    to_camera = camera_from_twist(T_camera_base, systems.centre)
    covariance = factor**2 * to_camera @ twist @ to_camera.T
    scatter = to_camera @ _jackknife(quarters)[:POSE_SIZE, :POSE_SIZE] @ to_camera.T
    return PoseUncertainty(
        0.5 * (covariance + covariance.T),
        1e3 * float(np.sqrt(np.trace(scatter[:3, :3]))),
        float(np.degrees(np.sqrt(np.trace(scatter[3:, 3:])))),
    )


def _tolerances(count: int, image_width_px: int, tolerance: ModelTolerance) -> NDArray[np.float64]:
    sigma = np.full(count, tolerance.joint)
    sigma[:FIRST_JOINT] = np.inf
    sigma[FOCAL_SCALE] = tolerance.focal_scale
    sigma[list(PRINCIPAL_POINT)] = tolerance.principal_point * image_width_px
    sigma[RADIAL_DISTORTION] = tolerance.distortion
    return sigma


def _second_moments(
    systems: FrameSystems,
    information: NDArray[np.float64],
    fitted: NDArray[np.intp],
    considered: NDArray[np.intp],
    noise: float,
    prior: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return (C, C) expected squares of the considered parameters, given the images."""
    columns = np.concatenate([fitted, considered])
    full = information[np.ix_(columns, columns)] / SYSTEMATIC_PIXELS
    full = full + np.diag(np.concatenate([prior[fitted], sigma**-2]))
    inverse = np.linalg.inv(full)
    mean = -inverse @ (systems.g.sum(axis=0)[columns] / (SYSTEMATIC_PIXELS * noise))
    size = len(fitted)
    return np.asarray(inverse[size:, size:] + np.outer(mean[size:], mean[size:]))


def _left_out(
    systems: FrameSystems,
    fitted: NDArray[np.intp],
    noise: float,
    prior: NDArray[np.float64],
    folds: int,
) -> NDArray[np.float64]:
    """Return (K, F) how the fitted parameters move when each of K folds is left out."""
    H = systems.H[:, fitted][:, :, fitted]
    g = systems.g[:, fitted]
    total_H, total_g = H.sum(axis=0), g.sum(axis=0)
    ridge = np.diag(prior[fitted]) * noise
    shifts = []
    for fold in range(min(folds, len(systems))):
        out = np.arange(len(systems)) % folds == fold
        A = total_H - H[out].sum(axis=0) + ridge
        shifts.append(-np.linalg.solve(A, total_g - g[out].sum(axis=0)))
    return np.stack(shifts)


def _jackknife(shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance from the scatter of leave-out solutions."""
    scatter = shifts - shifts.mean(axis=0)
    count = len(shifts)
    return np.asarray((count - 1) / count * scatter.T @ scatter)
