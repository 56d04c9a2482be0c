# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from calib_all_ros.report.document import fact_rows, setting_rows
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.settings import Settings


def test_settings_tell_what_was_changed() -> None:
    rows = setting_rows(Settings(seed=3).to_mapping())
    assert ("seed", "3", False) in rows
    assert ("search.hypotheses", "6000", True) in rows
    assert ("refinement.lag", "true", True) in rows
    # A setting of another version has no default to compare with.
    assert setting_rows({"gone": {"by": [1, 2]}}) == (("gone.by", "[1, 2]", True),)


def test_facts_leave_out_what_is_not_known(calibration: Calibration, bare: Calibration) -> None:
    facts = dict(fact_rows(calibration))
    assert facts["Images used"] == "1, 4, 10, 13, 16"
    assert facts["Robot"] == "demo_arm, base frame base_link"
    assert facts["Estimated beside the pose"] == "images stamped 12 ms too late"
    assert "320 x 240 pixels" in facts["Camera"]
    assert {"Images used", "Its fingerprint", "Estimated beside the pose"}.isdisjoint(
        dict(fact_rows(bare))
    )
