# SPDX-License-Identifier: Apache-2.0
"""Diagnosis of a refined pose: its uncertainty, figures and findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.agreement_findings import (
    held_out_findings,
    overlap_findings,
    start_findings,
    timing_findings,
)
from calib_all_ros.diagnosis.hypotheses import (
    HypothesisTest,
    examine_hypotheses,
    hypothesis_findings,
)
from calib_all_ros.diagnosis.mark_check import examine_mark, mark_findings
from calib_all_ros.diagnosis.misfit import explain_misfit
from calib_all_ros.diagnosis.observability import observability_findings, view_figures
from calib_all_ros.diagnosis.scene import examine_scene
from calib_all_ros.diagnosis.scene_findings import scene_findings
from calib_all_ros.diagnosis.uncertainty import PoseUncertainty, pose_uncertainty
from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.results.records import Finding
from calib_all_ros.settings import Settings
from calib_all_ros.solving.mark import MarkOutcome
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.pipeline import PoseResult, estimated_parameters

# On the standard deviations; measured by benchmarks/verdict.py.
FACTOR_WITH_MASKS = 1.0
FACTOR_WITH_IMAGES = 1.0


@dataclass(frozen=True)
class Diagnosis:
    """What is known about a refined pose.

    Attributes:
        uncertainty: Of the pose, None where it could not be estimated.
        findings: What is wrong, in no particular order.
        quality: Figures, with units in their names.
    """

    uncertainty: PoseUncertainty | None
    findings: tuple[Finding, ...]
    quality: dict[str, float]


def diagnose(
    observations: Observations,
    result: PoseResult,
    settings: Settings,
    mark: MarkOutcome | None = None,
    limits: VerdictLimits = VerdictLimits(),  # noqa: B008
) -> Diagnosis:
    """Examine a refined pose.

    Args:
        observations: What it was fitted to.
        result: The pose and its evidence.
        settings: What was estimated.
        mark: The mark's track, if there was a mark.
        limits: The limits.
    """
    kinematics = observations.motion.kinematics
    fitted = estimated_parameters(settings.refinement).columns(len(kinematics.joint_names))
    T_camera_base = result.estimate.T_camera_base
    width = observations.camera.width
    uncertainty, tests = None, []
    if result.systems is not None:
        factor = FACTOR_WITH_IMAGES if observations.masks is None else FACTOR_WITH_MASKS
        uncertainty = pose_uncertainty(result.systems, fitted, T_camera_base, width, factor)
        tests = examine_hypotheses(
            result.systems, fitted, T_camera_base, width, _testable_joints(observations)
        )
    frame_numbers = observations.frames[observations.solve]
    view = view_figures(observations, result.estimate, result.used)
    scene = examine_scene(observations, result.estimate)
    stamps_s = observations.seconds[observations.solve]
    overlap = overlap_findings(result, limits)
    findings = [
        *overlap,
        *held_out_findings(result, limits),
        *timing_findings(result, frame_numbers, stamps_s, limits),
        *start_findings(result, limits),
        *hypothesis_findings(
            tests,
            kinematics.joint_names,
            frame_numbers,
            stamps_s,
            limits,
            misfit=bool(overlap),
            from_edges=observations.masks is None,
        ),
        *_relevant(scene_findings(scene), overlap, observations),
        *_mark_findings(observations, result, mark),
        *observability_findings(view, uncertainty, T_camera_base, limits),
    ]
    findings += explain_misfit(observations, result, findings, limits, settings.seed)
    quality = {
        "robot_image_share": view.robot_share,
        "robot_visible_share": view.visible_share,
        "robot_motion_m": view.motion_m,
        "starts_tried": float(result.starts.tried),
        "starts_agreeing": float(result.starts.agreeing),
        "rival_share": result.starts.rival,
        **scene.quality(),
        **_hypothesis_quality(tests),
        **_uncertainty_quality(uncertainty),
    }
    return Diagnosis(uncertainty, tuple(findings), quality)


def _relevant(
    found: Sequence[Finding], overlap: Sequence[Finding], observations: Observations
) -> list[Finding]:
    """Take dynamic objects and light for notes where recorded masks agree all the same."""
    if observations.masks is None or overlap:
        return list(found)
    return [
        replace(finding, severity="note")
        if finding.cause in ("moving_object", "light_changed")
        else finding
        for finding in found
    ]


def _mark_findings(
    observations: Observations, result: PoseResult, mark: MarkOutcome | None
) -> list[Finding]:
    if mark is None:
        return []
    estimate = result.estimate
    figures = examine_mark(
        mark.track, mark.motion, observations.camera, estimate.T_camera_base, estimate.lag_s
    )
    return [] if figures is None else mark_findings(figures)


def _testable_joints(observations: Observations) -> NDArray[np.intp]:
    """Return the joints that were recorded and move something to be seen.

    Not the first one: what is wrong with it moves the whole arm against the base, as another
    camera would, and only the outline of the base itself could tell.
    """
    kinematics, assumed = observations.motion.kinematics, observations.motion.assumed_positions
    shown = {kinematics.link_names[link] for link in np.unique(observations.surface.link_of_vertex)}
    moving = {joint for link in shown for joint in kinematics.moving_joints(link)[1:]}
    names = kinematics.joint_names
    return np.array(
        [i for i, name in enumerate(names) if name in moving and name not in assumed], dtype=np.intp
    )


def _hypothesis_quality(tests: list[HypothesisTest]) -> dict[str, float]:
    quality = {}
    for test in tests:
        if test.name == "focal":
            quality["free_focal_scale"] = 1.0 + float(test.value[0])
            quality["free_focal_scale_sigma"] = float(test.sigma[0])
    best = max(tests, key=lambda test: test.gain, default=None)
    if best is not None:
        quality["best_hypothesis_gain"] = best.gain
        quality["best_hypothesis_significance"] = best.significance
    return quality


def _uncertainty_quality(uncertainty: PoseUncertainty | None) -> dict[str, float]:
    if uncertainty is None:
        return {}
    return {
        "expected_position_mm": uncertainty.expected_position_mm,
        "expected_rotation_deg": uncertainty.expected_rotation_deg,
        "leave_some_out_position_mm": uncertainty.scatter_position_mm,
        "leave_some_out_rotation_deg": uncertainty.scatter_rotation_deg,
    }
