# SPDX-License-Identifier: Apache-2.0
"""The verdict for people: what speaks against a pose, and how far off it may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calib_all_ros.report import words
from calib_all_ros.report.frustum_cloud import ninety_percent
from calib_all_ros.results.calibration import Calibration


@dataclass(frozen=True)
class FindingCard:
    """A finding in words.

    Attributes:
        severity: Its class on the page: "rejected", "warning" or "note".
        badge: The severity in words.
        title: The cause in words, "" where none was named.
        evidence: What shows it.
        advice: What to do, "" where nothing was advised.
        cause: The cause's name in files, "" where none was named.
    """

    severity: str
    badge: str
    title: str
    evidence: str
    advice: str
    cause: str


def finding_cards(calibration: Calibration) -> tuple[FindingCard, ...]:
    """Return the findings, the gravest first, and the reasons that no finding tells."""
    verdict = calibration.verdict
    cards = [
        FindingCard(
            finding.severity,
            words.SEVERITIES[finding.severity],
            words.CAUSES[finding.cause],
            finding.evidence,
            finding.advice,
            finding.cause,
        )
        for finding in verdict.findings
    ]
    told = {finding.sentence for finding in verdict.findings}
    status = verdict.status
    severity = "note" if status == "accepted" else status
    cards += [
        FindingCard(severity, words.SEVERITIES[severity], "", reason, "", "")
        for reason in verdict.reasons
        if reason not in told
    ]
    gravity: list[str] = list(words.SEVERITIES)
    return tuple(sorted(cards, key=lambda card: gravity.index(card.severity)))


def expected_error(calibration: Calibration) -> str:
    """Return a sentence on how far off the pose may be."""
    if calibration.verdict.status == "rejected":
        return "No error is promised for a rejected pose."
    within = nine_in_ten(calibration)
    if not within:
        return "How large the error may be was not estimated."
    return f"Expected error: in nine cases of ten within {within}."


def nine_in_ten(calibration: Calibration) -> str:
    """Return within what nine in ten errors lie, in words; "" where that was not estimated."""
    millimetres = calibration.quality.get("expected_position_mm")
    degrees = calibration.quality.get("expected_rotation_deg")
    if millimetres is None or degrees is None:
        if calibration.covariance is None:
            return ""
        position_m, rotation_rad = ninety_percent(calibration.covariance)
        millimetres, degrees = 1e3 * position_m, float(np.degrees(rotation_rad))
    return (
        f"{words.number(millimetres, 2)} mm in position and {words.number(degrees, 2)} deg in "
        "rotation"
    )
