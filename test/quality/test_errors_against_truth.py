# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.quality.errors_against_truth import pose_errors
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.solving.motion import RobotMotion

# A thin rod along x from 0 to 1 m that turns about z.
ROD = """
<robot name="rod">
  <link name="base"/>
  <link name="rod">
    <visual><origin xyz="0.5 0 0"/><geometry><box size="1 1e-4 1e-4"/></geometry></visual>
  </link>
  <joint name="turn" type="continuous">
    <parent link="base"/><child link="rod"/><axis xyz="0 0 1"/>
  </joint>
</robot>
"""


@pytest.fixture
def robot() -> Robot:
    return load_robot(ROD)


@pytest.fixture
def motion(robot: Robot) -> RobotMotion:
    stamps = np.array([0, 10**9])
    joints = JointTrajectory(["turn"], stamps, [[0.0], [np.pi / 2]])
    return RobotMotion(robot.kinematics, joints, stamps)


TRUTH = se3.from_rotvec(np.array([0.3, -0.8, 0.2]), np.array([0.1, 0.2, 2.0]))


def test_no_error(robot: Robot, motion: RobotMotion) -> None:
    errors = pose_errors(TRUTH, TRUTH, robot, motion)
    assert errors.rotation_deg == pytest.approx(0.0, abs=1e-6)
    assert errors.position_mm == pytest.approx(0.0, abs=1e-9)
    assert errors.add_mm == pytest.approx(0.0, abs=1e-9)


def test_translation_moves_every_point_by_as_much(robot: Robot, motion: RobotMotion) -> None:
    estimate = TRUTH.copy()
    estimate[:3, 3] += [0.003, 0.0, -0.004]
    errors = pose_errors(estimate, TRUTH, robot, motion)
    assert errors.rotation_deg == pytest.approx(0.0, abs=1e-6)
    assert errors.position_mm == pytest.approx(5.0)
    assert errors.add_mm == pytest.approx(5.0)


def test_rotation_about_the_base_moves_points_by_their_distance(
    robot: Robot, motion: RobotMotion
) -> None:
    angle = np.radians(1.0)
    turned = se3.from_rotvec(np.array([0.0, 0.0, angle]), np.zeros(3))
    errors = pose_errors(TRUTH @ turned, TRUTH, robot, motion)
    assert errors.rotation_deg == pytest.approx(1.0)
    # A chord of radius r is 2 r sin(angle / 2); the rod's mean radius is half a metre. The points
    # are a sample, whose mean radius scatters by 0.29 m / sqrt(2000).
    assert errors.add_mm == pytest.approx(1e3 * np.sin(angle / 2), rel=0.05)
    centre = se3.invert(TRUTH)[:3, 3]
    assert errors.position_mm == pytest.approx(
        1e3 * 2 * np.sin(angle / 2) * np.hypot(*centre[:2]), rel=1e-6
    )
