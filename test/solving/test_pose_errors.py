# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.pose_errors import (
    compatibility,
    pose_difference,
    pose_errors,
    relative_pose,
)

A = se3.make(Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix(), np.array([0.8, -0.3, 0.5]))
B = se3.make(Rotation.from_euler("xyz", [-2.0, 0.3, 0.7]).as_matrix(), np.array([-0.2, 0.9, 0.7]))


def moved(T_base_camera: np.ndarray, error: np.ndarray) -> np.ndarray:
    """A pose with (6,) errors along and about the base's axes."""
    R = Rotation.from_rotvec(error[3:]).as_matrix() @ T_base_camera[:3, :3]
    return se3.make(R, T_base_camera[:3, 3] + error[:3])


def error_of(T: np.ndarray, reference: np.ndarray) -> np.ndarray:
    rotation = Rotation.from_matrix(T[:3, :3] @ reference[:3, :3].T).as_rotvec()
    return np.concatenate([T[:3, 3] - reference[:3, 3], rotation])


def test_it_maps_points_of_b_to_a() -> None:
    point_b = np.array([[0.1, 0.2, 0.9]])
    in_base = se3.transform(B, point_b)
    T_a_b = relative_pose(A, B, np.eye(12)).T_a_b
    np.testing.assert_allclose(se3.transform(T_a_b, point_b), se3.transform(se3.invert(A), in_base))


def test_the_covariance_is_that_of_drawn_errors() -> None:
    rng = np.random.default_rng(0)
    root = 1e-3 * rng.normal(size=(12, 12))
    covariance = root @ root.T
    relative = relative_pose(A, B, covariance)
    draws = rng.normal(size=(4000, 12)) @ root.T
    errors = np.array(
        [error_of(se3.invert(moved(A, d[:6])) @ moved(B, d[6:]), relative.T_a_b) for d in draws]
    )
    spread = errors.T @ errors / len(errors)
    scale = np.sqrt(np.outer(np.diag(spread), np.diag(spread)))
    np.testing.assert_allclose(relative.covariance / scale, spread / scale, atol=0.06)


def test_what_moves_both_cameras_alike_cancels() -> None:
    """The base turned and moved, as by the zero of the first joint."""
    axis, shift = np.array([0.2, -0.1, 0.9]), np.array([0.3, 0.1, -0.2])
    errors = [np.concatenate([np.cross(axis, T[:3, 3]) + shift, axis]) for T in (A, B)]
    common = np.concatenate(errors)
    relative = relative_pose(A, B, 1e-6 * np.outer(common, common))
    np.testing.assert_allclose(relative.covariance, 0.0, atol=1e-18)


# Looks along the base's x axis: right is -y, down is -z.
LOOKING = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def camera(position: list[float], turn_rad: float = 0.0) -> np.ndarray:
    """A camera that is turned to the left, about the base's z axis."""
    turn = se3.from_rotvec(np.array([0.0, 0.0, turn_rad]), np.zeros(3))[:3, :3]
    return se3.invert(se3.make(turn @ LOOKING, np.array(position)))


def test_directions() -> None:
    difference = pose_difference(camera([0.01, 0.02, -0.03], 0.2), camera([0.0, 0.0, 0.0]))
    np.testing.assert_allclose(difference.position_base_m, [0.01, 0.02, -0.03], atol=1e-12)
    np.testing.assert_allclose(difference.position_camera_m, [-0.02, 0.03, 0.01], atol=1e-12)
    np.testing.assert_allclose(difference.rotation_base_rad, [0.0, 0.0, 0.2], atol=1e-12)
    np.testing.assert_allclose(difference.rotation_camera_rad, [0.0, -0.2, 0.0], atol=1e-12)
    assert difference.position_mm == pytest.approx(1e3 * np.sqrt(14) * 0.01)
    assert difference.rotation_deg == pytest.approx(np.degrees(0.2))


def test_vector_is_displacement_then_rotation_about_the_base_axes() -> None:
    truth = se3.from_rotvec([0.3, -1.2, 0.8], [0.1, 0.2, 1.5])
    shift, turn = np.array([0.01, -0.02, 0.03]), np.array([0.02, 0.01, -0.03])
    T_base_camera = se3.invert(truth)
    moved = se3.from_rotvec(turn, np.zeros(3)) @ se3.make(T_base_camera[:3, :3], np.zeros(3))
    moved[:3, 3] = T_base_camera[:3, 3] + shift
    vector = pose_difference(se3.invert(moved), truth).vector
    np.testing.assert_allclose(vector, [*shift, *turn], atol=1e-12)
    np.testing.assert_allclose(pose_difference(truth, truth).vector, 0.0, atol=1e-8)


def test_the_same_pose_differs_by_nothing() -> None:
    difference = pose_difference(camera([1.0, 2.0, 3.0]), camera([1.0, 2.0, 3.0]))
    assert difference.position_mm < 1e-9 and difference.rotation_deg < 1e-6
    weighed = compatibility(difference, np.eye(6))
    assert weighed is not None and weighed.p_value == pytest.approx(1.0)


def test_compatibility_counts_standard_deviations() -> None:
    difference = pose_difference(camera([0.02, 0.0, 0.0]), camera([0.0, 0.0, 0.0]))
    covariance = np.diag([0.01, 1.0, 1.0, 1.0, 1.0, 1.0]) ** 2
    weighed = compatibility(difference, covariance)
    assert weighed is not None
    assert weighed.mahalanobis == pytest.approx(2.0)
    assert weighed.p_value == pytest.approx(0.6767, abs=1e-4)
    assert compatibility(difference, np.diag([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])) is None


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
