# SPDX-License-Identifier: Apache-2.0
"""Surroundings and shading."""

from __future__ import annotations

import numpy as np

from calib_all_ros.simulation.scene import Scene, to_srgb

POSITION = np.array([1.5, 0.3, 0.8])


def make(seed: int = 0) -> Scene:
    return Scene(POSITION, 0.1, 1.0, seed)


def test_rays_down_meet_the_table_at_its_height() -> None:
    rng = np.random.default_rng(0)
    rays = np.column_stack([rng.uniform(-1, 0, 50), rng.uniform(-0.3, 0.3, 50), np.full(50, -0.9)])
    colour, points = make().background(POSITION, rays)
    np.testing.assert_allclose(points[:, 2], 0.1)
    np.testing.assert_allclose(np.cross(points - POSITION, rays), 0.0, atol=1e-12)
    assert colour.min() > 0
    assert colour.std() > 0.02  # textured


def test_level_rays_meet_the_wall() -> None:
    rays = np.array([[-1.0, 0.0, 0.0], [-1.0, 0.2, 0.3]])
    colour, points = make().background(POSITION, rays)
    assert np.isnan(points).all()
    assert (colour > 0).all()
    away, _ = make().background(POSITION, np.array([[1.0, 0.0, 0.2]]))
    np.testing.assert_array_equal(away, 0.5)


def test_seed_changes_the_textures() -> None:
    rays = np.random.default_rng(0).uniform(-1, 0, (100, 3))
    first, again, other = (make(seed).background(POSITION, rays)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_faces_towards_the_light_are_brighter() -> None:
    scene = make()
    light = scene.lights[0].direction
    normals = np.stack([light, -light])
    bright, dark = scene.shade(np.array([0, 0]), normals, np.array([[1.0, 0, 0]] * 2)).sum(axis=1)
    assert bright > 1.5 * dark > 0
    assert 0.2 <= scene.shadow_factor() < 0.9


def test_tone_curve_ends_at_black_and_white() -> None:
    np.testing.assert_allclose(to_srgb(np.array([-1.0, 0.0, 1.0, 3.0])), [0, 0, 255, 255])
    assert 180 < to_srgb(np.array(0.5)) < 190
