# SPDX-License-Identifier: Apache-2.0
"""Outline points and their derivatives against finite differences and the ray caster's masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.outline import Outline, render_outline

FRAMES = np.array([3, 9, 15])


@pytest.fixture(scope="module")
def motion(simulated_motion: RobotMotion) -> RobotMotion:
    return simulated_motion.subset(FRAMES)


@pytest.fixture(scope="module")
def outline(demo_robot: Robot, motion: RobotMotion, simulated: SimulatedRecording) -> Outline:
    estimate = Estimate(simulated.T_camera_base, lag_s=0.02)
    return render_outline(demo_robot.surface, motion, simulated.camera, estimate)


def test_points_project_to_their_pixels(outline: Outline, simulated: SimulatedRecording) -> None:
    assert len(outline) > 500
    pixels = simulated.camera.project(outline.points)
    np.testing.assert_allclose(pixels, outline.pixels, atol=1e-6)


def test_derivative_of_the_projection(outline: Outline, simulated: SimulatedRecording) -> None:
    step = 1e-6
    for axis in range(3):
        moved = outline.points + step * np.eye(3)[axis]
        numeric = (simulated.camera.project(moved) - outline.pixels) / step
        np.testing.assert_allclose(outline.d_pixels_d_point[:, :, axis], numeric, atol=0.05)


@pytest.mark.parametrize("joint", [None, 0, 3])
def test_derivative_with_respect_to_the_lag_and_a_joint(
    demo_robot: Robot, motion: RobotMotion, simulated: SimulatedRecording, joint: int | None
) -> None:
    camera, T_camera_base = simulated.camera, simulated.T_camera_base
    offsets = np.full(len(demo_robot.kinematics.joint_names), 0.03)
    estimate = Estimate(T_camera_base, lag_s=0.02, joint_offsets=offsets)
    outline = render_outline(demo_robot.surface, motion, camera, estimate, with_joints=True)
    here = (T_camera_base @ estimate.link_poses(motion))[outline.frame, outline.link]
    on_link = se3.transform(se3.invert(here), outline.points[:, None])
    step = 0.005 if joint is None else 1e-4
    pixels = []
    for change in (-step, step):
        if joint is None:
            there = replace(estimate, lag_s=0.02 + change)
        else:
            moved = offsets + change * np.eye(len(offsets))[joint]
            there = replace(estimate, joint_offsets=moved)
        T_camera_link = (T_camera_base @ there.link_poses(motion))[outline.frame, outline.link]
        pixels.append(camera.project(se3.transform(T_camera_link, on_link)[:, 0]))
    numeric = (pixels[1] - pixels[0]) / (2 * step)
    assert np.abs(numeric).max() > 20.0
    if joint is None:
        np.testing.assert_allclose(outline.d_pixels_d_lag, numeric, atol=0.5)
    else:
        assert outline.d_pixels_d_joints is not None
        np.testing.assert_allclose(outline.d_pixels_d_joints[..., joint], numeric, atol=1e-3)


def test_silhouettes_are_those_of_the_ray_caster(
    demo_robot: Robot, motion: RobotMotion, simulated: SimulatedRecording
) -> None:
    estimate = Estimate(simulated.T_camera_base)
    masks = render_outline(demo_robot.surface, motion, simulated.camera, estimate).masks
    truth = simulated.masks[FRAMES]
    assert masks.shape == truth.shape
    assert np.count_nonzero(masks ^ truth) < 2e-3 * np.count_nonzero(truth)


def test_a_robot_that_leaves_the_image_keeps_its_outline(
    demo_robot: Robot, motion: RobotMotion, simulated: SimulatedRecording
) -> None:
    T = simulated.T_camera_base.copy()
    T[0, 3] += 0.5 * simulated.camera.width * T[2, 3] / simulated.camera.K[0, 0]
    outline = render_outline(demo_robot.surface, motion, simulated.camera, Estimate(T))
    width = simulated.camera.width
    assert (outline.pixels[:, 0] > width + 10).any()
    # The image's border is no outline: no column has more of it than its neighbours together.
    columns = np.bincount(np.rint(outline.pixels[:, 0]).astype(int), minlength=width + 3)
    assert columns[width - 1] <= columns[width - 3 : width + 2].sum() * 0.5


def test_focal_scale_is_applied(
    demo_robot: Robot, motion: RobotMotion, simulated: SimulatedRecording
) -> None:
    estimate = Estimate(simulated.T_camera_base, focal_scale=1.05)
    outline = render_outline(demo_robot.surface, motion, simulated.camera, estimate)
    longer = estimate.camera(simulated.camera)
    np.testing.assert_allclose(longer.project(outline.points), outline.pixels, atol=1e-6)
    same = render_outline(demo_robot.surface, motion, longer, replace(estimate, focal_scale=1.0))
    np.testing.assert_array_equal(same.masks, outline.masks)
