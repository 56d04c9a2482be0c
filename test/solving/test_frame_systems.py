# SPDX-License-Identifier: Apache-2.0
"""The linearised measurements against measurements made after a small change."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.estimate import (
    FIRST_JOINT,
    FOCAL_SCALE,
    LAG,
    MASK_BIAS,
    PRINCIPAL_POINT,
    Estimate,
)
from calib_all_ros.solving.frame_systems import FrameSystems, linearise
from calib_all_ros.solving.gauss_newton import Measurements
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.outline import Outline, render_outline

FRAMES = np.array([0, 4, 8, 12, 16])


@pytest.fixture(scope="module")
def motion(simulated_motion: RobotMotion) -> RobotMotion:
    return simulated_motion.subset(FRAMES)


@pytest.fixture(scope="module")
def outline(demo_robot: Robot, motion: RobotMotion, simulated: SimulatedRecording) -> Outline:
    estimate = Estimate(simulated.T_camera_base)
    return render_outline(demo_robot.surface, motion, simulated.camera, estimate, with_joints=True)


def systems(
    outline: Outline, residual: np.ndarray, simulated: SimulatedRecording, motion: RobotMotion,
    **options: object,
) -> FrameSystems:  # fmt: skip
    every = np.arange(len(outline), dtype=np.intp)
    measured = Measurements(every, outline.normals, residual, np.ones(len(outline)))
    estimate = Estimate(simulated.T_camera_base)
    found = linearise(outline, measured, simulated.camera, estimate, motion.stamps_ns, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def explained(found: FrameSystems, column: int) -> float:
    """Return the value of one parameter that explains the residuals best, alone."""
    return float(-found.g[:, column].sum() / found.H[:, column, column].sum())


def along_normals(outline: Outline, shift: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ki,ki->k", outline.normals, shift))


def test_parameters_explain_what_they_cause(
    outline: Outline, simulated: SimulatedRecording, motion: RobotMotion
) -> None:
    """Residuals are predicted minus observed: what is predicted too far out is corrected inward."""
    K = simulated.camera.K
    offset = outline.pixels - K[:2, 2]
    assert outline.d_pixels_d_joints is not None and outline.d_pixels_d_origins is not None
    causes = {
        LAG: (0.01, outline.d_pixels_d_lag),
        FOCAL_SCALE: (0.02, offset),
        PRINCIPAL_POINT[1]: (1.5, np.tile([0.0, 1.0], (len(outline), 1))),
        FIRST_JOINT + 2: (0.004, outline.d_pixels_d_joints[:, :, 2]),
        5: (0.01, outline.d_pixels_d_point[:, :, 2]),
    }
    for column, (value, derivative) in causes.items():
        residual = along_normals(outline, value * derivative)
        assert explained(systems(outline, residual, simulated, motion), column) == pytest.approx(
            -value, rel=1e-6
        )
    fat = systems(outline, np.full(len(outline), 0.7), simulated, motion)
    assert explained(fat, MASK_BIAS) == pytest.approx(-0.7)


def test_origins_move_what_hangs_on_them(
    outline: Outline, demo_robot: Robot, simulated: SimulatedRecording, motion: RobotMotion
) -> None:
    kinematics = demo_robot.kinematics
    joint = 4
    moved = [kinematics.joint_names[joint] in kinematics.moving_joints(kinematics.link_names[i])
             for i in outline.link]  # fmt: skip
    assert outline.d_pixels_d_origins is not None
    size = np.abs(outline.d_pixels_d_origins[:, :, joint]).max(axis=(1, 2))
    np.testing.assert_array_equal(size > 0, moved)
    # Along all three axes together the points move as far as a point displaced in the camera.
    turned = np.linalg.norm(outline.d_pixels_d_origins[moved][:, :, joint], axis=2)
    plain = np.linalg.norm(outline.d_pixels_d_point[moved], axis=2)
    np.testing.assert_allclose(turned, plain, rtol=1e-6)


def test_the_bias_of_an_image_is_taken_out(
    outline: Outline, simulated: SimulatedRecording, motion: RobotMotion
) -> None:
    fat = np.array([2.0, -2.0, 1.0, -1.0, 3.0])[outline.frame]
    plain = systems(outline, fat, simulated, motion)
    own = systems(outline, fat, simulated, motion, image_bias_sigma_px=2.0)
    assert own.variance_px2 < 0.01 * plain.variance_px2
    # What differs along an outline stays.
    shift = along_normals(outline, 0.01 * outline.d_pixels_d_point[:, :, 0])
    both = systems(outline, fat + shift, simulated, motion, image_bias_sigma_px=2.0)
    assert explained(both, 3) == pytest.approx(-0.01, rel=0.1)


def test_groups_are_images_or_links_in_them(
    outline: Outline, simulated: SimulatedRecording, motion: RobotMotion
) -> None:
    zero = np.zeros(len(outline))
    images = systems(outline, zero, simulated, motion)
    assert images.frame.tolist() == [0, 1, 2, 3, 4] and (images.link == -1).all()
    links = systems(outline, zero, simulated, motion, by_link=True)
    assert len(links) > len(images) and len(set(zip(links.frame, links.link, strict=True))) == len(
        links
    )
    named = images.numbered(np.array([3, 5, 7, 9, 11]), np.arange(12) * 1_000_000_000)
    assert named.frame.tolist() == [3, 5, 7, 9, 11] and named.stamps_s[-1] == 11.0
    assert images.joints == len(motion.kinematics.joint_names)


def test_nothing_measured_is_no_system(
    outline: Outline, simulated: SimulatedRecording, motion: RobotMotion
) -> None:
    nothing = Measurements(np.empty(0, np.intp), np.empty((0, 2)), np.empty(0), np.empty(0))
    estimate = Estimate(simulated.T_camera_base)
    assert linearise(outline, nothing, simulated.camera, estimate, motion.stamps_ns) is None
    every = np.arange(len(outline), dtype=np.intp)
    weightless = Measurements(every, outline.normals, np.zeros(len(every)), np.zeros(len(every)))
    assert linearise(outline, weightless, simulated.camera, estimate, motion.stamps_ns) is None
