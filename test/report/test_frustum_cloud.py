# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.report.frustum_cloud import (
    Space,
    cloud_views,
    displaced,
    ninety_percent,
    sample_errors,
)
from calib_all_ros.results.records import Covariance
from calib_all_ros.robot.description import Robot

RAYS = np.array([[-0.5, -0.4, 1.0], [0.5, -0.4, 1.0], [0.5, 0.4, 1.0], [-0.5, 0.4, 1.0]])
POSE = se3.from_rotvec(np.array([0.3, 2.0, 0.1]), np.array([0.4, 1.2, 0.8]))


def random_covariance(seed: int, rank: int = 6) -> Covariance:
    factor = 1e-3 * np.random.default_rng(seed).normal(size=(6, rank))
    return Covariance(factor @ factor.T)


@pytest.mark.parametrize("rank", [6, 4, 0])
def test_samples_have_the_covariance(rank: int) -> None:
    covariance = random_covariance(1, rank)
    errors = sample_errors(covariance, 40_000)
    scale = np.abs(covariance.matrix).max()
    np.testing.assert_allclose(np.cov(errors.T), covariance.matrix, atol=0.03 * scale)
    np.testing.assert_array_equal(errors, sample_errors(covariance, 40_000))


def test_errors_are_along_the_axes_of_the_base() -> None:
    errors = np.array([[0.1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, np.pi / 2]], dtype=float)
    shifted, turned = displaced(POSE, errors)
    np.testing.assert_allclose(shifted[:3, 3] - POSE[:3, 3], [0.1, 0, 0])
    np.testing.assert_array_equal(shifted[:3, :3], POSE[:3, :3])
    # About the vertical axis through the camera: it stays, and looks elsewhere.
    np.testing.assert_array_equal(turned[:3, 3], POSE[:3, 3])
    forward = POSE[:3, 2]
    np.testing.assert_allclose(turned[:3, 2], [-forward[1], forward[0], forward[2]], atol=1e-12)


def test_small_errors_are_enlarged_and_large_ones_are_not() -> None:
    space = Space(POSE, RAYS)
    small = cloud_views(space, Covariance(np.diag([1e-6] * 3 + [1e-8] * 3)))
    assert small.exaggeration >= 10
    assert f"errors enlarged {small.exaggeration} times" in small.top
    large = cloud_views(space, Covariance(np.diag([0.04] * 3 + [0.01] * 3)))
    assert large.exaggeration == 1
    assert "enlarged" not in large.top and "at true scale" in large.top


def test_region_of_90_percent() -> None:
    # Chi with three degrees of freedom, and with one.
    for variances, sigmas in (([1.0, 1.0, 1.0], 2.5003), ([0.0, 1.0, 0.0], 1.6449)):
        matrix = np.diag([*(1e-6 * np.array(variances)), *(1e-4 * np.array(variances))])
        position_m, rotation_rad = ninety_percent(Covariance(matrix))
        assert position_m == pytest.approx(1e-3 * sigmas, rel=0.02)
        assert rotation_rad == pytest.approx(1e-2 * sigmas, rel=0.02)


def test_side_view_shows_the_camera_s_distance() -> None:
    views = cloud_views(Space(POSE, RAYS), random_covariance(2))
    assert "x, m" in views.top and "y, m" in views.top
    # The camera is farther along y than along x.
    assert "y, m" in views.side and "z, m" in views.side and "x, m" not in views.side
    assert "z, mm" in views.side


def test_robot_is_drawn_link_by_link(demo_robot: Robot) -> None:
    kinematics = demo_robot.kinematics
    links = kinematics.forward(np.zeros((1, len(kinematics.joint_names))))[0]
    without = cloud_views(Space(POSE, RAYS), random_covariance(3))
    drawn = cloud_views(Space(POSE, RAYS, demo_robot.surface, links), random_covariance(3))
    count = len(np.unique(demo_robot.surface.link_of_vertex))
    assert "var(--robot)" not in without.top
    assert drawn.top.count("fill: var(--robot)") == count
    assert drawn.side.count("fill: var(--robot)") == count


def test_pose_that_is_exactly_known_is_drawn() -> None:
    views = cloud_views(Space(POSE, RAYS), Covariance(np.zeros((6, 6))))
    assert "<svg" in views.top
