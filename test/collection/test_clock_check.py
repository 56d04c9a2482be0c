# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from calib_all_ros.collection.stream_check import StreamCheck
from calib_all_ros.collection.stream_checks import clock_findings

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS


def stream(delay_s: float, count: int = 20) -> StreamCheck:
    found = StreamCheck("x", "/x", "")
    for i in range(count):
        now_ns = START_NS + i * SECOND_NS // 10
        found.add(now_ns - round(delay_s * SECOND_NS), now_ns)
    return found


@pytest.mark.parametrize("delay_s", [0.0, 0.06, 0.2, -0.06])
def test_usual_delays_of_images_are_fine(delay_s: float) -> None:
    assert clock_findings(stream(delay_s), [stream(0.001)]) == []


def test_common_offset_is_fine() -> None:
    # Simulated time, or a recorder on another machine than camera and robot.
    assert clock_findings(stream(5e8 + 0.05), [stream(5e8)]) == []


def test_seconds_apart_is_an_error() -> None:
    (finding,) = clock_findings(stream(3.2), [stream(0.0)])
    assert finding.level == "error"
    assert "the stamps of the images are 3.2 s behind those of the joint states" in finding.sentence
    assert "synchronise the clocks" in finding.sentence
    (finding,) = clock_findings(stream(-2.0), [stream(0.0)])
    assert "2.0 s ahead of" in finding.sentence


def test_less_may_be_a_slow_way() -> None:
    (finding,) = clock_findings(stream(0.4), [stream(0.0)])
    assert finding.level == "warn"
    assert "images come 0.40 s later after their stamps than joint states do" in finding.sentence


def test_each_publisher_of_joint_states_is_looked_at() -> None:
    (finding,) = clock_findings(stream(0.05), [stream(0.0), stream(7.0)])
    assert "6.9 s ahead of" in finding.sentence or "7.0 s ahead of" in finding.sentence


def test_needs_messages() -> None:
    assert clock_findings(stream(9.0, 2), [stream(0.0)]) == []
    assert clock_findings(stream(9.0), []) == []
    assert clock_findings(stream(9.0), [stream(0.0, 2)]) == []
