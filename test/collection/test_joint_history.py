# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.collection.serialised import JointSample
from calib_all_ros.collection.stream_checks import JointHistory

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS


def sample(ms: float, *values: float, names: tuple[str, ...] = ("a", "b")) -> JointSample:
    return JointSample(START_NS + round(ms * MS), names, np.array(values))


def history(*samples: JointSample) -> JointHistory:
    found = JointHistory()
    for one in samples:
        found.add(one)
    return found


def test_nearest_sample_is_the_pose() -> None:
    found = history(sample(0, 0.0, 1.0), sample(10, 0.1, 1.1), sample(20, 0.2, 1.2))
    assert found.at(START_NS + 11 * MS) == {"a": 0.1, "b": 1.1}
    assert found.at(START_NS + 16 * MS) == {"a": 0.2, "b": 1.2}
    assert found.at(START_NS + 90 * MS) == {"a": 0.2, "b": 1.2}
    assert found.at(START_NS + 121 * MS) == {}
    assert found.at(START_NS - 101 * MS) == {}


def test_publishers_are_joined() -> None:
    found = history(sample(0, 1.0, names=("arm",)), sample(3, 2.0, names=("finger",)))
    assert found.at(START_NS) == {"arm": 1.0, "finger": 2.0}
    assert not found.is_known_until(START_NS + 1 * MS)
    found.add(sample(5, 1.0, names=("arm",)))
    assert found.is_known_until(START_NS + 1 * MS)
    assert found.newest_ns == START_NS + 5 * MS


def test_nothing_yet() -> None:
    assert history().at(START_NS) == {}
    assert not history().is_known_until(START_NS)
    assert history().newest_ns == 0


def test_keeps_some_seconds_and_no_more() -> None:
    found = history(*(sample(2 * i, 0.002 * i, 0.0) for i in range(50_000)))
    assert found.at(START_NS + 96_000 * MS)["a"] == pytest.approx(96.0)
    assert found.at(START_NS + 80_000 * MS) == {}


def test_clock_that_is_set_back_begins_anew() -> None:
    found = history(sample(10_000, 1.0, 0.0), sample(0, 2.0, 0.0), sample(5, 3.0, 0.0))
    assert found.at(START_NS) == {"a": 2.0, "b": 0.0}
    assert found.at(START_NS + 10_000 * MS) == {}
