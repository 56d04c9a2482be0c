# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.robot.description import load_robot
from calib_all_ros.solving.motion import RobotMotion

SLIDE_AND_TURN = """
<robot name="two">
  <link name="base"/><link name="cart"/>
  <link name="arm"><visual><geometry><box size="1 1 1"/></geometry></visual></link>
  <joint name="slide" type="prismatic">
    <parent link="base"/><child link="cart"/><axis xyz="1 0 0"/>
    <limit lower="-9" upper="9" effort="1" velocity="1"/>
  </joint>
  <joint name="turn" type="continuous">
    <parent link="cart"/><child link="arm"/><axis xyz="0 0 1"/>
  </joint>
</robot>
"""
SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND


def motion(stamps_s: list[float], **assumed: float) -> RobotMotion:
    """The cart moves at 0.2 m/s from 0 to 10 s; recorded in another order than the URDF's."""
    stamps = EPOCH + np.array([0, 10]) * SECOND
    joints = JointTrajectory(["turn", "slide"], stamps, [[0.0, 0.0], [1.0, 2.0]])
    frames = EPOCH + (np.array(stamps_s) * SECOND).astype(np.int64)
    return RobotMotion(load_robot(SLIDE_AND_TURN).kinematics, joints, frames, assumed)


def test_joints_are_in_the_order_of_the_robot() -> None:
    np.testing.assert_allclose(motion([5.0]).positions(), [[1.0, 0.5]])


def test_an_image_stamped_late_shows_the_robot_as_it_was() -> None:
    np.testing.assert_allclose(motion([5.0]).positions(0.1)[:, 0], [0.98])
    np.testing.assert_allclose(motion([5.0]).positions(-0.1)[:, 0], [1.02])


def test_every_image_may_have_its_own_lag() -> None:
    lags = np.array([0.0, 1.0, -1.0])
    np.testing.assert_allclose(motion([2.0, 5.0, 6.0]).positions(lags)[:, 0], [0.4, 0.8, 1.4])


def test_lags_do_not_lead_beyond_the_recorded_motion() -> None:
    np.testing.assert_allclose(motion([0.0, 10.0]).positions(1.0)[:, 0], [0.0, 1.8])
    np.testing.assert_allclose(motion([0.0, 10.0]).positions(-1.0)[:, 0], [0.2, 2.0])


def test_microseconds_survive_todays_stamps() -> None:
    slow, late = motion([5.0]).positions(0.0), motion([5.0]).positions(1e-6)
    assert (slow - late)[0, 0] == pytest.approx(0.2e-6, rel=1e-3)


def test_assumed_joints_need_no_recording() -> None:
    np.testing.assert_allclose(motion([5.0], turn=0.7).positions(), [[1.0, 0.7]])


def test_link_poses_follow_the_lag() -> None:
    T = motion([5.0]).link_poses(1.0)
    np.testing.assert_allclose(T[0, 2, :3, 3], [0.8, 0.0, 0.0])
    np.testing.assert_allclose(T[0, 2, :2, 0], [np.cos(0.4), np.sin(0.4)])


def test_subset_keeps_the_chosen_images() -> None:
    some = motion([1.0, 2.0, 3.0]).subset(np.array([2, 0]))
    assert len(some) == 2
    np.testing.assert_allclose(some.positions()[:, 0], [0.6, 0.2])
