# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import trimesh

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import BACKGROUND, render
from calib_all_ros.rendering.raw_view import RawView
from calib_all_ros.robot.surface import RobotSurface

LENSES = [
    ("plumb_bob", (-0.3, 0.1, 0.001, -0.002, 0.0)),
    ("rational_polynomial", (0.5, 0.1, 0.0, 0.0, 0.02, 0.8, 0.2, 0.05)),
    ("equidistant", (0.05, -0.01, 0.0, 0.0)),
]


def camera_with(model: str, distortion: tuple[float, ...], focal_px: float = 250.0) -> Camera:
    K = np.array([[focal_px, 0.0, 161.3], [0.0, focal_px, 117.9], [0.0, 0.0, 1.0]])
    return Camera(K, 320, 240, np.array(distortion), model)


@pytest.fixture
def surface() -> RobotSurface:
    """A tilted plate, and a ball before it."""
    plate = trimesh.creation.box(extents=(0.8, 0.6, 0.02))
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.1)
    return RobotSurface.from_meshes([plate, ball], ["plate", "ball"])


@pytest.fixture
def poses() -> np.ndarray:
    plate = se3.from_rotvec([0.5, -0.3, 0.1], [0.02, -0.01, 1.0])
    ball = se3.make(np.eye(3), np.array([0.1, 0.1, 0.7]))
    return np.stack([plate, ball])[None]


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_links_and_depth_of_known_bodies_through_a_lens(
    surface: RobotSurface, poses: np.ndarray, model: str, distortion: tuple[float, ...]
) -> None:
    camera = camera_with(model, distortion)
    links, depth = (drawn[0] for drawn in RawView(camera).links_and_depth(surface, poses))
    u, v = np.meshgrid(np.arange(320), np.arange(240))
    rays = camera.rays(np.stack([u, v], axis=-1))
    # The ball: |t r - c| = R. The plate's front: n . (t r - p) = 0 within its edges.
    centre = poses[0, 1, :3, 3]
    a, b = (rays**2).sum(-1), rays @ centre
    inside = b**2 - a * (centre @ centre - 0.1**2)
    ball = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
    T = poses[0, 0]
    normal = -T[:3, 2]
    front = T[:3, 3] + 0.01 * normal
    plate = (normal @ front) / (rays @ normal)
    on_plate = np.abs((plate[..., None] * rays - T[:3, 3]) @ T[:3, :3])
    plate[(on_plate[..., 0] > 0.4) | (on_plate[..., 1] > 0.3)] = np.inf
    expected = np.where(ball < plate, 1, np.where(np.isfinite(plate), 0, BACKGROUND))
    # What differs are a few pixels of the outlines and the plate's 2 cm of edge.
    assert (links == expected).mean() > 0.985
    same = links == expected
    off_m = np.abs(depth - plate)[same & (expected == 0)]
    # Beside an outline there are fewer neighbours to interpolate between.
    assert np.percentile(off_m, 90) < 1e-6 and off_m.max() < 2e-3
    assert np.median(np.abs(depth - ball)[same & (expected == 1)]) < 1e-4
    assert np.isinf(depth[links == BACKGROUND]).all()


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_silhouette_is_where_links_are(
    surface: RobotSurface, poses: np.ndarray, model: str, distortion: tuple[float, ...]
) -> None:
    view = RawView(camera_with(model, distortion))
    links, _ = view.links_and_depth(surface, poses)
    assert np.array_equal(view.silhouettes(surface, poses), links >= 0)


def test_without_a_lens_nothing_is_resampled(surface: RobotSurface, poses: np.ndarray) -> None:
    camera = camera_with("pinhole", ())
    view = RawView(camera)
    assert view.canvas is camera
    for drawn, expected in zip(
        view.links_and_depth(surface, poses), render(surface, poses, camera), strict=True
    ):
        assert np.array_equal(drawn, expected)


@pytest.mark.parametrize(("model", "distortion"), LENSES)
def test_rays_between_knots_are_those_of_the_camera(
    model: str, distortion: tuple[float, ...]
) -> None:
    camera = camera_with(model, distortion)
    u, v = np.meshgrid(np.arange(320), np.arange(240))
    pixels = np.stack([u, v], axis=-1)
    off_px = np.abs(camera.project(RawView(camera)._rays) - pixels)
    assert off_px.max() < 2e-3


def test_pixels_without_a_ray_show_nothing() -> None:
    # Beyond its largest angle this lens would fold the image back.
    camera = camera_with("plumb_bob", (-0.5, 0.0, 0.0, 0.0, 0.0), focal_px=150.0)
    corner = camera.rays([0.0, 0.0])
    assert np.isnan(corner).any()
    wall = trimesh.creation.box(extents=(100.0, 100.0, 0.1))
    surface = RobotSurface.from_meshes([wall], ["wall"])
    T = se3.make(np.eye(3), np.array([0.0, 0.0, 1.0]))[None, None]
    links, depth = RawView(camera).links_and_depth(surface, T)
    assert links[0, 0, 0] == BACKGROUND and links[0, 120, 160] == 0
    assert depth[0, 120, 160] == pytest.approx(0.95, abs=1e-5)
