# SPDX-License-Identifier: Apache-2.0
"""Ray casting against spheres and boxes with known outlines."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.simulation.ray_casting import Hits, RayCaster

K = np.array([[150.0, 0.0, 80.2], [0.0, 152.0, 59.3], [0.0, 0.0, 1.0]])
CAMERAS = [
    Camera(K, 160, 120, np.zeros(0), "pinhole"),
    Camera(K, 160, 120, np.array([-0.3, 0.1, 0.001, -0.002, 0.0]), "plumb_bob"),
    Camera(0.5 * K + np.diag([0, 0, 0.5]) + np.array([[0, 0, 40], [0, 0, 30], [0, 0, 0]]),
           160, 120, np.array([0.02, -0.01, 0.003, -0.001]), "equidistant"),
]  # fmt: skip
SPHERE, RADIUS = np.array([0.12, -0.05, 1.1]), 0.2
BOX, HALF = np.array([-0.2, 0.1, 1.3]), np.array([0.1, 0.15, 0.05])


def caster() -> tuple[RayCaster, NDArray[np.float64]]:
    ball = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS)
    box = trimesh.creation.box(extents=2 * HALF)
    surface = RobotSurface.from_meshes([ball, None, box], ["ball", "none", "box"])
    poses = np.stack([se3.make(np.eye(3), SPHERE), np.eye(4), se3.make(np.eye(3), BOX)])
    return RayCaster(surface), poses


def look(camera: Camera) -> tuple[Hits, NDArray[np.float64], dict[int, NDArray[np.bool_]]]:
    rays_of, poses = caster()
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([u, v], -1)).reshape(-1, 3)
    masks = rays_of.candidate_pixels(poses, camera)
    reaches = {link: mask.ravel() for link, mask in masks.items()}
    return rays_of.first_hits(np.zeros(3), rays, poses, reaches), rays, reaches


def sphere_distance(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    along, length = rays @ SPHERE, (rays**2).sum(axis=1)
    root = along**2 - length * (SPHERE @ SPHERE - RADIUS**2)
    with np.errstate(invalid="ignore"):
        return np.where(root > 0, (along - np.sqrt(root)) / length, np.inf)


def box_distance(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        a, b = (BOX - HALF) / rays, (BOX + HALF) / rays
    near, far = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
    return np.where(near < far, near, np.inf)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.model)
def test_hits_are_those_of_the_analytic_shapes(camera: Camera) -> None:
    hits, rays, _ = look(camera)
    ball, box = sphere_distance(rays), box_distance(rays)
    expected = np.where(ball < box, 0, np.where(np.isfinite(box), 2, -1))
    # The mesh of the ball lies up to 0.1 mm inside the ball: rays that graze it may differ.
    assert (hits.link != expected).mean() < 1e-3
    assert (expected == 0).sum() > 500
    assert (expected == 2).sum() > 100
    same = (hits.link == expected) & (expected >= 0)
    np.testing.assert_allclose(hits.distance[same], np.minimum(ball, box)[same], atol=5e-3)
    np.testing.assert_allclose(
        hits.distance[same & (expected == 2)], box[same & (expected == 2)], atol=1e-5
    )
    assert np.isinf(hits.distance[hits.link < 0]).all()


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.model)
def test_candidate_pixels_contain_all_hits(camera: Camera) -> None:
    _, rays, reaches = look(camera)
    for link, distance in ((0, sphere_distance(rays)), (2, box_distance(rays))):
        assert reaches[link][np.isfinite(distance)].all()
        assert reaches[link].mean() < 0.5


def test_normals_are_smooth_on_the_ball_and_flat_on_the_box() -> None:
    hits, rays, _ = look(CAMERAS[0])
    on_ball = hits.link == 0
    points = hits.distance[on_ball, None] * rays[on_ball]
    outwards = (points - SPHERE) / RADIUS
    assert np.abs(hits.normal[on_ball] - outwards).max() < 0.02
    front = hits.link == 2
    normals = np.abs(hits.normal[front])
    np.testing.assert_allclose(normals.max(axis=1), 1.0, atol=1e-6)
    assert (np.einsum("rk,rk->r", hits.normal[front], rays[front]) < 0).all()


def test_candidates_of_a_link_across_the_image_plane_are_everywhere() -> None:
    rays_of, poses = caster()
    poses[0, :3, 3] = 0.05
    assert rays_of.candidate_pixels(poses, CAMERAS[0])[0].all()
    poses[0, :3, 3] = [0, 0, -5]
    assert not rays_of.candidate_pixels(poses, CAMERAS[0])[0].any()


def test_points_in_the_shadow_of_the_ball() -> None:
    rays_of, poses = caster()
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.5, 0.5, (2000, 2)), np.full(2000, 2.0)])
    direction = np.array([0.0, 0.0, -1.0])
    blocked = rays_of.blocked(points, direction, poses)
    off_ball = np.linalg.norm(points[:, :2] - SPHERE[:2], axis=1)
    in_box = (np.abs(points[:, :2] - BOX[:2]) < HALF[:2]).all(axis=1)
    clear = np.abs(off_ball - RADIUS) > 1e-3
    np.testing.assert_array_equal(blocked[clear], ((off_ball < RADIUS) | in_box)[clear])
