# SPDX-License-Identifier: Apache-2.0
"""Joint refinement of the calibrations of several cameras of one robot.

Each camera's measurements are linearised in its own pose, lag, bias and intrinsics and in the
joints' zero positions (`FrameSystems`). The robot is the same for all cameras, and so may be the
clock: those columns fall together. Whether they may is asked first: the cameras' own results have
to agree within their uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from calib_all_ros.errors import CalibAllError
from calib_all_ros.solving.estimate import FIRST_JOINT, FOCAL_SCALE, LAG, POSE_SIZE, Estimate
from calib_all_ros.solving.frame_systems import SYSTEMATIC_PIXELS, FrameSystems, ModelTolerance
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.normal_equations import NormalEquations
from calib_all_ros.solving.pose_errors import camera_from_twist

# What differs by more than chance makes it differ in one of a hundred cases is not shared.
LEAST_P_VALUE = 0.01


class JointRefinementError(CalibAllError):
    """Cameras that cannot be refined together."""


@dataclass(frozen=True)
class CameraSystems:
    """What one camera measured, and what its own fit made of it.

    Attributes:
        systems: The measurements of each image, at the estimate.
        estimate: The result of the fit.
        parameters: What it estimated, and the priors.
        image_width_px: Width of the images.
    """

    systems: FrameSystems
    estimate: Estimate
    parameters: Parameters
    image_width_px: int

    @property
    def columns(self) -> int:
        """How many parameters count: what the links measure is taken as known."""
        return FIRST_JOINT + self.systems.joints

    @property
    def fitted(self) -> NDArray[np.intp]:
        """The parameters that the fit estimated."""
        return self.parameters.columns(self.systems.joints)

    def values(self) -> NDArray[np.float64]:
        """Return the (K,) values of the parameters at the estimate, the pose's being zero."""
        return self.estimate.values(self.systems.joints)

    def equations(self) -> NormalEquations:
        """Return the measurements in standard deviations, with the priors of the fit."""
        measured = self.systems.restricted(np.arange(self.columns)).divided(self.systems.noise_px2)
        return measured.with_priors(self.parameters.sigmas(self.systems.joints), self.values())


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


@dataclass(frozen=True)
class JointSystem:
    """The measurements of C cameras in P parameters, some of them shared.

    Attributes:
        columns: For each camera the (K,) parameters that its own parameters are; -1 for those that
            are neither estimated nor considered.
        equations: The measurements of each group at ``value``, the cameras one after the other,
            with the priors of what is estimated.
        camera: (G,) camera of each group.
        fitted: (F,) parameters that are estimated.
        considered: (C',) parameters that are not, but may be wrong.
        value: (P,) the estimates, the poses' being twists from the cameras' own ones.
    """

    columns: tuple[NDArray[np.intp], ...]
    equations: NormalEquations
    camera: NDArray[np.intp]
    fitted: NDArray[np.intp]
    considered: NDArray[np.intp]
    value: NDArray[np.float64]

    def of_camera(self, camera: int) -> NDArray[np.float64]:
        """Return the (K,) values of a camera's parameters, zero for what is not estimated."""
        columns = self.columns[camera]
        return np.where(np.isin(columns, self.fitted), self.value[columns], 0.0)

    def covariance(
        self,
        cameras: Sequence[CameraSystems],
        tolerance: ModelTolerance = ModelTolerance(),  # noqa: B008
    ) -> NDArray[np.float64]:
        """Return the (P, P) covariance of the parameters, zero where they are not estimated.

        Args:
            cameras: What the system was made of.
            tolerance: What is usually left wrong in the models.

        Raises:
            numpy.linalg.LinAlgError: The system is singular.
        """
        both = np.concatenate([self.fitted, self.considered])
        own, others = np.arange(len(self.fitted)), np.arange(len(self.fitted), len(both))
        with np.errstate(divide="ignore"):
            sigmas = self.equations.prior**-0.5
        for camera, columns in zip(cameras, self.columns, strict=True):
            usual = tolerance.sigmas(camera.systems.joints, camera.image_width_px)
            doubtful = np.isin(columns, self.considered)
            sigmas[columns[doubtful]] = usual[doubtful]
        equations = self.equations.restricted(both)
        weakened = equations.divided(SYSTEMATIC_PIXELS).with_priors(sigmas[both])
        moments = weakened.second_moments(others)
        full = np.zeros((len(self.value), len(self.value)))
        full[np.ix_(self.fitted, self.fitted)] = equations.covariance(
            own, others, moments, self.camera
        )
        return full


@dataclass(frozen=True, eq=False)
class JointRefinement:
    """The joint result of C cameras.

    Attributes:
        estimates: Of each camera.
        pose_covariance: (6 C, 6 C) of the cameras' poses, six rows a camera, in the order and
            frame of `results.records.Covariance`.
        sharing: What was shared.
        lags: Whether the lags of all cameras agree, None where fewer than two were estimated.
        offsets: Whether the joint offsets of all cameras agree, None where they were not estimated.
        shared: Whether all agrees that was shared, None where nothing was.
        step_px: (C,) root mean square motion of each camera's outline by the joint refinement.
    """

    estimates: tuple[Estimate, ...]
    pose_covariance: NDArray[np.float64]
    sharing: Sharing
    lags: Disagreement | None
    offsets: Disagreement | None
    shared: Disagreement | None
    step_px: NDArray[np.float64]

    def covariance_of(self, *cameras: int) -> NDArray[np.float64]:
        """Return the (6 K, 6 K) covariance of some cameras' poses, in this order."""
        rows = np.concatenate([POSE_SIZE * c + np.arange(POSE_SIZE) for c in cameras])
        return np.asarray(self.pose_covariance[np.ix_(rows, rows)])


def refine_jointly(
    cameras: Sequence[CameraSystems], clocks: Sequence[int] | None = None
) -> JointRefinement:
    """Refine the poses of cameras that watched the same robot.

    Where cameras agree within their uncertainty, as those must that share a clock or joint offsets
    by themselves, outlines move by hundredths of a pixel: one linearisation is enough. Larger
    steps come from clocks that are given against what the images say; ``step_px`` tells.

    Args:
        cameras: What they measured.
        clocks: A number for the clock of each camera, equal where cameras share one; None lets
            those share one whose own lags agree within their uncertainty.

    Raises:
        JointRefinementError: The measurements do not determine all parameters.
    """
    try:
        separate = solve_jointly(cameras, Sharing.nothing(len(cameras)))
        spread = separate.covariance(cameras)
        chosen = _agreeing_clocks(cameras, separate, spread) if clocks is None else tuple(clocks)
        everyone = tuple(range(len(cameras)))
        lag_pairs = _equal(cameras, separate, everyone, [LAG])
        joint_pairs = _equal(cameras, separate, everyone, range(FIRST_JOINT, cameras[0].columns))
        lags = disagreement(separate, spread, lag_pairs) if lag_pairs else None
        offsets = disagreement(separate, spread, joint_pairs) if joint_pairs else None
        sharing = Sharing(chosen, offsets is not None and offsets.p_value >= LEAST_P_VALUE)
        pairs = [
            pair
            for clock in set(chosen)
            for pair in _equal(
                cameras, separate, [i for i in everyone if chosen[i] == clock], [LAG]
            )
        ]
        pairs += joint_pairs if sharing.joint_offsets else []
        shared = disagreement(separate, spread, pairs) if pairs else None
        together = solve_jointly(cameras, sharing)
        covariance = together.covariance(cameras)
    except np.linalg.LinAlgError as error:
        raise JointRefinementError(
            f"the cameras cannot be refined together ({error}): their images leave parameters "
            "undetermined, record more varied robot poses"
        ) from error
    estimates, rows, steps_px = [], [], []
    for i, camera in enumerate(cameras):
        step = together.of_camera(i)[camera.fitted] - camera.values()[camera.fitted]
        centre = camera.systems.centre
        estimate = camera.estimate.stepped(camera.fitted, step, centre, camera.systems.joints)
        estimates.append(estimate)
        row = np.zeros((POSE_SIZE, len(covariance)))
        row[:, together.columns[i][:POSE_SIZE]] = camera_from_twist(estimate.T_camera_base, centre)
        rows.append(row)
        H = camera.systems.restricted(camera.fitted).H.sum(axis=0)
        steps_px.append(np.sqrt(max(step @ H @ step, 0.0) / camera.systems.weight.sum()))
    J = np.concatenate(rows)
    return JointRefinement(
        tuple(estimates), J @ covariance @ J.T, sharing, lags, offsets, shared, np.array(steps_px)
    )


def _equal(
    cameras: Sequence[CameraSystems],
    separate: JointSystem,
    chosen: Sequence[int],
    columns: Sequence[int],
) -> list[tuple[int, int]]:
    """Return the pairs of parameters that are equal where some cameras share columns."""
    pairs = []
    for column in columns:
        places = [int(separate.columns[i][column]) for i in chosen if column in cameras[i].fitted]
        pairs += [(places[0], place) for place in places[1:]]
    return pairs


def _agreeing_clocks(
    cameras: Sequence[CameraSystems], separate: JointSystem, spread: NDArray[np.float64]
) -> tuple[int, ...]:
    """Return clocks such that lags on the same one agree, as few as can be had in one pass."""
    clocks: list[list[int]] = []
    order = sorted(range(len(cameras)), key=lambda i: cameras[i].estimate.lag_s)
    for camera in order:
        together = [*clocks[-1], camera] if clocks else [camera]
        pairs = _equal(cameras, separate, together, [LAG])
        if clocks and (not pairs or disagreement(separate, spread, pairs).p_value >= LEAST_P_VALUE):
            clocks[-1].append(camera)
        else:
            clocks.append([camera])
    numbers = {camera: number for number, clock in enumerate(clocks) for camera in clock}
    return tuple(numbers[i] for i in range(len(cameras)))


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
    columns, fitted, considered, count = _layout(cameras, sharing)
    own = [camera.equations() for camera in cameras]
    factors = [(place[:, None] == np.arange(count)).astype(float) for place in columns]
    sigmas = np.full(count, np.inf)
    H, g = np.zeros((len(cameras), count, count)), np.zeros((len(cameras), count))
    for i, (camera, equations) in enumerate(zip(cameras, own, strict=True)):
        local, place = camera.fitted, columns[i][camera.fitted]
        sigmas[place] = camera.parameters.sigmas(camera.systems.joints)[local]
        alone = equations.restricted(local)
        H[i][np.ix_(place, place)] = alone.H.sum(axis=0)
        # With its prior alone, a camera's measurements lead to its own result.
        g[i][place] = -alone.information() @ camera.values()[local]
    value = np.zeros(count)
    results = NormalEquations(H, g, np.zeros(len(cameras)), np.zeros(count), np.zeros(count))
    value[fitted] = results.with_priors(sigmas).restricted(fitted).solve()
    moved = []
    for camera, equations, place, factor in zip(cameras, own, columns, factors, strict=True):
        step = np.zeros(camera.columns)
        step[camera.fitted] = value[place[camera.fitted]] - camera.values()[camera.fitted]
        turned = np.broadcast_to(factor, (len(equations), *factor.shape))
        moved.append(equations.moved(step).substituted(turned))
    together = NormalEquations(
        np.concatenate([each.H for each in moved]),
        np.concatenate([each.g for each in moved]),
        np.concatenate([each.cost for each in moved]),
        np.zeros(count),
        np.zeros(count),
    ).with_priors(sigmas)
    camera_of = np.repeat(np.arange(len(cameras)), [len(each) for each in own])
    return JointSystem(columns, together, camera_of, fitted, considered, value)


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
            estimated = column in camera.fitted
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
