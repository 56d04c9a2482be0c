# SPDX-License-Identifier: Apache-2.0
"""Findings about the scene: a camera that moved, changes of light, dynamic objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calib_all_ros.diagnosis.scene import (
    CameraFigures,
    DynamicObjectFigures,
    LightFigures,
    SceneFigures,
)
from calib_all_ros.results.records import Finding, Severity

MOST_NAMED = 6


@dataclass(frozen=True)
class SceneLimits:
    """Limits of the figures of the scene, each of a warning and of a rejection where it has both.

    Attributes:
        rejected_bump_px: Rejected when the background jumps by more, full-size pixels.
        warning_bump_px: Warning above.
        rejected_drift_px: Rejected when the background drifts by more from end to end.
        warning_drift_px: Warning above.
        rejected_shake_px: Rejected when the background scatters by more, root mean square.
        warning_shake_px: Warning above.
        rejected_local_light: Rejected when the light changes by more over the image beside a common
            gain, natural logarithm of grey values.
        warning_local_light: Warning above.
        noted_gain: Noted when the brightness of the images spreads by more, natural logarithm.
        warning_cut_off_share: Warning when more of the background becomes too bright or too dark.
        explaining_share: A robot of which less differs from the background is drawn in the wrong
            place.
        dynamic_image_share: A dynamic object is in at least this share of the images.
        apart_image_share: With the robot drawn in the wrong place, in at least this share two
            things move apart from one another.
        rejected_dynamic_share: Rejected when dynamic objects cover more, mean share of the image.
        warning_dynamic_share: Warning above.
    """

    rejected_bump_px: float = 1.5
    warning_bump_px: float = 0.7
    rejected_drift_px: float = 3.0
    warning_drift_px: float = 1.0
    rejected_shake_px: float = 2.0
    warning_shake_px: float = 0.8
    rejected_local_light: float = 0.3
    warning_local_light: float = 0.05
    noted_gain: float = 0.05
    warning_cut_off_share: float = 0.2
    explaining_share: float = 0.65
    dynamic_image_share: float = 0.1
    apart_image_share: float = 0.22
    rejected_dynamic_share: float = 0.04
    warning_dynamic_share: float = 0.004


def scene_findings(
    figures: SceneFigures,
    limits: SceneLimits = SceneLimits(),
) -> list[Finding]:
    """Return what the figures say is wrong, in no particular order."""
    findings: list[Finding] = []
    if figures.camera is not None:
        findings += _camera_findings(figures.camera, limits)
    if figures.light is not None:
        findings += _light_findings(figures.light, limits)
    if figures.dynamic_objects is not None:
        findings += _dynamic_findings(figures.dynamic_objects, limits)
    return findings


def _graded(value: float, rejected: float, warning: float) -> tuple[Severity, float] | None:
    """Return severity and strength of a figure, None below both limits."""
    if value >= rejected:
        return "rejected", value / rejected
    return ("warning", value / warning) if value >= warning else None


def _camera_findings(camera: CameraFigures, limits: SceneLimits) -> list[Finding]:
    findings = []
    start_s, end_s = camera.good_part_s
    for bump in sorted(camera.bumps, key=lambda bump: -bump.shift_px)[:1]:
        grade = _graded(bump.shift_px, limits.rejected_bump_px, limits.warning_bump_px)
        if grade is None:
            continue
        more = f", the largest of {len(camera.bumps)} such jumps" if len(camera.bumps) > 1 else ""
        evidence = (
            f"the background jumps by {bump.shift_px:.1f} px between images {bump.before} and "
            f"{bump.after} ({bump.before_s:.1f} and {bump.after_s:.1f} s after the first){more}: "
            f"the camera was bumped, by about {bump.turn_deg:.2f} deg if it turned"
        )
        advice = (
            f"use the longest part without a jump (--start {_before(start_s)} "
            f"--end {_after(end_s)}), or record again with a camera that is fixed firmly"
        )
        findings.append(Finding("camera_moved", grade[0], evidence, advice, grade[1]))
    grade = _graded(camera.drift_px, limits.rejected_drift_px, limits.warning_drift_px)
    if grade is not None:
        evidence = (
            f"the background drifts by {camera.drift_px:.1f} px from the first to the last image"
        )
        advice = "tighten the camera's mount, let it settle and record again"
        findings.append(Finding("camera_moved", grade[0], evidence, advice, grade[1]))
    grade = _graded(camera.shake_px, limits.rejected_shake_px, limits.warning_shake_px)
    if grade is not None:
        evidence = (
            f"the background is displaced by {camera.shake_px:.1f} px from image to image (root "
            f"mean square, about {camera.shake_deg:.2f} deg): the camera shakes"
        )
        advice = "fix the camera to something that the robot does not shake, and record again"
        findings.append(Finding("camera_moved", grade[0], evidence, advice, grade[1]))
    return findings


def _before(seconds: float) -> str:
    """Return a time just before one, for the command line."""
    return f"{max(seconds - 0.01, 0.0):.2f}"


def _after(seconds: float) -> str:
    return f"{seconds + 0.01:.2f}"


def _light_findings(light: LightFigures, limits: SceneLimits) -> list[Finding]:
    advice = (
        "switch off automatic exposure and white balance, keep the light as it is, and record again"
    )
    grade = _graded(light.local, limits.rejected_local_light, limits.warning_local_light)
    if grade is not None:
        evidence = (
            "beside what a common gain takes away, the brightness changes by "
            f"{_percent(light.local)} over the background (root mean square), most in image "
            f"{light.strongest}"
        )
        return [Finding("light_changed", grade[0], evidence, advice, grade[1])]
    if light.cut_off_share >= limits.warning_cut_off_share:
        evidence = (
            f"in some images {100 * light.cut_off_share:.0f} % of the background is too dark or "
            "too bright that is not in others"
        )
        strength = light.cut_off_share / limits.warning_cut_off_share
        return [Finding("light_changed", "warning", evidence, advice, strength)]
    if light.gain_spread >= limits.noted_gain:
        evidence = (
            f"the brightness of the images varies by {_percent(light.gain_spread)} (standard "
            "deviation), which a gain for each image takes away"
        )
        strength = light.gain_spread / limits.noted_gain
        return [Finding("light_changed", "note", evidence, "fix the exposure", strength)]
    return []


def _percent(logarithm: float) -> str:
    return f"{100 * logarithm:.0f} %"


def _dynamic_findings(figures: DynamicObjectFigures, limits: SceneLimits) -> list[Finding]:
    advice = "keep people and moving objects out of the view, or cut to the part without them"
    if figures.explained >= limits.explaining_share:
        if figures.image_share < limits.dynamic_image_share:
            return []
        grade = _graded(figures.share, limits.rejected_dynamic_share, limits.warning_dynamic_share)
        evidence = (
            f"something besides the robot covers up to {100 * figures.largest_share:.0f} % of "
            f"the image and moves, or comes and goes: in images {_listed(figures.images)}"
        )
    else:
        # A robot that is drawn in the wrong place is itself what moves beside its drawing.
        if figures.apart_image_share < limits.apart_image_share:
            return []
        grade = _graded(
            figures.apart_share, limits.warning_dynamic_share, limits.warning_dynamic_share
        )
        evidence = (
            f"in {100 * figures.apart_image_share:.0f} % of the images two things move far from "
            "one another, of which only one can be the robot"
        )
    return [] if grade is None else [Finding("moving_object", grade[0], evidence, advice, grade[1])]


def _listed(numbers: Sequence[int]) -> str:
    named = ", ".join(str(number) for number in numbers[:MOST_NAMED])
    rest = len(numbers) - MOST_NAMED
    return f"{named} and {rest} more" if rest > 0 else named
