# SPDX-License-Identifier: Apache-2.0
"""Set of cameras that watched one robot: each calibrated by itself, then all refined together."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from calib_all_ros.diagnosis.uncertainty import PoseUncertainty
from calib_all_ros.geometry import se3
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.cameras_file import JointRecord, RelativePoseRecord, SharedValue
from calib_all_ros.results.records import Covariance, Status, Verdict
from calib_all_ros.solution import Solution
from calib_all_ros.solving.joint_refinement import (
    LEAST_P_VALUE,
    CameraSystems,
    JointRefinement,
    JointRefinementError,
    refine_jointly,
)
from calib_all_ros.solving.pose_errors import RELATIVE_FRAME, relative_pose

# A larger step would leave the range of the linearisation; cameras that agree take none near it.
MOST_STEP_PX = 1.0
# Chance alone leads to a warning in one of a thousand cases.
WARNING_P_VALUE = 1e-3
logger = logging.getLogger(__name__)
_RANK: dict[Status, int] = {"accepted": 0, "warning": 1, "rejected": 2}
STAGE_ALONE = "alone"


def contradiction(names: Sequence[str], refined: JointRefinement) -> str | None:
    """Return why cameras cannot share the clocks that they were said to, None where they can."""
    worst = int(np.argmax(refined.step_px))
    if refined.step_px[worst] <= MOST_STEP_PX:
        return None
    return (
        "the images contradict the clocks that were given: one lag would move the robot's outline "
        f"in the images of {names[worst]} by {refined.step_px[worst]:.1f} px, so each camera "
        "keeps its own: leave out --clock"
    )


def agreement_warnings(refined: JointRefinement) -> list[str]:
    """Return the warnings about values that should be equal."""
    warnings = []
    if refined.offsets is not None and refined.offsets.p_value < WARNING_P_VALUE:
        warnings.append(
            "the cameras disagree about the joint offsets "
            f"(p = {refined.offsets.p_value:.1g}), so each keeps its own: check the intrinsics and "
            "the time stamps of each camera"
        )
    if refined.shared is not None and refined.shared.p_value < WARNING_P_VALUE:
        warnings.append(
            f"the lags of cameras on one clock disagree (p = {refined.shared.p_value:.1g}): leave "
            "out --clock"
        )
    return warnings


def frame_warnings(frames: Mapping[str, str]) -> list[str]:
    """Return which cameras call their optical frames alike.

    Args:
        frames: Optical frame of each camera, by its name.
    """
    by_frame: dict[str, list[str]] = {}
    for name, frame in frames.items():
        by_frame.setdefault(frame, []).append(name)
    return [
        f"{' and '.join(names)} call their frame '{frame}' alike: TF needs a name for each"
        for frame, names in by_frame.items()
        if len(names) > 1
    ]


def joint_notes(record: JointRecord, refined: JointRefinement) -> list[str]:
    """Return what is shared and what is not."""
    notes = [
        f"{' and '.join(clock)} share a clock: their images lag by "
        f"{1e3 * refined.estimates[record.cameras.index(clock[0])].lag_s:+.1f} ms"
        for clock in record.clocks
        if len(clock) > 1 and refined.lags is not None
    ]
    if len(record.clocks) > 1 and refined.lags is not None:
        lags = ", ".join(
            f"{name} {1e3 * estimate.lag_s:+.1f} ms"
            for name, estimate in zip(record.cameras, refined.estimates, strict=True)
        )
        notes.append(f"the lags are not one (p = {refined.lags.p_value:.1g} for one clock): {lags}")
    if refined.offsets is not None and record.joint_offsets is None:
        notes.append(
            f"the joint offsets are not shared: the cameras' own disagree "
            f"(p = {refined.offsets.p_value:.1g}, shared from {LEAST_P_VALUE} on)"
        )
    return notes


@dataclass(frozen=True, eq=False)
class SeparateResult:
    """A camera calibrated by itself.

    Attributes:
        name: Of the camera, unique.
        calibration: The result.
        solution: What it rests on.
    """

    name: str
    calibration: Calibration
    solution: Solution


@dataclass(frozen=True, eq=False)
class CameraSet:
    """Calibrations of several cameras that go together.

    Attributes:
        calibrations: By the names of the cameras; refined together where that was possible.
        joint: What the cameras share; None where they were not refined together.
        relative_poses: Of all pairs of cameras that were refined together.
        verdict: The worst of the cameras', and whether they agree.
        notes: What was done and what was not, one sentence each.
    """

    calibrations: dict[str, Calibration]
    joint: JointRecord | None
    relative_poses: tuple[RelativePoseRecord, ...]
    verdict: Verdict
    notes: tuple[str, ...]


def refine_cameras(
    separate: Sequence[SeparateResult],
    clocks: Sequence[Sequence[str]] | None = None,
) -> CameraSet:
    """Refine together the cameras that can be used.

    Args:
        separate: Each camera by itself.
        clocks: Names of cameras that share one clock, group by group; cameras that are in none
            have a clock of their own. None lets those share one whose lags agree.

    Returns:
        The cameras; as they are by themselves, with a warning, where the measurements do not
        determine all parameters.
    """
    calibrations = {result.name: result.calibration for result in separate}
    notes: list[str] = []
    warnings = frame_warnings(
        {result.name: result.calibration.camera.frame_id for result in separate}
    )
    usable = [result for result in separate if _is_usable(result)]
    notes += [
        f"{result.name} was rejected by itself and takes no part in the joint refinement"
        for result in separate
        if result not in usable
    ]
    if len(usable) < 2:
        notes.append("fewer than two cameras can be used: there is nothing to refine together")
        return CameraSet(calibrations, None, (), _verdict(separate, warnings), tuple(notes))
    names = [result.name for result in usable]
    systems = [_systems(result.solution) for result in usable]
    try:
        refined = refine_jointly(systems, None if clocks is None else _clock_numbers(names, clocks))
        contradicted = contradiction(names, refined)
        if contradicted is not None:
            warnings.append(contradicted)
            refined = refine_jointly(systems, range(len(names)))
    except JointRefinementError as error:
        # What each camera gives by itself holds all the same.
        logger.warning(error)
        warnings.append(str(error))
        return CameraSet(calibrations, None, (), _verdict(separate, warnings), tuple(notes))
    warnings += agreement_warnings(refined)
    record = _record(names, usable, refined)
    notes += joint_notes(record, refined)
    for note in notes:
        logger.info(note)
    for i, result in enumerate(usable):
        calibrations[result.name] = _refined(result, names, refined, i)
    pairs = tuple(
        _relative(calibrations, (names[a], names[b]), refined.covariance_of(a, b))
        for a, b in itertools.combinations(range(len(names)), 2)
    )
    return CameraSet(calibrations, record, pairs, _verdict(separate, warnings), tuple(notes))


def _is_usable(result: SeparateResult) -> bool:
    return (
        result.calibration.verdict.status != "rejected"
        and result.solution.result.systems is not None
    )


def _systems(solution: Solution) -> CameraSystems:
    result = solution.result
    assert result.systems is not None
    return CameraSystems(
        result.systems,
        result.estimate,
        result.parameters,
        solution.observations.camera.width,
    )


def _clock_numbers(names: Sequence[str], clocks: Sequence[Sequence[str]]) -> list[int]:
    own = {name: len(clocks) + i for i, name in enumerate(names)}
    shared = {name: number for number, clock in enumerate(clocks) for name in clock}
    return [shared.get(name, own[name]) for name in names]


def _record(
    names: Sequence[str], usable: Sequence[SeparateResult], refined: JointRefinement
) -> JointRecord:
    clocks: dict[int, list[str]] = {}
    for name, clock in zip(names, refined.sharing.clocks, strict=True):
        clocks.setdefault(clock, []).append(name)
    joint_names = usable[0].solution.observations.motion.kinematics.joint_names
    offsets = refined.estimates[0].joint_offsets if refined.sharing.joint_offsets else None
    return JointRecord(
        cameras=tuple(names),
        clocks=tuple(tuple(clock) for clock in clocks.values()),
        joint_offsets=None
        if offsets is None
        else {name: float(value) for name, value in zip(joint_names, offsets, strict=True)},
        lags=None if refined.lags is None else SharedValue.of(refined.lags),
        offsets=None if refined.offsets is None else SharedValue.of(refined.offsets),
        shared=None if refined.shared is None else SharedValue.of(refined.shared),
    )


def _refined(
    result: SeparateResult, names: Sequence[str], refined: JointRefinement, number: int
) -> Calibration:
    """Return a camera's calibration with its joint estimate and covariance."""
    alone, estimate = result.calibration, refined.estimates[number]
    covariance = refined.covariance_of(number)
    scatter = result.solution.diagnosis.uncertainty
    assert scatter is not None
    uncertainty = replace(scatter, covariance=covariance)
    degrees, metres = se3.difference(estimate.T_camera_base, alone.T_camera_base)
    others = ", ".join(name for name in names if name != result.name)
    note = (
        f"refined together with {others}, which moved the camera by {1e3 * metres:.2f} mm and "
        f"{degrees:.3f} deg"
    )
    offsets = alone.joint_offsets
    if offsets is not None and estimate.joint_offsets is not None:
        values = (float(value) for value in estimate.joint_offsets)
        offsets = dict(zip(offsets, values, strict=True))
    return replace(
        alone,
        T_camera_base=estimate.T_camera_base,
        covariance=Covariance(covariance),
        lag_ms=None if alone.lag_ms is None else 1e3 * estimate.lag_s,
        mask_bias_px=None if alone.mask_bias_px is None else estimate.mask_bias_px,
        focal_scale=None if alone.focal_scale is None else estimate.focal_scale,
        joint_offsets=offsets,
        quality={**alone.quality, **_expected(uncertainty)},
        notes=(*alone.notes, note),
        stages={
            **alone.stages,
            STAGE_ALONE: alone.T_camera_base,
            "refined": estimate.T_camera_base,
        },
    )


def _expected(uncertainty: PoseUncertainty) -> dict[str, float]:
    return {
        "expected_position_mm": uncertainty.expected_position_mm,
        "expected_rotation_deg": uncertainty.expected_rotation_deg,
    }


def _relative(
    calibrations: dict[str, Calibration], names: tuple[str, str], covariance: np.ndarray
) -> RelativePoseRecord:
    a, b = (calibrations[name] for name in names)
    relative = relative_pose(a.T_base_camera, b.T_base_camera, covariance)
    return RelativePoseRecord(
        a=names[0],
        b=names[1],
        a_frame=a.camera.frame_id,
        b_frame=b.camera.frame_id,
        T_a_b=relative.T_a_b,
        covariance=Covariance(relative.covariance, frame=RELATIVE_FRAME),
    )


def _verdict(separate: Sequence[SeparateResult], warnings: Sequence[str]) -> Verdict:
    """Return the worst verdict, and what speaks against the cameras together."""
    statuses: list[Status] = [result.calibration.verdict.status for result in separate]
    if warnings:
        statuses.append("warning")
    reasons = [
        f"{result.name}: {reason}"
        for result in sorted(separate, key=lambda result: -_RANK[result.calibration.verdict.status])
        for reason in result.calibration.verdict.reasons
    ]
    return Verdict(max(statuses, key=_RANK.__getitem__), (*reasons, *warnings))
