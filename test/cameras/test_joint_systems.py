# SPDX-License-Identifier: Apache-2.0
"""The measurements of several cameras as one linear system."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib_all_ros.solving.frame_systems import FIRST_JOINT, LAG
from calib_all_ros.solving.joint_systems import Sharing, solve_jointly


def test_where_nothing_is_shared_nothing_changes(linear: Any) -> None:
    cameras = linear.several(2, linear.with_joints)
    system = solve_jointly(cameras, Sharing.nothing(2))
    for number, each in enumerate(cameras):
        np.testing.assert_allclose(system.of_camera(number), each.values(), atol=1e-12)


def test_shared_parameters_are_those_of_all_measurements_together(linear: Any) -> None:
    cameras = linear.several(2, linear.with_joints)
    system = solve_jointly(cameras, Sharing((0, 0), joint_offsets=True))
    # Poses 0-5 and 6-11, then lag and two joints: one least-squares problem, each prior once.
    local, count = linear.with_joints, 15
    A, b = np.zeros((count, count)), np.zeros(count)
    for number, each in enumerate(cameras):
        place = np.array([*range(6 * number, 6 * number + 6), 12, 13, 14])
        H = each.systems.H[:, : linear.columns, : linear.columns].sum(axis=0)
        g = each.systems.g[:, : linear.columns].sum(axis=0) - H @ each.values()
        A[np.ix_(place, place)] += H[np.ix_(local, local)] / each.noise_px2
        b[place] -= g[local] / each.noise_px2
    prior = cameras[0].prior()[local]
    expected = np.linalg.solve(A + np.diag([*prior[:6], *prior]), b)
    for number in range(2):
        found = system.of_camera(number)
        np.testing.assert_allclose(found[:6], expected[6 * number : 6 * number + 6], atol=1e-7)
        np.testing.assert_allclose(found[LAG], expected[12], atol=1e-7)
        np.testing.assert_allclose(found[FIRST_JOINT:], expected[13:], atol=1e-7)


def test_only_cameras_on_one_clock_share_a_lag(linear: Any) -> None:
    cameras = linear.several(3, linear.pose_and_lag)
    system = solve_jointly(cameras, Sharing((0, 1, 0), joint_offsets=False))
    first, second, third = (system.of_camera(i)[LAG] for i in range(3))
    assert first == third
    assert second == pytest.approx(cameras[1].estimate.lag_s)
    lags = sorted((cameras[0].estimate.lag_s, cameras[2].estimate.lag_s))
    assert lags[0] < first < lags[1]


def test_the_zero_of_a_joint_that_is_not_estimated_errs_alike_for_all(linear: Any) -> None:
    system = solve_jointly(linear.several(2, linear.pose_and_lag), Sharing.nothing(2))
    first, second = system.columns
    np.testing.assert_array_equal(first[FIRST_JOINT:], second[FIRST_JOINT:])
    assert set(first[FIRST_JOINT:]) <= set(system.considered)
    own = [set(columns[:FIRST_JOINT]) - {-1} for columns in system.columns]
    assert own[0] and not own[0] & own[1]
