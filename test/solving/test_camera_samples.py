# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.camera_samples import (
    ImageMoments,
    image_moments,
    perturb,
    place_cameras,
    sample_moments,
    sample_rotations,
)

K = np.array([[60.0, 0, 31.0], [0, 62.0, 22.0], [0, 0, 1]])
CAMERA = Camera(K, 64, 48, np.zeros(0), "pinhole")


def plane_statistics(T: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
    moved = se3.transform(T, points)
    plane = moved[:, :2] / moved[:, 2:]
    centre = plane.mean(axis=0)
    return centre, float(np.sqrt(((plane - centre) ** 2).sum(axis=1).mean()))


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_rotations_are_rotations(count: int) -> None:
    R = sample_rotations(count, np.random.default_rng(0))
    assert R.shape == (count, 3, 3)
    np.testing.assert_allclose(
        R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(R), 1.0)


def test_most_cameras_stand_upright_and_look_from_above_and_below() -> None:
    R = sample_rotations(3000, np.random.default_rng(0))[:2000]
    # The rows are the camera's axes in the base frame: x right, y down, z forward.
    assert (R[:, 1, 2] < 0).all()
    elevation = np.degrees(np.arcsin(-R[:, 2, 2]))
    assert -30.01 <= elevation.min() < -25 and 80 < elevation.max() <= 85.01
    azimuth = np.arctan2(-R[:, 2, 1], -R[:, 2, 0])
    assert np.histogram(azimuth, 12, (-np.pi, np.pi))[0].min() > 120
    tilt = np.degrees(np.arcsin(np.clip(R[:, 0, 2] / np.cos(np.radians(elevation)), -1, 1)))
    assert 15 < np.abs(tilt).max() <= 20.01


def test_the_rest_looks_from_everywhere() -> None:
    R = sample_rotations(3000, np.random.default_rng(0))[2000:]
    # Uniform rotations have no preferred direction for any axis of the camera.
    assert np.abs(R.mean(axis=0)).max() < 0.06
    np.testing.assert_allclose((R**2).mean(axis=0), 1 / 3, atol=0.03)


def test_evidence_is_mean_and_spread_on_the_normalised_plane() -> None:
    weights = np.zeros((48, 64))
    weights[10, 20], weights[14, 26] = 1.0, 3.0
    x, y = (np.array([20, 26]) - 31) / 60, (np.array([10, 14]) - 22) / 62
    mean = np.array([x @ [0.25, 0.75], y @ [0.25, 0.75]])
    evidence = image_moments(weights, CAMERA)
    np.testing.assert_allclose(evidence.centre, mean)
    variance = ((x - mean[0]) ** 2 + (y - mean[1]) ** 2) @ [0.25, 0.75]
    assert evidence.spread == pytest.approx(np.sqrt(variance))


def test_no_evidence_is_finite() -> None:
    evidence = image_moments(np.zeros((48, 64)), CAMERA)
    assert np.isfinite(evidence.centre).all() and evidence.spread > 0


def test_the_robot_is_placed_where_it_was_seen_and_as_large() -> None:
    rng = np.random.default_rng(4)
    points = rng.uniform([-0.4, -0.4, 0.0], [0.4, 0.4, 1.0], (400, 3))
    rotations = sample_rotations(300, rng)
    evidence = ImageMoments(np.array([0.15, -0.08]), 0.16)
    poses = place_cameras(rotations, points, np.ones(len(points)), evidence, rng)
    np.testing.assert_array_equal(poses[:, :3, :3], rotations)
    statistics = [plane_statistics(T, points) for T in poses]
    off_centre = np.linalg.norm([c - evidence.centre for c, _ in statistics], axis=1)
    size = np.array([s for _, s in statistics]) / evidence.spread
    # Half of them are exactly there, the others are scattered on purpose.
    assert np.quantile(off_centre, 0.4) < 0.02
    assert np.quantile(np.abs(np.log(size)), 0.4) < 0.05
    assert np.quantile(off_centre, 0.9) > 0.05
    assert np.quantile(np.abs(np.log(size)), 0.9) > 0.2


def test_robots_are_guessed_also_where_least_changes() -> None:
    """A screen fills the left half; the robot is at the right, seen alone in one pair of images."""
    change = np.zeros((3, 48, 64))
    change[:2, :, :32] = 1.0
    change[:, 20:30, 50:58] = 1.0
    explainable = np.where(change.all(axis=0), 10.0, 0.1)
    moments = sample_moments(change, explainable, CAMERA, 3000, np.random.default_rng(0))
    assert moments.centre.shape == (3000, 2) and np.shape(moments.spread) == (3000,)
    robot = np.array([(53.5 - CAMERA.K[0, 2]) / CAMERA.K[0, 0], (24.5 - 22) / 62])
    near = np.linalg.norm(moments.centre - robot, axis=1) < 0.1
    assert 0.2 < near.mean() < 0.8
    rotations = sample_rotations(3000, np.random.default_rng(1))
    points = np.random.default_rng(2).uniform(-0.3, 0.3, (100, 3))
    poses = place_cameras(rotations, points, np.ones(100), moments, np.random.default_rng(3))
    assert np.isfinite(poses).all() and (poses[:, 2, 3] > 0).all()


def test_points_of_no_weight_do_not_place_the_robot() -> None:
    rng = np.random.default_rng(4)
    points = rng.uniform(-0.3, 0.3, (200, 3))
    stray = np.concatenate([points, points + np.array([5.0, 0.0, 0.0])])
    weights = np.concatenate([np.ones(200), np.zeros(200)])
    evidence = ImageMoments(np.zeros(2), 0.1)
    rotations = sample_rotations(20, rng)
    one = place_cameras(rotations, points, np.ones(200), evidence, np.random.default_rng(0))
    other = place_cameras(rotations, stray, weights, evidence, np.random.default_rng(0))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_variations_scatter_as_asked_about_the_robot() -> None:
    rng = np.random.default_rng(0)
    T = se3.from_rotvec(np.array([0.2, 0.4, -1.0]), np.array([0.1, 0.2, 2.0]))
    centre = np.array([0.1, 0.0, 0.5])
    varied = perturb(T[None], centre, 4000, 0.1, 0.05, rng)
    assert varied.shape == (4000, 4, 4)
    before = se3.transform(T, centre[None])[0]
    after = np.stack([se3.transform(v, centre[None])[0] for v in varied])
    np.testing.assert_allclose(
        (after - before).std(axis=0), 0.05 * np.linalg.norm(before), rtol=0.06
    )
    angles = np.radians([se3.difference(T, v)[0] for v in varied])
    assert np.sqrt(np.mean(angles**2)) == pytest.approx(0.1 * np.sqrt(3), rel=0.05)


def test_variations_of_a_pose_are_neighbours() -> None:
    T = np.stack([se3.make(np.eye(3), np.array([0, 0, z])) for z in (1.0, 5.0)])
    varied = perturb(T, np.zeros(3), 3, 0.0, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(varied[:, 2, 3], [1, 1, 1, 5, 5, 5])
