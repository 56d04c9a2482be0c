# SPDX-License-Identifier: Apache-2.0
"""Joint refinement of several cameras, on measurements that are linear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.diagnosis.uncertainty import pose_uncertainty
from calib_all_ros.solving.estimate import FIRST_JOINT, LAG
from calib_all_ros.solving.frame_systems import ModelTolerance
from calib_all_ros.solving.joint_refinement import (
    CameraSystems,
    Disagreement,
    JointRefinementError,
    Sharing,
    disagreement,
    refine_jointly,
    solve_jointly,
)

EXACT_MODELS = ModelTolerance(1e-9, 1e-9, 1e-9, 1e-9)
REPETITIONS = 150


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
    assert np.ptp([estimate.lag_s for estimate in refined.estimates]) < 1e-12
    assert refined.sharing.joint_offsets
    for estimate in refined.estimates:
        assert estimate.lag_s == pytest.approx(0.02, abs=0.003)
        np.testing.assert_allclose(estimate.joint_offsets, refined.estimates[0].joint_offsets)
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
    assert refined.estimates[0].lag_s == pytest.approx(refined.estimates[1].lag_s, abs=1e-12)
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


def test_where_nothing_is_shared_nothing_changes(linear: Any) -> None:
    cameras = linear.several(2, linear.with_joints)
    system = solve_jointly(cameras, Sharing.nothing(2))
    for number, each in enumerate(cameras):
        np.testing.assert_allclose(system.of_camera(number), each.values(), atol=1e-12)


def test_shared_parameters_are_those_of_all_measurements_together(linear: Any) -> None:
    cameras = linear.several(2, linear.with_joints)
    system = solve_jointly(cameras, Sharing((0, 0), joint_offsets=True))
    # Poses 0-5 and 6-11, then lag and two joints: one least-squares problem, each prior once.
    local, count = cameras[0].fitted, 15
    A, b = np.zeros((count, count)), np.zeros(count)
    for number, each in enumerate(cameras):
        place = np.array([*range(6 * number, 6 * number + 6), 12, 13, 14])
        H = each.systems.H[:, : linear.columns, : linear.columns].sum(axis=0)
        g = each.systems.g[:, : linear.columns].sum(axis=0) - H @ each.values()
        A[np.ix_(place, place)] += H[np.ix_(local, local)] / each.systems.noise_px2
        b[place] -= g[local] / each.systems.noise_px2
    prior = cameras[0].equations().prior[local]
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


def test_a_camera_alone_is_as_uncertain_as_ever(linear: Any) -> None:
    (each,) = linear.several(1, linear.pose_and_lag)
    system = solve_jointly([each], Sharing.nothing(1))
    pose = system.columns[0][:6]
    covariance = system.covariance([each])[np.ix_(pose, pose)]
    alone = pose_uncertainty(each.systems, each.fitted, np.eye(4), linear.width_px, 1.0)
    assert alone is not None
    # The camera moves against the twist, and its position comes first.
    order = np.ix_([3, 4, 5, 0, 1, 2], [3, 4, 5, 0, 1, 2])
    tolerance = 1e-4 * np.abs(alone.covariance).max()
    np.testing.assert_allclose(covariance[order], alone.covariance, rtol=1e-3, atol=tolerance)


def test_the_covariance_is_that_of_repeated_recordings(linear: Any) -> None:
    """Each image has an error of its own, in poses of two cameras and in the lag they share."""
    rng = np.random.default_rng(2)
    designs = [linear.designs(rng, 30) for _ in range(2)]
    drawn, predicted = [], []
    for _ in range(REPETITIONS):
        cameras, own_poses = [], []
        for J in designs:
            error = 1e-3 * rng.normal(size=(len(J), J.shape[2]))
            error[:, FIRST_JOINT:] = 0.0
            cameras.append(
                linear.camera(J, -np.einsum("nkp,np->nk", J, error), linear.pose_and_lag)
            )
            own_poses.append(_own_pose(J, error))
        system = solve_jointly(cameras, Sharing((0, 0), joint_offsets=False))
        values = system.value.copy()
        for number, pose in enumerate(own_poses):
            values[system.columns[number][:6]] += pose
        drawn.append(values[system.fitted])
        covariance = system.covariance(cameras, EXACT_MODELS)
        information = system.equations.information()
        chosen = np.ix_(system.fitted, system.fitted)
        # What the fit knows of independent noise comes on top of the scatter that is drawn here.
        predicted.append(covariance[chosen] - np.linalg.inv(information[chosen]))
    expected = np.mean(predicted, axis=0)
    found = np.array(drawn).T @ np.array(drawn) / REPETITIONS
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=0.35)


def _own_pose(J: np.ndarray, error: np.ndarray) -> np.ndarray:
    """The twist by which a camera's own estimate is off; its prior weighs next to nothing."""
    H = np.einsum("nkp,nkq->npq", J[:, :, :7], J[:, :, :7])
    g = np.einsum("npq,nq->p", H, error[:, :7])
    return np.asarray(np.linalg.solve(H.sum(axis=0), g)[:6])


def turned_by_its_first_joint(each: CameraSystems, twist: np.ndarray) -> CameraSystems:
    """The camera, the first joint's zero turning the whole robot before it by a twist."""
    H, g = each.systems.H.copy(), each.systems.g.copy()
    H[:, FIRST_JOINT] = np.einsum("npq,q->np", H[:, :, :6], twist)
    H[:, FIRST_JOINT, FIRST_JOINT] = H[:, FIRST_JOINT, :6] @ twist
    H[:, :, FIRST_JOINT] = H[:, FIRST_JOINT]
    g[:, FIRST_JOINT] = g[:, :6] @ twist
    return replace(each, systems=replace(each.systems, H=H, g=g))


def test_the_zero_of_the_first_joint_makes_both_cameras_err_together(linear: Any) -> None:
    twists = np.random.default_rng(4).normal(size=(2, 6))
    cameras = [
        turned_by_its_first_joint(each, twist)
        for each, twist in zip(linear.several(2, linear.pose_and_lag), twists, strict=True)
    ]
    system = solve_jointly(cameras, Sharing.nothing(2))
    pose = np.concatenate([system.columns[i][:6] for i in range(2)])
    exact, wider = (
        system.covariance(cameras, tolerance)[np.ix_(pose, pose)]
        for tolerance in (EXACT_MODELS, ModelTolerance(1e-9, 1e-9, 1e-9, 0.01))
    )
    # The images say nothing about it: all of its tolerance goes into both poses.
    both = twists.reshape(-1)
    np.testing.assert_allclose(wider - exact, 1e-4 * np.outer(both, both), atol=3e-5)


def test_lags_that_differ_by_chance_agree_and_others_do_not(linear: Any) -> None:
    rng = np.random.default_rng(5)
    designs = [linear.designs(rng, 12) for _ in range(2)]
    noise = rng.normal(size=(2, 12, designs[0].shape[1]))

    def compare(difference_s: float) -> Disagreement:
        late = noise[1] - difference_s * designs[1][:, :, LAG]
        cameras = [
            linear.camera(J, residual, linear.pose_and_lag)
            for J, residual in zip(designs, (noise[0], late), strict=True)
        ]
        system = solve_jointly(cameras, Sharing.nothing(2))
        pair = (int(system.columns[0][LAG]), int(system.columns[1][LAG]))
        return disagreement(system, system.covariance(cameras), [pair])

    assert compare(0.0).p_value > 0.05
    assert compare(0.1).p_value < 1e-6
    assert compare(0.1).degrees_of_freedom == 1
