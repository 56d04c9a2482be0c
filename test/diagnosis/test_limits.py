# SPDX-License-Identifier: Apache-2.0
"""Every limit of the verdict: figures just on either side of it are judged differently.

The figures are those that the limits were found with (benchmarks/RESULTS.md, "Can the verdict be
trusted?"), so a limit that moves by more than a few per cent fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.diagnosis import misfit
from calib_all_ros.diagnosis.agreement_findings import (
    held_out_findings,
    overlap_findings,
    start_findings,
    timing_findings,
)
from calib_all_ros.diagnosis.hypotheses import HypothesisTest, hypothesis_findings
from calib_all_ros.diagnosis.misfit import JointDirections, MaskTruth, explain_misfit
from calib_all_ros.diagnosis.observability import ViewFigures, observability_findings
from calib_all_ros.diagnosis.scene import (
    Bump,
    CameraFigures,
    DynamicObjectFigures,
    LightFigures,
    SceneFigures,
)
from calib_all_ros.diagnosis.scene_findings import SceneLimits, scene_findings
from calib_all_ros.diagnosis.uncertainty import PoseUncertainty
from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.results.records import Finding
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.pipeline import PoseResult
from calib_all_ros.solving.search import StartAgreement

LIMITS = VerdictLimits()
MANY = 20
Judge = Callable[[PoseResult, float], list[Finding]]


def quality(name: str) -> Judge:
    return lambda good, x: overlap_findings(replace(good, quality={name: x}), LIMITS)


def overlap(good: PoseResult, iou: float) -> list[Finding]:
    return overlap_findings(replace(good, iou=np.full(6, iou), quality={}), LIMITS)


def fitting(good: PoseResult, share: float) -> list[Finding]:
    # Late images here and there: no drift.
    used = np.random.default_rng(0).permutation(MANY) < round(share * MANY)
    seen = replace(good, used=used, own_lag_s=np.where(used, np.nan, 0.3))
    return timing_findings(seen, np.arange(MANY), np.arange(MANY) * 0.1, LIMITS)


def lag(good: PoseResult, lag_s: float) -> list[Finding]:
    late = replace(good, estimate=Estimate(np.eye(4), lag_s=lag_s))
    return timing_findings(late, np.arange(6), np.arange(6.0), LIMITS)


def held_out(good: PoseResult, share: float) -> list[Finding]:
    figures = {"outline_share": 0.9, "held_out_outline_share": 0.9 * share}
    return held_out_findings(replace(good, quality=figures), LIMITS)


def rival(good: PoseResult, share: float) -> list[Finding]:
    return start_findings(replace(good, starts=StartAgreement(6, 4, share)), LIMITS)


def uncertain(position_mm: float = 1.0, rotation_deg: float = 0.01) -> PoseUncertainty:
    """A pose whose error along one axis stays within a figure nine times in ten."""
    sigma = np.full(6, 1e-7)
    sigma[0], sigma[4] = 1e-3 * position_mm / 1.645, np.radians(rotation_deg) / 1.645
    return PoseUncertainty(np.diag(sigma**2), 0.5, 0.01)


def view(
    uncertainty: PoseUncertainty, images: int = 16, motion_m: float = 0.3, visible: float = 1.0
) -> list[Finding]:
    figures = ViewFigures(images, motion_m, 0.1, visible)
    return observability_findings(figures, uncertainty, np.eye(4), LIMITS)


def hypothesis(
    name: str, value: float, gain: float, significance: float, change: tuple[float, float],
    *, from_edges: bool = False,
) -> list[Finding]:  # fmt: skip
    change_found: Any = SimpleNamespace(position_mm=change[0], rotation_deg=change[1])
    test = HypothesisTest(
        name, 0, np.array([value]), np.array([abs(value) / significance]), gain, change_found
    )
    return hypothesis_findings(
        [test], ("a",), np.arange(3), np.arange(3.0), LIMITS, from_edges=from_edges
    )


def joint(gain: float = 0.2, significance: float = 20.0, mm: float = 30.0, deg: float = 0.0) -> Any:
    return hypothesis("joint", 0.02, gain, significance, (mm, deg))


def focal(gain: float, significance: float, value: float = 0.03, *, edges: bool = False) -> Any:
    return hypothesis("focal", value, gain, significance, (30.0, 0.0), from_edges=edges)


# What is measured, and figures on the better and the worse side of the limit.
BOUNDARIES: dict[str, tuple[Judge, float, float]] = {
    "rejected_iou": (overlap, 0.71, 0.69),
    "warning_iou": (overlap, 0.83, 0.81),
    "rejected_outline_share": (quality("outline_share"), 0.41, 0.39),
    "warning_outline_share": (quality("outline_share"), 0.71, 0.69),
    "rejected_edge_share": (quality("edge_share"), 0.41, 0.39),
    "warning_edge_share": (quality("edge_share"), 0.56, 0.54),
    "rejected_close_share": (quality("edge_within_1px_share"), 0.56, 0.54),
    "warning_close_share": (quality("edge_within_1px_share"), 0.71, 0.69),
    "fitting_share": (fitting, 0.5, 0.45),
    "held_out_share": (held_out, 0.81, 0.79),
    "rejected_position_mm": (lambda _, x: view(uncertain(position_mm=x)), 39.0, 41.0),
    "warning_position_mm": (lambda _, x: view(uncertain(position_mm=x)), 15.5, 16.5),
    "rejected_rotation_deg": (lambda _, x: view(uncertain(rotation_deg=x)), 3.9, 4.1),
    "warning_rotation_deg": (lambda _, x: view(uncertain(rotation_deg=x)), 1.45, 1.55),
    "hypothesis_gain": (lambda _, x: joint(gain=x), 0.024, 0.026),
    "hypothesis_significance": (lambda _, x: joint(significance=x), 5.8, 6.2),
    "focal_significance": (lambda _, x: focal(0.2, x), 1.9, 2.1),
    "certain_focal_gain": (lambda _, x: focal(x, 5.0), 0.0095, 0.0105),
    "edge_focal_tolerance": (lambda _, x: focal(0.2, 9.0, x, edges=True), 0.0145, 0.0155),
    "rejected_change_mm": (lambda _, x: joint(mm=x), 13.5, 14.5),
    "warning_change_mm": (lambda _, x: joint(mm=x), 4.8, 5.2),
    "rejected_change_deg": (lambda _, x: joint(mm=0.0, deg=x), 1.35, 1.45),
    "warning_change_deg": (lambda _, x: joint(mm=0.0, deg=x), 0.38, 0.42),
    "least_images": (lambda _, x: view(uncertain(), images=int(x)), 4, 3),
    "rejected_rival": (rival, 0.985, 0.995),
    "warning_rival": (rival, 0.955, 0.965),
    "warning_lag_s": (lag, 0.145, 0.155),
    "small_motion_m": (lambda _, x: view(uncertain(30.0), motion_m=x), 0.052, 0.048),
    "small_visible_share": (lambda _, x: view(uncertain(30.0), visible=x), 0.51, 0.49),
}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_a_limit_of_the_verdict(name: str, good: PoseResult) -> None:
    judge, better, worse = BOUNDARIES[name]
    judged = [judge(good, figure) for figure in (better, worse)]
    if name in ("small_motion_m", "small_visible_share"):
        # These only choose what is said.
        words = [(found.cause, found.evidence.split("; ")[1][:4]) for (found,) in judged]
        assert words[0] != words[1]
        return
    gravity = {"note": 0, "warning": 1, "rejected": 2}
    graver = [max((gravity[f.severity] for f in found), default=-1) for found in judged]
    assert graver[0] < graver[1]
    assert graver[1] == (2 if name.startswith("rejected") or name == "fitting_share" else graver[1])


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch, good: PoseResult) -> Callable[..., tuple[str, ...]]:
    """What an unexplained misfit is put down to, by what the further examinations find."""

    def causes(
        robot_share: float = 0.1, seen: float = 0.9, inside: float = 0.9, drawn: float = 0.9,
        gained: float = 0.0,
    ) -> tuple[str, ...]:  # fmt: skip
        truths = iter([MaskTruth(seen, inside), MaskTruth(drawn, 0.9)])
        directions = JointDirections(0.5, "elbow", 0.5 + gained, plausible=True)
        monkeypatch.setattr(misfit, "_moving_base", lambda observations: None)
        monkeypatch.setattr(misfit, "seen_share", lambda observations: robot_share)
        monkeypatch.setattr(misfit, "examine_masks", lambda *_: next(truths))
        monkeypatch.setattr(misfit, "examine_directions", lambda *_: directions)
        monkeypatch.setattr(misfit, "silhouettes", lambda *_: None)
        anything: Any = SimpleNamespace(
            surface=SimpleNamespace(simplified=lambda detail: None), motion=None, camera=None
        )
        anything.estimate = SimpleNamespace(
            T_camera_base=np.eye(4), link_poses=lambda _: np.eye(4), camera=lambda camera: camera
        )
        anything.quality = good.quality
        unexplained = Finding("unexplained", "rejected", "it does not fit", "look", 1.0)
        found = explain_misfit(anything, anything, [unexplained], LIMITS, 0)
        return tuple(finding.cause for finding in found)

    return causes


@pytest.mark.parametrize(
    ("name", "figure", "better", "worse", "cause"),
    [
        ("small_robot_share", "robot_share", 0.0105, 0.0095, "degenerate_view"),
        ("sound_mask_agreement", "inside", 0.76, 0.74, "bad_masks"),
        ("least_mask_seen", "seen", 0.26, 0.24, "bad_masks"),
        ("mask_agreement", "seen", 0.61, 0.59, "bad_masks"),
        ("reversal_gain", "gained", 0.078, 0.082, "mirrored_joint"),
    ],
)
def test_a_limit_of_what_a_misfit_is_put_down_to(
    name: str, figure: str, better: float, worse: float, cause: str, explained: Any
) -> None:
    # Masks that miss as much as the drawn robot does are not at fault.
    drawn = {"drawn": 0.2} if name == "least_mask_seen" else {}
    assert cause not in explained(**{figure: better}, **drawn)
    assert cause in explained(**{figure: worse}, **drawn)


STILL = CameraFigures(1.0, 100, (), (0.0, 9.0), 0.0, 0.0, 0.0)
STEADY = LightFigures(0.0, 0.0, 0.0, 0.0, 3)
ALONE = DynamicObjectFigures(0.0, 0.0, (), 0.5, 0.95, 0.0, 0.0, 0.0, 0.0)


def scene(**changes: Any) -> list[Finding]:
    """Findings of a scene that differs from a healthy one in some figures."""
    parts = [replace(p, **{k: v for k, v in changes.items() if hasattr(p, k)}) for p in
             (STILL, STEADY, ALONE)]  # fmt: skip
    return scene_findings(SceneFigures(*parts))


def bump(shift_px: float) -> list[Finding]:
    return scene(bumps=(Bump(1, 2, 0.1, 0.2, shift_px, 0.1),))


SCENE_BOUNDARIES: dict[str, tuple[Callable[[float], list[Finding]], float, float]] = {
    "rejected_bump_px": (bump, 1.45, 1.55),
    "warning_bump_px": (bump, 0.68, 0.72),
    "rejected_drift_px": (lambda x: scene(drift_px=x), 2.9, 3.1),
    "warning_drift_px": (lambda x: scene(drift_px=x), 0.96, 1.04),
    "rejected_shake_px": (lambda x: scene(shake_px=x), 1.95, 2.05),
    "warning_shake_px": (lambda x: scene(shake_px=x), 0.78, 0.82),
    "rejected_local_light": (lambda x: scene(local=x), 0.29, 0.31),
    "warning_local_light": (lambda x: scene(local=x), 0.048, 0.052),
    "noted_gain": (lambda x: scene(gain_spread=x), 0.048, 0.052),
    "warning_cut_off_share": (lambda x: scene(cut_off_share=x), 0.19, 0.21),
    "explaining_share": (lambda x: scene(explained=x, share=0.02), 0.64, 0.66),
    "dynamic_image_share": (lambda x: scene(image_share=x, share=0.02), 0.096, 0.104),
    "apart_image_share": (
        lambda x: scene(explained=0.5, apart_share=0.02, apart_image_share=x), 0.21, 0.23),
    "rejected_dynamic_share": (lambda x: scene(share=x), 0.038, 0.042),
    "warning_dynamic_share": (lambda x: scene(share=x), 0.0038, 0.0042),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENE_BOUNDARIES)
def test_a_limit_of_the_scene(name: str) -> None:
    judge, better, worse = SCENE_BOUNDARIES[name]
    gravity = {"note": 0, "warning": 1, "rejected": 2}
    graver = [
        max((gravity[f.severity] for f in judge(figure)), default=-1) for figure in (better, worse)
    ]
    assert graver[0] < graver[1]


def test_every_limit_has_its_boundary() -> None:
    misfits = {"small_robot_share", "sound_mask_agreement", "least_mask_seen", "mask_agreement"}
    tested = {*BOUNDARIES, *misfits, "reversal_gain"}
    assert tested == {field.name for field in fields(VerdictLimits)}
    assert set(SCENE_BOUNDARIES) == {field.name for field in fields(SceneLimits)}
