# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable

import pytest

from calib_all_ros.collection.stream_check import StreamCheck

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS


def check(stamps_s: Iterable[float], delay_s: float = 0.01) -> StreamCheck:
    """Feed stamps in seconds, received delay_s later unless a pair gives the time of receipt."""
    found = StreamCheck("images", "/cam", "buy a better cable")
    for stamp_s in stamps_s:
        stamp_ns = START_NS + round(stamp_s * SECOND_NS)
        found.add(stamp_ns, stamp_ns + round(delay_s * SECOND_NS))
    return found


def sentences(found: StreamCheck) -> str:
    return " | ".join(finding.sentence for finding in found.findings())


def every(period_s: float, count: int, start_s: float = 0.0) -> list[float]:
    return [start_s + period_s * i for i in range(count)]


def test_even_stream_has_no_findings() -> None:
    found = check(every(1 / 30, 300))
    assert found.findings() == []
    assert found.count == 300 and found.dropped == 0
    assert found.period_s == pytest.approx(1 / 30, abs=1e-6)
    assert found.delay_s == pytest.approx(0.01, abs=1e-6)


def test_uneven_stream_has_no_findings() -> None:
    jitter = [0.004 * ((7 * i) % 5 - 2) for i in range(300)]
    assert check(t + j for t, j in zip(every(1 / 30, 300), jitter, strict=True)).findings() == []


def test_dropped_messages_are_counted() -> None:
    kept = [t for i, t in enumerate(every(0.1, 200)) if i % 5 != 4]
    found = check(kept)
    # The first twenty tell how long intervals usually are.
    assert found.dropped == pytest.approx(40, abs=6)
    assert f"{found.dropped} of {160 + found.dropped} images on /cam are missing" in sentences(
        found
    )
    assert "buy a better cable" in sentences(found)


def test_few_dropped_messages_are_no_finding() -> None:
    kept = [t for i, t in enumerate(every(0.1, 200)) if i not in (50, 120)]
    found = check(kept)
    assert found.dropped == 2
    assert found.findings() == []


def test_long_gap_is_a_finding_however_long_the_recording() -> None:
    found = check([*every(0.01, 5000), *every(0.01, 5000, start_s=52.0)])
    assert "(longest gap 2.01 s)" in sentences(found)


def test_stamps_that_go_back() -> None:
    found = check([*every(0.1, 50), *every(0.1, 50, start_s=1.0)])
    assert "went back 1 times, by up to 3.900 s" in sentences(found)
    assert found.dropped == 0


def test_stamps_that_jump_ahead() -> None:
    found = StreamCheck("images", "/cam", "")
    for i in range(100):
        receipt_ns = START_NS + i * SECOND_NS // 10
        found.add(receipt_ns + (30 * SECOND_NS if i >= 50 else 0), receipt_ns)
    assert "jumped ahead 1 times, by up to 30.1 s, while messages came as usual" in sentences(found)
    assert found.dropped == 0


def test_pause_of_the_publisher_is_no_jump() -> None:
    assert "jumped" not in sentences(check([*every(0.1, 50), *every(0.1, 50, start_s=20.0)]))


def test_messages_without_stamps() -> None:
    found = StreamCheck("images", "/cam", "")
    for i in range(20):
        found.add(0, START_NS + i)
    assert "have no stamps" in sentences(found)


def test_least_delay_counts() -> None:
    """A busy machine delays some messages; the clocks are told by those that it does not delay."""
    found = StreamCheck("images", "/cam", "")
    for i in range(1000):
        stamp_ns = START_NS + i * SECOND_NS // 30
        delay_s = 0.02 if i == 3 else 1.5
        found.add(stamp_ns, stamp_ns + round(delay_s * SECOND_NS))
    assert found.delay_s == pytest.approx(0.02)


def test_pause_is_the_time_since_the_last_message() -> None:
    assert StreamCheck("images", "/cam", "").pause_s(START_NS) == 0.0
    assert check([0.0], 0.0).pause_s(START_NS + 2 * SECOND_NS) == 2.0
