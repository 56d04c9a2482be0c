# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from calib_all_ros.report.document import expected_error, finding_cards
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Finding, Verdict


def test_findings_come_by_gravity_and_reasons_are_not_said_twice(bare: Calibration) -> None:
    findings = (
        Finding("light_changed", "note", "the light changed", "lock the exposure"),
        Finding("camera_moved", "rejected", "the camera moved 4 px", "fix it", 3.0),
        Finding("images_late", "warning", "image 7 is late", "check the clock"),
    )
    reasons = (findings[1].sentence, findings[2].sentence, "something else")
    judged = replace(bare, verdict=Verdict("rejected", reasons, findings))
    cards = finding_cards(judged)
    assert [(card.cause, card.severity) for card in cards] == [
        ("camera_moved", "rejected"),
        ("", "rejected"),
        ("images_late", "warning"),
        ("light_changed", "note"),
    ]
    assert cards[0].title == "The camera moved"
    assert cards[0].advice == "fix it"
    assert cards[1].evidence == "something else"


@pytest.mark.parametrize(
    ("status", "quality", "covariance", "sentence"),
    [
        ("accepted", True, True, "in nine cases of ten within 1.2 mm in position and 0.061 deg"),
        ("accepted", False, True, "in nine cases of ten within 3.6 mm in position and 0.053 deg"),
        ("accepted", False, False, "was not estimated"),
        ("rejected", True, True, "No error is promised"),
    ],
)
def test_expected_error(
    calibration: Calibration,
    bare: Calibration,
    status: str,
    quality: bool,
    covariance: bool,
    sentence: str,
) -> None:
    verdict = Verdict("accepted") if status == "accepted" else Verdict("rejected", ("no",))
    judged = replace(
        bare,
        verdict=verdict,
        quality=calibration.quality if quality else {},
        covariance=calibration.covariance if covariance else None,
    )
    assert sentence in expected_error(judged)
