# SPDX-License-Identifier: Apache-2.0
"""How uncertain the parameters of several cameras are, and how they err together.

As for a single camera (`quality.uncertainty`) three parts are added: the jackknife over the
images, camera by camera (the stratified form, Efron and Stein 1981); the covariance of the
linearised fit; and what is a little off in the models, as consider parameters (Schmidt 1966).
Intrinsics err in each camera by themselves; a joint's zero errs alike in all of them, which is
what the relative pose of two cameras gets rid of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from calib_all_ros.quality.uncertainty import SYSTEMATIC_PIXELS, ModelTolerance
from calib_all_ros.solving.frame_systems import (
    FOCAL_SCALE,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
)
from calib_all_ros.solving.joint_systems import CameraSystems, JointSystem


@dataclass(frozen=True)
class Disagreement:
    """Whether values that should be equal are, within their uncertainty.

    Attributes:
        chi_squared: Squared length of the differences in standard deviations.
        degrees_of_freedom: How many differences there are.
    """

    chi_squared: float
    degrees_of_freedom: int

    @property
    def p_value(self) -> float:
        """How often chance alone makes them differ at least as much."""
        return float(chi2.sf(self.chi_squared, self.degrees_of_freedom))


def joint_covariance(
    system: JointSystem,
    cameras: Sequence[CameraSystems],
    tolerance: ModelTolerance = ModelTolerance(),  # noqa: B008
) -> NDArray[np.float64]:
    """Return the (P, P) covariance of the parameters, zero where they are not estimated.

    Args:
        system: The joint system at its solution.
        cameras: What it was made of.
        tolerance: What is usually left wrong in the models.

    Raises:
        numpy.linalg.LinAlgError: The system is singular.
    """
    fitted, considered = system.fitted, system.considered
    information = system.information()
    own = information[np.ix_(fitted, fitted)] + np.diag(system.prior[fitted])
    formal = np.linalg.inv(own)
    covariance = formal + _jackknife(system, own)
    if len(considered):
        sensitivity = -formal @ information[np.ix_(fitted, considered)]
        moments = _second_moments(system, information, _tolerances(system, cameras, tolerance))
        covariance = covariance + sensitivity @ moments @ sensitivity.T
    full = np.zeros_like(information)
    full[np.ix_(fitted, fitted)] = 0.5 * (covariance + covariance.T)
    return full


def disagreement(
    system: JointSystem,
    covariance: NDArray[np.float64],
    pairs: Sequence[tuple[int, int]],
) -> Disagreement:
    """Compare values that should be equal.

    Args:
        system: Solved with nothing shared.
        covariance: Its covariance.
        pairs: Which two parameters should be equal; at least one pair, none of which follows from
            others.
    """
    contrasts = np.zeros((len(pairs), len(system.value)))
    for row, (first, second) in enumerate(pairs):
        contrasts[row, first], contrasts[row, second] = 1.0, -1.0
    difference = contrasts @ system.value
    spread = contrasts @ covariance @ contrasts.T
    squared = float(difference @ np.linalg.solve(spread, difference))
    return Disagreement(squared, len(pairs))


def _jackknife(system: JointSystem, own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (F, F) covariance from leaving out each group in turn, camera by camera."""
    fitted = system.fitted
    H = system.H[:, fitted][:, :, fitted]
    g = system.g[:, fitted]
    total = g.sum(axis=0)
    shifts = np.stack([-np.linalg.solve(own - H[out], total - g[out]) for out in range(len(H))])
    covariance = np.zeros_like(own)
    for camera in np.unique(system.camera):
        strays = shifts[system.camera == camera]
        strays = strays - strays.mean(axis=0)
        covariance += (len(strays) - 1) / len(strays) * strays.T @ strays
    return covariance


def _second_moments(
    system: JointSystem, information: NDArray[np.float64], sigma: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (C, C) expected squares of the considered parameters, given the images."""
    columns = np.concatenate([system.fitted, system.considered])
    full = information[np.ix_(columns, columns)] / SYSTEMATIC_PIXELS
    full = full + np.diag(np.concatenate([system.prior[system.fitted], sigma**-2]))
    inverse = np.linalg.inv(full)
    mean = -inverse @ system.g.sum(axis=0)[columns] / SYSTEMATIC_PIXELS
    size = len(system.fitted)
    return np.asarray(inverse[size:, size:] + np.outer(mean[size:], mean[size:]))


def _tolerances(
    system: JointSystem, cameras: Sequence[CameraSystems], tolerance: ModelTolerance
) -> NDArray[np.float64]:
    """Return the (C,) standard deviations of the considered parameters."""
    sigma = np.ones(len(system.value))
    for camera, columns in zip(cameras, system.columns, strict=True):
        own = np.full(len(columns), tolerance.joint)
        own[FOCAL_SCALE] = tolerance.focal_scale
        own[list(PRINCIPAL_POINT)] = tolerance.principal_point * camera.image_width_px
        own[RADIAL_DISTORTION] = tolerance.distortion
        own[:FOCAL_SCALE] = np.inf
        sigma[columns[columns >= 0]] = own[columns >= 0]
    return sigma[system.considered]
