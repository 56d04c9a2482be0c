# SPDX-License-Identifier: Apache-2.0
"""Temporal PnP against synthetic tracks: errors are medians over seeded trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.solving.temporal_pnp import (
    TemporalPnpError,
    TemporalPnpResult,
    TemporalPnpSettings,
    solve_epnp,
    solve_temporal_pnp,
)

Array = NDArray[np.float64]

K = np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]])
FRAMES, DURATION_S = 100, 10.0
TWO_PERCENT_S = 0.02 * DURATION_S
TRIALS = 7


@dataclass
class Scene:
    """A camera, the smooth motion of a link, and the track of a mark on it."""

    T_camera_base: Array
    pixels: Array
    visible: NDArray[np.bool_]
    link_poses: Callable[[float], Array]
    point_in_link: Array

    def solve(self, settings: TemporalPnpSettings | None = None) -> TemporalPnpResult:
        return solve_temporal_pnp(self.pixels, self.visible, self.link_poses, K, settings)


def make_scene(
    seed: int,
    *,
    offset_m: float = 0.0,
    lag_s: float = 0.0,
    stuck: float = 0.0,
    noise_px: float = 2.0,
    turning: float = 0.6,
) -> Scene:
    rng = np.random.default_rng(seed)
    azimuth, distance = rng.uniform(-1, 1), rng.uniform(0.9, 1.3)
    eye = np.array(
        [0.4 + distance * np.cos(azimuth), distance * np.sin(azimuth), rng.uniform(0.5, 1.1)]
    )
    T_camera_base = looking_at(eye, np.array([0.4, 0.0, 0.4]) + rng.normal(0, 0.05, 3))
    frequency = rng.uniform(0.1, 0.5, (3, 6))
    phase = rng.uniform(0, 2 * np.pi, (3, 6))
    size = rng.uniform(0.3, 1, (3, 6)) * np.array([0.2, 0.3, 0.2, turning, turning, turning])
    R_start = Rotation.from_rotvec(rng.normal(size=3))
    stamps_s = np.arange(FRAMES) * DURATION_S / FRAMES

    def link_poses(lag: float) -> Array:
        angle = 2 * np.pi * frequency[:, None] * (stamps_s - lag)[None, :, None] + phase[:, None]
        motion = (size[:, None] * np.sin(angle)).sum(axis=0)
        T = np.tile(np.eye(4), (FRAMES, 1, 1))
        T[:, :3, :3] = (Rotation.from_rotvec(motion[:, 3:]) * R_start).as_matrix()
        T[:, :3, 3] = np.array([0.4, 0.0, 0.45]) + motion[:, :3]
        return T

    direction = rng.normal(size=3)
    point = offset_m * direction / np.linalg.norm(direction)
    # Images late: what an image shows is where the robot was `lag_s` before its stamp.
    seen = link_poses(lag_s) @ np.append(point, 1.0)
    image = se3.transform(T_camera_base, seen[:, :3]) @ K.T
    pixels = image[:, :2] / image[:, 2:] + rng.normal(0, noise_px, (FRAMES, 2))
    if stuck:
        first = int(FRAMES * (1 - stuck))
        pixels[first:] = pixels[first - 1] + rng.normal(0, noise_px, (FRAMES - first, 2))
    return Scene(T_camera_base, pixels, np.ones(FRAMES, dtype=bool), link_poses, point)


def looking_at(eye: Array, target: Array) -> Array:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    R_base_camera = np.stack([right, np.cross(forward, right), forward], axis=1)
    return se3.invert(se3.make(R_base_camera, eye))


def errors(scenes: list[Scene], results: list[TemporalPnpResult]) -> Array:
    """Return (trials, 2): degrees and centimetres."""
    pairs = zip(scenes, results, strict=True)
    found = [se3.difference(result.T_camera_base, scene.T_camera_base) for scene, result in pairs]
    return np.array(found) * [1.0, 100.0]


@pytest.mark.parametrize(
    ("trouble", "limits", "kept"),
    [
        ({}, (0.5, 1.0), ()),
        ({"offset_m": 0.05}, (0.5, 1.0), ("offset",)),
        ({"lag_s": TWO_PERCENT_S}, (0.5, 1.0), ("lag",)),
        ({"stuck": 0.25}, (0.6, 1.2), ()),
        (
            {"offset_m": 0.05, "lag_s": TWO_PERCENT_S, "stuck": 0.25},
            (0.7, 1.5),
            ("offset", "lag"),
        ),
    ],
    ids=["clean", "offset", "lag", "stuck", "all"],
)
def test_median_error(
    trouble: dict[str, float], limits: tuple[float, float], kept: tuple[str, ...]
) -> None:
    scenes = [make_scene(seed, **trouble) for seed in range(TRIALS)]
    results = [scene.solve() for scene in scenes]
    found = errors(scenes, results)
    assert (np.median(found, axis=0) < limits).all(), found
    assert (found.max(axis=0) < (2.0, 5.0)).all(), found
    assert sum(result.free == kept for result in results) > TRIALS / 2
    assert {result.termination for result in results} == {"converged"}


def test_noise_free_track_is_solved_exactly() -> None:
    scene = make_scene(3, offset_m=0.05, lag_s=0.1, noise_px=0.0)
    settings = TemporalPnpSettings(pixel_sigma_px=1e-3)
    result = scene.solve(settings)
    np.testing.assert_allclose(result.T_camera_base, scene.T_camera_base, atol=1e-4)
    np.testing.assert_allclose(result.point_in_link, scene.point_in_link, atol=1e-4)
    assert result.lag_s == pytest.approx(0.1, abs=1e-4)
    assert result.free == ("offset", "lag")
    assert result.inliers.all()


def test_lag_is_positive_when_images_are_late() -> None:
    assert make_scene(5, lag_s=0.15).solve().lag_s == pytest.approx(0.15, abs=0.02)
    assert make_scene(5, lag_s=-0.15).solve().lag_s == pytest.approx(-0.15, abs=0.02)


def test_stuck_part_of_the_track_is_told_apart() -> None:
    result = make_scene(1, stuck=0.25).solve()
    assert result.inliers[:75].mean() > 0.9
    assert result.inliers[75:].mean() < 0.4
    # Two pixels a coordinate; the residuals inside the gate are a little smaller.
    assert result.reprojection_rms_px == pytest.approx(2 * np.sqrt(2), rel=0.2)
    assert result.held_out_rms_px > result.reprojection_rms_px * 0.9


def test_invisible_frames_are_not_used() -> None:
    scene = make_scene(2)
    scene.visible[40:] = False
    scene.pixels[40:60] = np.nan
    scene.pixels[60:] = 1e6
    result = scene.solve()
    assert not result.inliers[40:].any()
    degrees, metres = se3.difference(result.T_camera_base, scene.T_camera_base)
    assert degrees < 3.0
    assert metres < 0.08


def test_covariance_matches_actual_errors() -> None:
    scenes = [make_scene(seed) for seed in range(30, 42)]
    ratios = []
    for scene in scenes:
        result = scene.solve()
        error = se3.invert(result.T_camera_base)[:3, 3] - se3.invert(scene.T_camera_base)[:3, 3]
        ratios.append(error @ np.linalg.solve(result.covariance[:3, :3], error))
    # A squared Mahalanobis distance in three dimensions has mean 3.
    assert 1.2 < np.mean(ratios) < 6.0


def test_without_rotation_the_offset_is_not_kept() -> None:
    result = make_scene(4, offset_m=0.02, turning=0.0).solve()
    assert "offset" not in result.free


def test_frames_with_unknown_joints_are_left_out() -> None:
    scene = make_scene(6, lag_s=0.1)
    complete = scene.link_poses

    def with_gap(lag_s: float) -> Array:
        T = complete(lag_s).copy()
        T[10:15] = np.nan
        T[: int(max(0.0, lag_s) * 10)] = np.nan
        return T

    scene.link_poses = with_gap
    result = scene.solve()
    assert not result.inliers[10:15].any()
    assert result.lag_s == pytest.approx(0.1, abs=0.02)
    assert se3.difference(result.T_camera_base, scene.T_camera_base)[0] < 1.0


def test_short_track_is_not_called_verified() -> None:
    scene = make_scene(7)
    scene.visible[8:] = False
    assert scene.solve().termination in {"unverified", "ill-conditioned"}


def test_too_short_track_is_refused() -> None:
    scene = make_scene(8)
    scene.visible[5:] = False
    with pytest.raises(TemporalPnpError, match="visible in 5 frames"):
        scene.solve()


def test_still_robot_is_refused() -> None:
    scene = make_scene(9)
    still = scene.link_poses(0.0)[:1].repeat(FRAMES, axis=0)
    scene.link_poses = lambda lag_s: still
    with pytest.raises(TemporalPnpError, match="not at all"):
        scene.solve()


def test_track_of_something_else_is_refused_or_has_few_inliers() -> None:
    scene = make_scene(10)
    scene.pixels = np.random.default_rng(0).uniform((0, 0), (640, 480), (FRAMES, 2))
    try:
        result = scene.solve()
    except TemporalPnpError as error:
        assert "agree" in str(error) or "fits no camera" in str(error)
    else:
        assert result.inliers.mean() < 0.25


def test_epnp_solves_a_clean_track() -> None:
    scene = make_scene(11, noise_px=0.0)
    T = solve_epnp(scene.link_poses(0.0)[:, :3, 3], scene.pixels, K)
    np.testing.assert_allclose(T, scene.T_camera_base, atol=1e-6)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((3, 3)), "needs 4 points"),
        (np.linspace(0, 1, 10)[:, None] * np.ones(3), "along a line"),
        (np.full((10, 3), np.nan), "finite"),
        (np.zeros((10, 2)), r"\(N, 3\)"),
    ],
)
def test_epnp_refuses_degenerate_input(points: Array, message: str) -> None:
    with pytest.raises(TemporalPnpError, match=message):
        solve_epnp(points, np.zeros((len(points), 2)), K)


def test_settings_check_themselves() -> None:
    with pytest.raises(TemporalPnpError, match="pixel_sigma_px"):
        TemporalPnpSettings(pixel_sigma_px=0.0)
    with pytest.raises(TemporalPnpError, match="min_points"):
        TemporalPnpSettings(min_points=3)
