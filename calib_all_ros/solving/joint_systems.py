# SPDX-License-Identifier: Apache-2.0
"""The measurements of several cameras as one linear system, with columns that cameras share.

Each camera's measurements are linearised in its own pose, lag, bias and intrinsics and in the
joints' zero positions (`FrameSystems`). The robot is the same for all cameras, and so may be the
clock: those columns fall together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from calib_all_ros.diagnosis.uncertainty import LEAST_NOISE_PX, SYSTEMATIC_PIXELS, ModelTolerance
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
from calib_all_ros.solving.frame_systems import (
    FIRST_JOINT,
    FOCAL_SCALE,
    LAG,
    MASK_BIAS,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
    FrameSystems,
)
from calib_all_ros.solving.gauss_newton import CORRELATED_PIXELS, Parameters


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


# Large against any pose, so that it is free.
_POSE_SIGMA = 10.0


@dataclass(frozen=True)
class CameraSystems:
    """What one camera measured, and what its own fit made of it.

    Attributes:
        systems: The measurements of each image, at the estimate.
        fitted: The parameters that the fit estimated (`estimated_columns`).
        estimate: Its result.
        parameters: The priors of the fit.
        image_width_px: Width of the images.
    """

    systems: FrameSystems
    fitted: NDArray[np.intp]
    estimate: Estimate
    parameters: Parameters
    image_width_px: int

    @property
    def columns(self) -> int:
        """How many parameters count: what the links measure is taken as known."""
        return FIRST_JOINT + self.systems.joints

    def estimates(self, column: int) -> bool:
        """Return whether the fit estimated a parameter of `FrameSystems`."""
        return bool(np.isin(column, self.fitted))

    def values(self) -> NDArray[np.float64]:
        """Return the (K,) values of the parameters at the estimate, the pose's being zero."""
        values = np.zeros(self.columns)
        values[LAG] = self.estimate.lag_s
        values[MASK_BIAS] = self.estimate.mask_bias_px
        values[FOCAL_SCALE] = self.estimate.focal_scale - 1.0
        if self.estimate.joint_offsets is not None:
            values[FIRST_JOINT:] = self.estimate.joint_offsets
        return values

    def prior(self) -> NDArray[np.float64]:
        """Return the (K,) information of the fit's priors, about zero."""
        sigma = np.full(self.columns, self.parameters.joint_offset_sigma)
        sigma[:FIRST_JOINT] = _POSE_SIGMA
        sigma[LAG] = self.parameters.lag_sigma_s
        sigma[MASK_BIAS] = self.parameters.mask_bias_sigma_px
        sigma[FOCAL_SCALE] = self.parameters.focal_scale_sigma
        return np.asarray(sigma**-2.0)

    @property
    def noise_px2(self) -> float:
        """Variance of a residual, counted as often as neighbouring pixels repeat each other."""
        return max(self.systems.variance_px2, LEAST_NOISE_PX**2) * CORRELATED_PIXELS


@dataclass(frozen=True)
class Sharing:
    """What cameras have in common.

    Attributes:
        clocks: The clock of each camera: cameras with equal numbers share one lag.
        joint_offsets: Whether the estimated joint offsets are the same for all cameras.
    """

    clocks: tuple[int, ...]
    joint_offsets: bool

    @classmethod
    def nothing(cls, cameras: int) -> Sharing:
        """Return that each camera has a clock and joint offsets of its own."""
        return cls(tuple(range(cameras)), joint_offsets=False)


@dataclass(frozen=True)
class JointSystem:
    """The stacked measurements of C cameras in P parameters, some of them shared.

    Attributes:
        columns: For each camera the (K,) parameters that its own parameters are; -1 for those that
            are neither estimated nor doubted.
        H: (G, P, P) information of each group of measurements, the cameras one after the other.
        g: (G, P) its gradient at ``value``.
        camera: (G,) camera of each group.
        fitted: (F,) parameters that are estimated.
        considered: (C',) parameters that are not, but doubted.
        prior: (P,) information of the priors about zero, zero for what is considered.
        value: (P,) the estimates, the poses' being twists from the cameras' own ones.
    """

    columns: tuple[NDArray[np.intp], ...]
    H: NDArray[np.float64]
    g: NDArray[np.float64]
    camera: NDArray[np.intp]
    fitted: NDArray[np.intp]
    considered: NDArray[np.intp]
    prior: NDArray[np.float64]
    value: NDArray[np.float64]

    def information(self) -> NDArray[np.float64]:
        """Return the (P, P) information of all measurements, without the priors."""
        return np.asarray(self.H.sum(axis=0))

    def of_camera(self, camera: int) -> NDArray[np.float64]:
        """Return the (K,) values of a camera's parameters, zero for what is not estimated."""
        columns = self.columns[camera]
        return np.where(np.isin(columns, self.fitted), self.value[columns], 0.0)

    def pose_columns(self, camera: int) -> NDArray[np.intp]:
        """Return the (6,) parameters that are a camera's pose."""
        return self.columns[camera][:POSE_SIZE]


def solve_jointly(cameras: Sequence[CameraSystems], sharing: Sharing) -> JointSystem:
    """Find the most probable parameters of all cameras together.

    Each camera's own result stands for its measurements, with the information of their
    linearisation (Gauss-Newton from the cameras' own results): a robust fit is not undone by
    another kernel, and where nothing is shared nothing changes. What is shared gets its prior
    once.

    Args:
        cameras: The cameras.
        sharing: What they have in common.

    Raises:
        numpy.linalg.LinAlgError: The system is singular.
    """
    layout = _layout(cameras, sharing)
    columns, fitted, considered, count = layout
    prior, A, b = np.zeros(count), np.zeros((count, count)), np.zeros(count)
    for camera, own in zip(cameras, columns, strict=True):
        local, place = camera.fitted, own[camera.fitted]
        prior[place] = camera.prior()[local]
        data = camera.systems.H[:, local][:, :, local].sum(axis=0) / camera.noise_px2
        A[np.ix_(place, place)] += data
        # With its prior alone, a camera's measurements lead to its own result.
        alone = data + np.diag(camera.prior()[local])
        b[place] += alone @ camera.values()[local]
    A = A[np.ix_(fitted, fitted)] + np.diag(prior[fitted])
    value = np.zeros(count)
    value[fitted] = np.linalg.solve(A, b[fitted])
    H, g = zip(
        *(_embedded(camera, own, value) for camera, own in zip(cameras, columns, strict=True)),
        strict=True,
    )
    number = [np.full(len(camera.systems), i) for i, camera in enumerate(cameras)]
    return JointSystem(
        columns, np.concatenate(H), np.concatenate(g), np.concatenate(number),
        fitted, considered, prior, value,
    )  # fmt: skip


def _layout(
    cameras: Sequence[CameraSystems], sharing: Sharing
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.intp], NDArray[np.intp], int]:
    """Return each camera's columns, the fitted and the considered ones, and how many there are."""
    places: dict[tuple[str, int, int], int] = {}
    fitted, considered = set[int](), set[int]()
    columns = []
    for number, camera in enumerate(cameras):
        own = np.full(camera.columns, -1, dtype=np.intp)
        for column in range(camera.columns):
            estimated = camera.estimates(column)
            if not estimated and column < FOCAL_SCALE:
                continue
            key = ("camera", number, column)
            if column == LAG:
                key = ("clock", sharing.clocks[number], column)
            # A joint whose zero is not estimated errs alike for all cameras.
            elif column >= FIRST_JOINT and (sharing.joint_offsets or not estimated):
                key = ("robot", int(estimated), column)
            place = places.setdefault(key, len(places))
            own[column] = place
            (fitted if estimated else considered).add(place)
        columns.append(own)
    return (
        tuple(columns),
        np.array(sorted(fitted), dtype=np.intp),
        np.array(sorted(considered), dtype=np.intp),
        len(places),
    )


def _embedded(
    camera: CameraSystems, own: NDArray[np.intp], value: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a camera's systems in the joint parameters, their gradient at the joint values."""
    known = np.flatnonzero(own >= 0)
    place = own[known]
    H = camera.systems.H[:, known][:, :, known] / camera.noise_px2
    g = camera.systems.g[:, known] / camera.noise_px2
    moved = np.where(np.isin(known, camera.fitted), value[place] - camera.values()[known], 0.0)
    g = g + H @ moved
    joint_H = np.zeros((len(H), len(value), len(value)))
    joint_g = np.zeros((len(H), len(value)))
    joint_H[np.ix_(np.arange(len(H)), place, place)] = H
    joint_g[:, place] = g
    return joint_H, joint_g
