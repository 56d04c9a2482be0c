# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.diagnosis.diagnosis import Diagnosis
from calib_all_ros.diagnosis.verdict import verdict_of
from calib_all_ros.geometry import se3
from calib_all_ros.results.records import Finding, Status
from calib_all_ros.solution import Solution, better
from calib_all_ros.solving.estimate import Estimate


def solution(status: Status, expected_mm: float | None, x_m: float = 0.0) -> Solution:
    """A solution whose camera is known within expected_mm and sits x_m to the right."""
    findings: tuple[Finding, ...] = ()
    if status != "accepted":
        findings = (Finding("unexplained", status, "something is wrong", "look at it"),)
    uncertainty: Any = None
    if expected_mm is not None:
        sigma = 1e-3 * expected_mm / 2
        covariance = np.diag([sigma, sigma, sigma, 1e-3, 1e-3, 1e-3]) ** 2
        uncertainty = SimpleNamespace(expected_position_mm=expected_mm, covariance=covariance)
    T_base_camera = se3.make(np.eye(3), np.array([x_m, 0.0, 1.0]))
    result: Any = SimpleNamespace(estimate=Estimate(se3.invert(T_base_camera)))
    observations: Any = SimpleNamespace(warnings=())
    diagnosis = Diagnosis(uncertainty, findings, {})
    return Solution(observations, result, diagnosis, verdict_of(findings))


@pytest.mark.parametrize(
    ("images", "masks", "masks_win"),
    [
        (("accepted", 5.0), ("accepted", 1.0), True),
        (("accepted", 1.0), ("accepted", 5.0), False),
        (("accepted", 5.0), ("warning", 1.0), False),
        (("rejected", 1.0), ("warning", 9.0), True),
        (("rejected", None), ("rejected", None), False),
        (("rejected", None), ("rejected", 5.0), True),
    ],
)
def test_the_better_verdict_wins_and_then_the_smaller_error(
    images: tuple[Status, float | None], masks: tuple[Status, float | None], masks_win: bool
) -> None:
    first, second = solution(*images), solution(*masks)
    chosen, why = better(first, second)
    assert chosen is (second if masks_win else first)
    assert why.startswith("the masks" if masks_win else "the images alone")


def test_two_poses_that_contradict_each_other_get_a_warning() -> None:
    chosen, why = better(solution("accepted", 2.0), solution("accepted", 1.0, x_m=0.02))
    assert chosen.verdict.status == "warning" and chosen.verdict.causes == ("no_agreement",)
    assert "20 mm and 0.0 deg apart" in chosen.verdict.reasons[0]
    assert chosen.expected_mm == 2.0 and "accepted, within 2.0 mm" in why
    agreeing, _ = better(solution("accepted", 2.0), solution("accepted", 1.0, x_m=0.001))
    assert agreeing.verdict.status == "accepted"


def test_a_rejected_pose_contradicts_nothing() -> None:
    chosen, _ = better(solution("accepted", 2.0), solution("rejected", 1.0, x_m=0.5))
    assert chosen.verdict.status == "accepted"
