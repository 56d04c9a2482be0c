# SPDX-License-Identifier: Apache-2.0
"""The rasteriser against pixel counts by hand, analytic depth and an independent ray caster."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import BACKGROUND, RenderingError, render, silhouettes
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.motion import RobotMotion

K = np.array([[100.0, 0.0, 30.5], [0.0, 104.0, 22.25], [0.0, 0.0, 1.0]])
CAMERA = Camera(K, 64, 48, np.zeros(0), "pinhole")
HERE = np.eye(4)[None, None]


def at_pixels(pixels: ArrayLike, z: ArrayLike, camera: Camera = CAMERA) -> NDArray[np.float64]:
    """Points at depth z that project to the pixels."""
    pixels = np.asarray(pixels, dtype=np.float64)
    return camera.rays(pixels) * np.broadcast_to(z, len(pixels))[:, None]


def surface(*parts: tuple[ArrayLike, ArrayLike]) -> RobotSurface:
    """One link for each (vertices, faces)."""
    meshes = [trimesh.Trimesh(v, f, process=False) for v, f in parts]
    return RobotSurface.from_meshes(meshes, [f"link_{i}" for i in range(len(parts))])


def square(left: float, top: float, right: float, bottom: float, z: float = 1.0) -> ArrayLike:
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return at_pixels(corners, z)


QUAD = [[0, 1, 2], [0, 2, 3]]


def test_triangle_covers_the_pixels_whose_centres_it_contains() -> None:
    # Centres with u >= 2, v >= 2, u + v <= 14: 11 + 10 + ... + 1.
    corners = at_pixels([[1.7, 1.7], [12.6, 1.7], [1.7, 12.6]], 0.8)
    links, _ = render(surface((corners, [[0, 1, 2]])), HERE, CAMERA)
    v, u = np.nonzero(links[0] == 0)
    assert len(u) == 66
    assert u.min() == 2 and v.min() == 2 and (u + v).max() == 14


def test_winding_does_not_matter() -> None:
    corners = at_pixels([[1.7, 1.7], [12.6, 1.7], [1.7, 12.6]], 0.8)
    one = silhouettes(surface((corners, [[0, 1, 2]])), HERE, CAMERA)
    other = silhouettes(surface((corners, [[0, 2, 1]])), HERE, CAMERA)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("left", [10.05, 10.45, 10.55, 10.95])
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_pixel_centres_are_at_integers_at_every_scale(left: float, scale: float) -> None:
    corners = square(left, 8.3, left + 25.2, 30.6, z=1.7)
    camera = CAMERA.scaled(scale)
    mask = silhouettes(surface((corners, QUAD)), HERE, camera)[0]
    v, u = np.nonzero(mask)
    # Pixel k of the scaled image has its centre at (k + 0.5) / scale - 0.5 of the full one.
    columns = np.arange(camera.width)
    centres = (columns + 0.5) / scale - 0.5
    expected = columns[(centres > left) & (centres < left + 25.2)]
    assert (u.min(), u.max()) == (expected[0], expected[-1])
    rows = np.arange(camera.height)
    centres = (rows + 0.5) / scale - 0.5
    expected = rows[(centres > 8.3) & (centres < 30.6)]
    assert (v.min(), v.max()) == (expected[0], expected[-1])
    assert mask.sum() == (np.ptp(u) + 1) * (np.ptp(v) + 1)


def test_slanted_plane_has_the_depth_of_the_plane() -> None:
    normal, offset = np.array([0.5, -0.3, 1.0]), 1.2
    pixels = [[-20.0, -20.0], [90.0, -20.0], [90.0, 70.0], [-20.0, 70.0]]
    rays = CAMERA.rays(pixels)
    corners = rays * (offset / (rays @ normal))[:, None]
    _, depth = render(surface((corners, QUAD)), HERE, CAMERA)
    u, v = np.meshgrid(np.arange(64.0), np.arange(48.0))
    expected = offset / (CAMERA.rays(np.stack([u, v], -1)) @ normal)
    np.testing.assert_allclose(depth[0], expected, rtol=1e-5)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nearer_link_hides_the_farther_one(order: tuple[int, int]) -> None:
    squares = [square(10.5, 10.5, 30.5, 30.5, z=1.0), square(20.5, 20.5, 40.5, 40.5, z=2.0)]
    links, depth = render(surface(*[(squares[i], QUAD) for i in order]), HERE.repeat(2, 1), CAMERA)
    near, far = order.index(0), order.index(1)
    assert (links[0, 11:31, 11:31] == near).all()
    assert (links[0, 31:41, 31:41] == far).all()
    assert depth[0, 25, 25] == pytest.approx(1.0)
    assert depth[0, 35, 35] == pytest.approx(2.0)
    assert links[0, 5, 5] == BACKGROUND and np.isinf(depth[0, 5, 5])


def test_intersecting_surfaces_are_resolved_at_each_pixel() -> None:
    upright = square(10.5, 10.5, 40.5, 40.5, z=1.5)
    tilted = at_pixels([[10.5, 10.5], [40.5, 10.5], [40.5, 40.5], [10.5, 40.5]], [1, 2, 2, 1])
    links, depth = render(surface((upright, QUAD), (tilted, QUAD)), HERE.repeat(2, 1), CAMERA)
    # 1/z is linear in the image: from 1 to 1/2, it is 2/3 at a third from the far end.
    border = 40.5 - (2 / 3 - 1 / 2) / (1 / 2) * 30
    columns = np.arange(64)
    inside = (columns > 11) & (columns < 40)
    assert (links[0, 25, inside & (columns < border)] == 1).all()
    assert (links[0, 25, inside & (columns > border)] == 0).all()
    assert depth[0, 25, inside].max() <= 1.5 + 1e-6


def test_camera_inside_a_box_sees_its_walls_everywhere() -> None:
    box = trimesh.creation.box(extents=[2.0, 2.0, 2.0])
    links, depth = render(surface((box.vertices, box.faces)), HERE, CAMERA)
    assert (links == 0).all()
    u, v = np.meshgrid(np.arange(64.0), np.arange(48.0))
    rays = CAMERA.rays(np.stack([u, v], -1))
    np.testing.assert_allclose(depth[0], 1.0 / np.abs(rays).max(axis=-1), rtol=1e-5)


def test_nothing_behind_the_camera_is_seen() -> None:
    box = trimesh.creation.box(extents=[1.0, 1.0, 1.0])
    behind = se3.make(np.eye(3), np.array([0.0, 0.0, -2.0]))[None, None]
    links, depth = render(surface((box.vertices, box.faces)), behind, CAMERA)
    assert (links == BACKGROUND).all() and np.isinf(depth).all()


def test_a_floor_that_passes_below_the_camera_is_cut_not_mirrored() -> None:
    floor = [[-5.0, 0.5, -5.0], [5.0, 0.5, -5.0], [5.0, 0.5, 5.0], [-5.0, 0.5, 5.0]]
    links, depth = render(surface((floor, QUAD)), HERE, CAMERA)
    rows = np.arange(48)
    horizon = K[1, 2] + K[1, 1] * 0.5 / 5.0
    assert (links[0, rows > horizon] == 0).all()
    assert (links[0, rows < horizon] == BACKGROUND).all()
    bottom = 0.5 * K[1, 1] / (47 - K[1, 2])
    np.testing.assert_allclose(depth[0, 47], bottom, rtol=1e-5)


def test_silhouette_is_the_same_without_depth() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.2)
    there = se3.make(np.eye(3), np.array([0.05, -0.02, 0.9]))[None, None]
    shape = surface((ball.vertices, ball.faces))
    links, _ = render(shape, there, CAMERA)
    np.testing.assert_array_equal(silhouettes(shape, there, CAMERA), links >= 0)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_sphere_has_its_analytic_outline(scale: float) -> None:
    camera = Camera(K * [[6], [6], [1]], 384, 288, np.zeros(0), "pinhole").scaled(scale)
    centre, radius = np.array([0.03, -0.02, 1.1]), 0.18
    ball = trimesh.creation.icosphere(subdivisions=6, radius=radius)
    pose = se3.make(np.eye(3), centre)[None, None]
    mask = silhouettes(surface((ball.vertices, ball.faces)), pose, camera)[0]
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([u, v], -1).astype(float))
    along = rays @ centre
    expected = along**2 > (rays**2).sum(-1) * (centre @ centre - radius**2)
    outline_px = 2 * np.pi * radius / centre[2] * camera.K[0, 0]
    assert np.count_nonzero(mask ^ expected) < 0.02 * outline_px
    for axis in np.nonzero(mask), np.nonzero(expected):
        assert len(axis[0]) > 0
    shift = np.mean(np.nonzero(mask), axis=1) - np.mean(np.nonzero(expected), axis=1)
    assert np.abs(shift).max() < 0.02


def test_closed_mesh_has_no_holes() -> None:
    rng = np.random.default_rng(3)
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.2)
    poses = np.stack([se3.from_rotvec(rng.normal(size=3), [0.02, 0.01, 0.9]) for _ in range(20)])[
        :, None
    ]
    for mask in silhouettes(surface((ball.vertices, ball.faces)), poses, CAMERA):
        for row in mask[mask.any(axis=1)]:
            covered = np.flatnonzero(row)
            assert len(covered) == np.ptp(covered) + 1


def test_demo_arm_agrees_with_the_ray_caster(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    frames = np.arange(0, 20, 5)
    T = simulated.T_camera_base @ simulated_motion.subset(frames).link_poses()
    camera = simulated.camera
    links, depth = render(demo_robot.surface, T, camera)
    differing = np.count_nonzero((links >= 0) ^ simulated.masks[frames])
    assert differing < 2e-3 * np.count_nonzero(simulated.masks[frames])

    caster = RayCaster(demo_robot.surface)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([u, v], -1).astype(float)).reshape(-1, 3)
    reaches = {int(i): np.ones(len(rays), bool) for i in np.unique(demo_robot.surface.link_of_face)}
    hits = caster.first_hits(np.zeros(3), rays, T[0], reaches)
    both = (hits.link >= 0) & (links[0].ravel() >= 0)
    same = hits.link[both] == links[0].ravel()[both]
    assert same.mean() > 0.998
    # Rays have z = 1, so the distance along them is the depth.
    error = np.abs(hits.distance[both] - depth[0].ravel()[both])[same]
    assert np.median(error) < 1e-5 and np.quantile(error, 0.99) < 1e-3


def test_distorted_camera_is_refused() -> None:
    bent = Camera(K, 64, 48, np.array([0.1, 0.0, 0.0, 0.0]), "plumb_bob")
    with pytest.raises(RenderingError, match="rectify"):
        render(surface((square(1, 1, 9, 9), QUAD)), HERE, bent)


def test_poses_of_another_robot_are_refused() -> None:
    with pytest.raises(RenderingError, match=r"expected \(N, 1, 4, 4\)"):
        render(surface((square(1, 1, 9, 9), QUAD)), HERE.repeat(3, 1), CAMERA)
