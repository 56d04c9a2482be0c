# SPDX-License-Identifier: Apache-2.0
"""Refine the calibrations of several cameras of one robot together.

What they have in common is estimated from all of them: the joints' zero positions, and the lag of
cameras on one clock. Whether they may share it is asked first: their own results have to agree
within their uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
from calib_all_ros.solving.frame_systems import FIRST_JOINT, FOCAL_SCALE, LAG, MASK_BIAS
from calib_all_ros.solving.joint_systems import (
    CameraSystems,
    Disagreement,
    JointSystem,
    Sharing,
    disagreement,
    joint_covariance,
    solve_jointly,
)
from calib_all_ros.solving.pose_errors import camera_from_twist

# What differs by more than chance makes it differ in one of a hundred cases is not shared.
LEAST_P_VALUE = 0.01


class JointRefinementError(CalibAllError):
    """Cameras that cannot be refined together."""


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
        spread = joint_covariance(separate, cameras)
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
        covariance = joint_covariance(together, cameras)
    except np.linalg.LinAlgError as error:
        raise JointRefinementError(
            f"the cameras cannot be refined together ({error}): their images leave parameters "
            "undetermined, record more varied robot poses"
        ) from error
    estimates = tuple(_moved(camera, together.of_camera(i)) for i, camera in enumerate(cameras))
    return JointRefinement(
        estimates,
        _pose_covariance(cameras, estimates, together, covariance),
        sharing,
        lags,
        offsets,
        shared,
        np.array([_step_px(camera, together.of_camera(i)) for i, camera in enumerate(cameras)]),
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
        places = [int(separate.columns[i][column]) for i in chosen if cameras[i].estimates(column)]
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


def _moved(camera: CameraSystems, values: NDArray[np.float64]) -> Estimate:
    """Return a camera's estimate with the joint values of its (K,) parameters."""
    estimate = camera.estimate.moved(values[:POSE_SIZE], camera.systems.centre)
    if camera.estimates(LAG):
        estimate = replace(estimate, lag_s=float(values[LAG]))
    if camera.estimates(MASK_BIAS):
        estimate = replace(estimate, mask_bias_px=float(values[MASK_BIAS]))
    if camera.estimates(FOCAL_SCALE):
        estimate = replace(estimate, focal_scale=1.0 + float(values[FOCAL_SCALE]))
    if camera.estimates(FIRST_JOINT):
        estimate = replace(estimate, joint_offsets=values[FIRST_JOINT:])
    return estimate


def _step_px(camera: CameraSystems, values: NDArray[np.float64]) -> float:
    """Return by how much the step to the (K,) joint values moves a camera's outline."""
    step = np.where(np.isin(np.arange(len(values)), camera.fitted), values - camera.values(), 0.0)
    H = camera.systems.H[:, : len(step), : len(step)].sum(axis=0)
    return float(np.sqrt(max(step @ H @ step, 0.0) / camera.systems.weight.sum()))


def _pose_covariance(
    cameras: Sequence[CameraSystems],
    estimates: Sequence[Estimate],
    together: JointSystem,
    covariance: NDArray[np.float64],
) -> NDArray[np.float64]:
    J = np.zeros((POSE_SIZE * len(cameras), len(covariance)))
    for i, (camera, estimate) in enumerate(zip(cameras, estimates, strict=True)):
        rows = POSE_SIZE * i + np.arange(POSE_SIZE)
        to_camera = camera_from_twist(estimate.T_camera_base, camera.systems.centre)
        J[np.ix_(rows, together.pose_columns(i))] = to_camera
    return np.asarray(J @ covariance @ J.T)
