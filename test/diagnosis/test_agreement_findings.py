# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.diagnosis.agreement_findings import (
    held_out_findings,
    overlap_findings,
    start_findings,
    timing_findings,
)
from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.results.records import Finding
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.pipeline import PoseResult
from calib_all_ros.solving.search import StartAgreement

COUNT = 6
NUMBERS = np.array([2, 5, 9, 14, 20, 31])
STAMPS_S = np.arange(COUNT) * 0.5
LIMITS = VerdictLimits()


def timing(result: PoseResult) -> list[Finding]:
    return timing_findings(result, NUMBERS, STAMPS_S, LIMITS)


def test_nothing_is_found_where_nothing_is_wrong(good: PoseResult) -> None:
    assert overlap_findings(good, LIMITS) == []
    assert held_out_findings(good, LIMITS) == []
    assert start_findings(good, LIMITS) == []
    assert timing(good) == []


@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("outline_share", "outline_share", "runs along the masks'"),
        ("edge_share", "edge_share", "coincides with edges"),
        ("edge_within_1px_share", "close_share", "within a pixel"),
    ],
)
def test_outline_apart_from_masks_or_edges(
    good: PoseResult, name: str, limit: str, words: str
) -> None:
    for severity in ("warning", "rejected"):
        share = getattr(LIMITS, f"{severity}_{limit}") - 0.01
        found = overlap_findings(replace(good, quality={name: share}), LIMITS)[0]
        assert found.severity == severity
        assert words in found.evidence and f"{100 * share:.0f} %" in found.evidence
    broken = replace(good, quality={name: float("nan")})
    assert overlap_findings(broken, LIMITS)[0].severity == "rejected"


@pytest.mark.parametrize(
    ("iou", "severity"),
    [(LIMITS.warning_iou - 0.01, "warning"), (LIMITS.rejected_iou - 0.01, "rejected")],
)
def test_low_overlap_without_recorded_masks(good: PoseResult, iou: float, severity: str) -> None:
    used = np.array([True] * 4 + [False] * 2)
    # What was left out does not count, for better or worse.
    result = replace(good, iou=np.where(used, iou, 0.99), used=used, quality={})
    (found,) = overlap_findings(result, LIMITS)
    assert found.severity == severity and f"only {iou:.2f}" in found.evidence
    nothing = replace(result, used=np.zeros(COUNT, bool))
    assert overlap_findings(nothing, LIMITS)[0].severity == "rejected"


def test_held_out_images_that_agree_less_are_told(good: PoseResult) -> None:
    poor = {"outline_share": 0.9, "held_out_outline_share": 0.5}
    (found,) = held_out_findings(replace(good, quality=poor), LIMITS)
    assert found.severity == "warning" and "50 %" in found.evidence and "90 %" in found.evidence


def test_a_rival_that_is_as_good_is_told(good: PoseResult) -> None:
    for rival, severity in ((0.97, "warning"), (0.995, "rejected")):
        starts = StartAgreement(12, 3, rival)
        (found,) = start_findings(replace(good, starts=starts), LIMITS)
        assert (found.cause, found.severity) == ("no_agreement", severity)
        assert "3 of 12 starts" in found.evidence


@pytest.mark.parametrize(("sign", "word"), [(1, "late"), (-1, "early")])
def test_a_large_lag_is_told_with_its_sign(good: PoseResult, sign: int, word: str) -> None:
    lag_s = sign * (LIMITS.warning_lag_s + 0.05)
    (found,) = timing(replace(good, estimate=Estimate(np.eye(4), lag_s=lag_s)))
    assert (found.cause, found.severity) == ("images_late", "warning")
    assert f"{abs(lag_s) * 1e3:.0f} ms too {word}" in found.evidence


def test_images_that_are_not_synchronised_are_named_by_their_numbers(good: PoseResult) -> None:
    used = np.array([True, True, True, True, False, False])
    own_lag_s = np.array([np.nan] * 4 + [0.25, -0.5])
    (found,) = timing(replace(good, used=used, own_lag_s=own_lag_s))
    assert (found.cause, found.severity) == ("images_late", "warning")
    assert "2 of 6 images" in found.evidence
    assert "20 (shows the robot as it was about 0.25 s earlier)" in found.evidence
    assert "31 (shows the robot as it was about 0.50 s later)" in found.evidence
    assert "rests on images 2, 5, 9, 14" in found.evidence


def test_images_that_no_lag_explains_are_named_as_such(good: PoseResult) -> None:
    used = np.array([True, True, True, True, True, False])
    (found,) = timing(replace(good, used=used))
    assert "no lag explains: 31" in found.evidence and "out of step" not in found.evidence


def test_few_good_frames_are_rejected(good: PoseResult) -> None:
    used = np.array([True, True, False, False, False, False])
    (found,) = timing(replace(good, used=used, own_lag_s=np.where(used, np.nan, 0.3)))
    assert found.severity == "rejected"


def test_lags_that_follow_the_time_are_a_drift(good: PoseResult) -> None:
    used = np.array([True, True, False, False, False, False])
    own_lag_s = np.where(used, np.nan, 0.1 * STAMPS_S)
    # Even where little of the outline agrees: a drift is not found by chance.
    result = replace(good, used=used, own_lag_s=own_lag_s, quality={"outline_share": 0.4})
    (found,) = timing(result)
    assert found.cause == "images_late" and "drifts by about +109 ms a second" in found.evidence


def test_lags_of_images_that_fit_nowhere_are_not_believed(good: PoseResult) -> None:
    used = np.array([True, True, False, False, False, False])
    own_lag_s = np.array([np.nan, np.nan, 0.3, -0.2, 0.1, -0.4])
    result = replace(good, used=used, own_lag_s=own_lag_s, quality={"outline_share": 0.4})
    assert timing(result)[0].cause == "unexplained"
