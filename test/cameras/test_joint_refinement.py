# SPDX-License-Identifier: Apache-2.0
"""What cameras may share, and what comes of it, on measurements that are linear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.solving.frame_systems import FIRST_JOINT, LAG
from calib_all_ros.solving.joint_refinement import JointRefinementError, refine_jointly
from calib_all_ros.solving.joint_systems import CameraSystems


def cameras_with(linear: Any, lags_s: list[float], offsets: list[float]) -> list[CameraSystems]:
    """Cameras with true lags, and true offsets of the last joint."""
    rng = np.random.default_rng(7)
    cameras = []
    for lag_s, offset in zip(lags_s, offsets, strict=True):
        J = linear.designs(rng, 12)
        residual = rng.normal(size=J.shape[:2])
        residual = residual - lag_s * J[:, :, LAG] - offset * J[:, :, FIRST_JOINT + 1]
        cameras.append(linear.camera(J, residual, linear.with_joints))
    return cameras


def test_lags_that_agree_become_one(linear: Any) -> None:
    cameras = cameras_with(linear, [0.02, 0.02, 0.02], [0.001] * 3)
    refined = refine_jointly(cameras)
    assert len(set(refined.sharing.clocks)) == 1
    assert len({estimate.lag_s for estimate in refined.estimates}) == 1
    assert refined.sharing.joint_offsets
    for estimate in refined.estimates:
        assert estimate.lag_s == pytest.approx(0.02, abs=0.003)
        np.testing.assert_array_equal(estimate.joint_offsets, refined.estimates[0].joint_offsets)
    assert refined.shared is not None
    assert refined.shared.degrees_of_freedom == 2 + 2 * 2
    assert refined.shared.p_value > 0.01
    assert (refined.step_px < 1.0).all()


def test_a_lag_of_another_clock_stays_as_it_is(linear: Any) -> None:
    cameras = cameras_with(linear, [0.02, 0.15, 0.02], [0.0] * 3)
    refined = refine_jointly(cameras)
    first, second, third = refined.sharing.clocks
    assert first == third != second
    # It shares the joint offsets, which its lag goes with a little.
    assert refined.estimates[1].lag_s == pytest.approx(cameras[1].estimate.lag_s, abs=0.002)
    assert refined.lags is not None and refined.lags.p_value < 1e-6


def test_clocks_that_are_given_are_not_questioned_but_compared(linear: Any) -> None:
    cameras = cameras_with(linear, [0.02, 0.15], [0.0] * 2)
    refined = refine_jointly(cameras, [0, 0])
    assert refined.estimates[0].lag_s == refined.estimates[1].lag_s
    assert refined.shared is not None and refined.shared.p_value < 1e-6
    assert refined.step_px.max() > 1.0
    own = refine_jointly(cameras, [0, 1])
    assert own.estimates[0].lag_s != own.estimates[1].lag_s


def test_joint_offsets_that_disagree_are_not_shared(linear: Any) -> None:
    # Wide enough a prior that the cameras may say what they see.
    cameras = [
        replace(each, parameters=replace(each.parameters, joint_offset_sigma=0.3))
        for each in cameras_with(linear, [0.0, 0.0], [-0.003, 0.003])
    ]
    refined = refine_jointly(cameras)
    assert not refined.sharing.joint_offsets
    assert refined.offsets is not None and refined.offsets.p_value < 0.01
    offsets = [estimate.joint_offsets for estimate in refined.estimates]
    assert offsets[0] is not None and offsets[1] is not None
    assert offsets[0][1] < -0.001 < 0.001 < offsets[1][1]


def test_the_joint_covariance_is_no_larger(linear: Any) -> None:
    cameras = cameras_with(linear, [0.02, 0.02], [0.001] * 2)
    together, apart = refine_jointly(cameras), refine_jointly(cameras[:1])
    first = np.diag(together.covariance_of(0)) / np.diag(apart.covariance_of(0))
    assert first.max() < 1.05
    assert first.mean() < 1.0


def test_rows_of_the_covariance_follow_the_cameras(linear: Any) -> None:
    refined = refine_jointly(cameras_with(linear, [0.0] * 3, [0.0] * 3))
    swapped, straight = refined.covariance_of(2, 0), refined.covariance_of(0, 2)
    np.testing.assert_array_equal(swapped[:6, :6], refined.covariance_of(2))
    np.testing.assert_array_equal(swapped[:6, 6:], straight[6:, :6])


def test_measurements_that_are_no_numbers_are_an_error(linear: Any) -> None:
    first, second = cameras_with(linear, [0.0] * 2, [0.0] * 2)
    broken = replace(first, systems=replace(first.systems, H=np.zeros_like(first.systems.H)))
    broken = replace(broken, parameters=replace(broken.parameters, lag_sigma_s=np.inf))
    with pytest.raises(JointRefinementError, match="record more varied"):
        refine_jointly([broken, second])
