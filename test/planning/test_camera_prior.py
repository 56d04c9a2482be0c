# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.planning.camera_prior import CameraPrior, camera_with_view, looking_at
from calib_all_ros.planning.joint_ranges import PlanningError


def test_target_is_in_the_middle_and_up_is_up() -> None:
    camera = camera_with_view(640, 480, 90.0)
    assert camera.K[0, 0] == pytest.approx(320.0)
    T = looking_at([1.0, -2.0, 0.5], [0.2, 0.1, 0.9])
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(se3.invert(T)[:3, 3], [1.0, -2.0, 0.5])
    points = np.array([[0.2, 0.1, 0.9], [0.2, 0.1, 1.0]])
    target, above = camera.project(se3.transform(T, points))
    np.testing.assert_allclose(target, [319.5, 239.5])
    assert above[0] == pytest.approx(target[0])
    assert above[1] < target[1] - 1.0


def test_straight_down_the_x_axis_points_up() -> None:
    T = looking_at([0.3, 0.0, 2.0], [0.3, 0.0, 0.0])
    np.testing.assert_allclose(T[:3, :3] @ [1.0, 0.0, 0.0], [0.0, -1.0, 0.0], atol=1e-12)


def test_samples_scatter_as_the_prior_says() -> None:
    camera = camera_with_view(64, 48, 60.0)
    prior = CameraPrior(camera, looking_at([1.0, 0.0, 1.0], [0, 0, 0]), 0.3, np.radians(20.0))
    samples = prior.samples(513, seed=3)
    np.testing.assert_allclose(samples[0], prior.T_camera_base, atol=1e-12)
    places = se3.invert(samples[1:])[:, :3, 3] - prior.position
    angles = [se3.difference(T, prior.T_camera_base)[0] for T in samples[1:]]
    assert np.sqrt((places**2).sum(axis=1).mean()) == pytest.approx(0.3, rel=0.05)
    assert np.sqrt(np.mean(np.square(angles))) == pytest.approx(20.0, rel=0.05)
    np.testing.assert_array_equal(samples, prior.samples(513, seed=3))
    assert not np.array_equal(samples, prior.samples(513, seed=4))


def test_refused() -> None:
    with pytest.raises(PlanningError, match="the point where it is"):
        looking_at([1, 2, 3], [1, 2, 3])
    for size in ((0, 480, 60.0), (640, 480, 180.0), (640, 480, float("nan"))):
        with pytest.raises(PlanningError, match="is no camera"):
            camera_with_view(*size)
    with pytest.raises(PlanningError, match="must be positive"):
        CameraPrior(camera_with_view(64, 48, 60.0), np.eye(4), 0.0, 0.1)
