# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.quality.monitoring_joints import JointWindow

SECOND = 1_000_000_000


def filled(seconds: int) -> JointWindow:
    window = JointWindow(2.0)
    for number in range(100 * seconds + 1):
        window.add(number * SECOND // 100, ("a", "b"), [number / 100, 0.0])
    return window


def test_is_empty_at_first() -> None:
    assert JointWindow(2.0).newest_ns is None


def test_memory_is_bounded() -> None:
    window = filled(60)
    assert window.newest_ns == 60 * SECOND
    assert window.around(60 * SECOND, 100.0).span() == (58 * SECOND, 60 * SECOND)


def test_around_a_stamp() -> None:
    joints = filled(10).around(9 * SECOND, 0.5)
    assert joints.span() == (8_500_000_000, 10 * SECOND)
    positions, valid = joints.at([9 * SECOND + 5_000_000], ("a",))
    assert valid.all()
    np.testing.assert_allclose(positions, [[9.005]])


def test_stamp_beyond_what_is_kept_gets_all_of_it() -> None:
    assert filled(10).around(50 * SECOND, 0.5).span() == (8 * SECOND, 10 * SECOND)


def test_several_publishers() -> None:
    window = JointWindow(2.0)
    for number in range(50):
        window.add(number * SECOND // 50, ("arm",), [number])
        window.add(number * SECOND // 50 + 7, ("gripper",), [0.5])
    assert window.around(SECOND // 2, 1.0).names == ("arm", "gripper")


@pytest.mark.parametrize("positions", [[], [1.0], [np.nan, 0.0], [np.inf, 0.0]])
def test_unusable_states_are_dropped(positions: list[float]) -> None:
    window = filled(1)
    window.add(9 * SECOND, ("a", "b"), positions)
    assert window.newest_ns == SECOND


def test_clock_that_is_set_back_begins_anew() -> None:
    window = filled(10)
    window.add(SECOND, ("a", "b"), [0.0, 0.0])
    assert window.newest_ns == SECOND
    assert window.around(SECOND, 1.0).span() == (SECOND, SECOND)
