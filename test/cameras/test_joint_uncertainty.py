# SPDX-License-Identifier: Apache-2.0
"""The covariance of several cameras, on measurements that are linear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from calib_all_ros.diagnosis.uncertainty import ModelTolerance, pose_uncertainty
from calib_all_ros.solving.frame_systems import FIRST_JOINT, LAG
from calib_all_ros.solving.joint_systems import (
    CameraSystems,
    Disagreement,
    Sharing,
    disagreement,
    joint_covariance,
    solve_jointly,
)

EXACT_MODELS = ModelTolerance(1e-9, 1e-9, 1e-9, 1e-9)
REPETITIONS = 150


def test_a_camera_alone_is_as_uncertain_as_ever(linear: Any) -> None:
    (each,) = linear.several(1, linear.pose_and_lag)
    system = solve_jointly([each], Sharing.nothing(1))
    pose = system.pose_columns(0)
    covariance = joint_covariance(system, [each])[np.ix_(pose, pose)]
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
            values[system.pose_columns(number)] += pose
        drawn.append(values[system.fitted])
        covariance = joint_covariance(system, cameras, EXACT_MODELS)
        information = system.information() + np.diag(system.prior)
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
    pose = np.concatenate([system.pose_columns(i) for i in range(2)])
    exact, wider = (
        joint_covariance(system, cameras, tolerance)[np.ix_(pose, pose)]
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
        return disagreement(system, joint_covariance(system, cameras), [pair])

    assert compare(0.0).p_value > 0.05
    assert compare(0.1).p_value < 1e-6
    assert compare(0.1).degrees_of_freedom == 1
