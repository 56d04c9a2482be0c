# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from calib_all_ros.solving.route import begin


def test_a_stage_is_announced_and_its_share_passed_on() -> None:
    heard: list[tuple[str, float]] = []
    report = begin(lambda stage, share: heard.append((stage, share)), "search")
    assert report is not None
    report(0.4)
    assert heard == [("search", 0.0), ("search", 0.4)]


def test_nobody_listens() -> None:
    assert begin(None, "search") is None
