# SPDX-License-Identifier: Apache-2.0
"""Random motion and the choice of a camera pose."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.simulation.motion import random_motion, surrounding_camera, table_height
from calib_all_ros.simulation.settings import SimulationError, SimulationSettings


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot(demo_urdf_path())


@pytest.mark.parametrize("seed", range(4))
def test_motion_is_smooth_within_limits_and_above_the_table(robot: Robot, seed: int) -> None:
    motion = random_motion(robot, 6.0, seed)
    times = np.linspace(0.0, 6.0, 301)
    q = np.asarray(motion(times))
    assert (q >= robot.kinematics.lower).all()
    assert (q <= robot.kinematics.upper).all()
    assert np.abs(motion(times, 1)).max() < 4.0  # rad/s
    assert np.ptp(q[:, :7], axis=0).min() > 0.1  # every joint moves
    T = robot.kinematics.forward(q[::5])
    surface = robot.surface
    vertices = np.einsum("nvk,vk->nv", T[:, surface.link_of_vertex, 2, :3], surface.vertices)
    heights = vertices + T[:, surface.link_of_vertex, 2, 3]
    assert heights.min() > -0.005


def test_motion_depends_on_the_seed_only(robot: Robot) -> None:
    times = np.linspace(0.0, 3.0, 10)
    first, again, other = (random_motion(robot, 3.0, seed)(times) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_table_is_at_the_foot(robot: Robot) -> None:
    assert table_height(robot) == pytest.approx(0.0, abs=1e-6)
    seen_from_shoulder = load_robot(demo_urdf_path(), base_frame="shoulder_link")
    assert table_height(seen_from_shoulder) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_camera_sees_the_whole_robot_large_and_upright(robot: Robot, seed: int) -> None:
    camera = SimulationSettings().camera()
    q = np.asarray(random_motion(robot, 4.0, seed)(np.linspace(0, 4.0, 20)))
    T_camera_base = surrounding_camera(robot, camera, q, seed)
    surface = robot.surface
    T = (T_camera_base @ robot.kinematics.forward(q))[:, surface.link_of_vertex]
    pixels = camera.project(
        np.einsum("nvij,vj->nvi", T[..., :3, :3], surface.vertices) + T[..., :3, 3]
    )
    low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    assert (low > 0).all()
    assert (high < [camera.width - 1, camera.height - 1]).all()
    assert ((high - low) / [camera.width, camera.height]).max() > 0.8
    assert T_camera_base[1, 2] < -0.5  # the base's z axis points up in the image
    assert se3.invert(T_camera_base)[2, 3] > 0  # from above the table
    np.testing.assert_allclose(
        T_camera_base[:3, :3] @ T_camera_base[:3, :3].T, np.eye(3), atol=1e-12
    )


def test_a_robot_under_its_table_is_an_error() -> None:
    box = '<visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual>'
    hanging = (
        f'<robot name="bat"><link name="base">{box}</link><link name="arm">{box}</link>'
        '<joint name="j" type="revolute"><parent link="base"/><child link="arm"/>'
        '<origin xyz="0 0 -1"/><axis xyz="0 0 1"/><limit lower="-1" upper="1"/></joint></robot>'
    )
    with pytest.raises(SimulationError, match="'bat'"):
        random_motion(load_robot(hanging), 3.0, 0)
