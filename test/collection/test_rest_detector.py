# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from calib_all_ros.collection.stop_and_go import RestDetector


def test_rests_since_it_stopped() -> None:
    rest = RestDetector()
    for ms in range(1000):
        rest.add(ms, ("a", "b"), np.array([min(ms, 400) * 1e-3, 0.0]))
    # The last four milliseconds are nearer to the end than what counts as motion.
    assert rest.resting_since_ns(("a", "b")) in range(395, 402)
    assert rest.resting_since_ns(("b",)) == 0
    assert rest.positions(("a",)) == {"a": 0.4}
    assert rest.latest_ns(("a", "b")) == 999


def test_noise_is_rest_and_slow_motion_is_not() -> None:
    noisy, slow = RestDetector(), RestDetector()
    rng = np.random.default_rng(0)
    for ms in range(3000):
        noisy.add(ms, ("a",), rng.normal(1.0, 5e-4, 1))
        # 0.6 degrees a second.
        slow.add(ms, ("a",), np.array([1e-5 * ms]))
    assert noisy.resting_since_ns(("a",)) == 0
    since = slow.resting_since_ns(("a",))
    assert since is not None and since > 2500


def test_joints_of_several_publishers() -> None:
    rest = RestDetector()
    rest.add(0, ("arm",), np.array([0.0]))
    assert rest.resting_since_ns(("arm", "finger")) is None
    assert rest.positions(("arm", "finger")) is None
    rest.add(5, ("finger",), np.array([1.0]))
    rest.add(10, ("arm",), np.array([0.0]))
    assert rest.resting_since_ns(("arm", "finger")) == 5
    assert rest.latest_ns(("arm", "finger")) == 5
    assert rest.names == ("arm", "finger")


def test_old_messages_are_passed_over() -> None:
    rest = RestDetector()
    rest.add(10, ("a",), np.array([1.0]))
    rest.add(5, ("a",), np.array([0.0]))
    assert rest.positions(("a",)) == {"a": 1.0}
    assert rest.resting_since_ns(("a",)) == 10
