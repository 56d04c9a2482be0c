# SPDX-License-Identifier: Apache-2.0
"""Uncertainty of a pose: what its images scatter by, and what they cannot show.

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
from calib_all_ros.solving.estimate import FIRST_JOINT, FOCAL_SCALE, POSE_SIZE
from calib_all_ros.solving.frame_systems import SYSTEMATIC_PIXELS, FrameSystems, ModelTolerance
from calib_all_ros.solving.normal_equations import jackknife
from calib_all_ros.solving.pose_errors import camera_from_twist


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
    tolerance: ModelTolerance = ModelTolerance(),  # noqa: B008
) -> PoseUncertainty | None:
    """Estimate the uncertainty of a pose.

    Args:
        systems: The measurements of each image, at the result.
        fitted: The parameters that the fit estimated (`Parameters.columns`).
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
    considered = np.setdiff1d(np.arange(FOCAL_SCALE, count), fitted)
    columns = np.concatenate([fitted, considered])
    own, others = np.arange(len(fitted)), np.arange(len(fitted), len(columns))
    priors = prior_sigmas(systems.H.shape[1])[columns]
    equations = systems.restricted(columns).divided(systems.noise_px2).with_priors(priors)
    priors[others] = tolerance.sigmas(systems.joints, image_width_px)[considered]
    try:
        moments = equations.divided(SYSTEMATIC_PIXELS).with_priors(priors).second_moments(others)
        twist = equations.covariance(own, others, moments, np.zeros(len(systems), np.intp))
        quarters = equations.restricted(own).left_out(np.arange(len(systems)) % FOLDS)
    except np.linalg.LinAlgError:
        return None
    to_camera = camera_from_twist(T_camera_base, systems.centre)
    covariance = factor**2 * to_camera @ twist[:POSE_SIZE, :POSE_SIZE] @ to_camera.T
    scatter = to_camera @ jackknife(quarters)[:POSE_SIZE, :POSE_SIZE] @ to_camera.T
    return PoseUncertainty(
        0.5 * (covariance + covariance.T),
        1e3 * float(np.sqrt(np.trace(scatter[:3, :3]))),
        float(np.degrees(np.sqrt(np.trace(scatter[3:, 3:])))),
    )
