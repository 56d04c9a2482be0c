# SPDX-License-Identifier: Apache-2.0
"""The wrapper of nvdiffrast against the CPU rasteriser.

By an emulation of nvdiffrast that follows its documentation, and by nvdiffrast itself where there
is a CUDA GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.rendering.rasteriser import BACKGROUND, NEAR_M, RenderingError, render
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.motion import RobotMotion

pytest.importorskip("torch", reason="pip install '.[foundation]'")

# Neither square nor a multiple of anything, the principal point far off the centre.
CAMERA = Camera(
    np.array([[95.0, 0.0, 17.3], [0.0, 88.0, 31.8], [0.0, 0.0, 1.0]]), 61, 47, np.zeros(0)
)


@dataclass(frozen=True)
class Backend:
    """A renderer, and how near to an edge it may disagree about a pixel."""

    render: Nvdiffrast
    tolerance_px: float


@pytest.fixture(params=["emulation", "cuda"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "emulation":
        request.getfixturevalue("emulated_nvdiffrast")
        return Backend(Nvdiffrast(device="cpu"), 1e-3)
    try:
        return Backend(Nvdiffrast(), 0.1)
    except ModelUnavailableError as error:
        pytest.skip(str(error))


def edge_distances(
    surface: RobotSurface, T: NDArray[np.float64], camera: Camera
) -> NDArray[np.float64]:
    """Return (H, W) distances from each pixel centre to the nearest edge of any triangle, px."""
    posed = T[surface.link_of_vertex]
    points = np.einsum("vij,vj->vi", posed[:, :3, :3], surface.vertices) + posed[:, :3, 3]
    centres = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1)
    distance = np.full(centres.shape[:2], np.inf)
    for corners in points[surface.faces]:
        outline = cut_in_front(corners)
        pixels = camera.project(outline) if len(outline) else np.zeros((0, 2))
        for a, b in zip(pixels, np.roll(pixels, -1, axis=0), strict=True):
            share = (centres - a) @ (b - a) / max((b - a) @ (b - a), 1e-12)
            nearest = a + np.clip(share, 0, 1)[..., None] * (b - a)
            distance = np.minimum(distance, np.linalg.norm(centres - nearest, axis=-1))
    return distance


def cut_in_front(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners of the part of a triangle that is farther than the near plane."""
    kept = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if a[2] > NEAR_M:
            kept.append(a)
        if (a[2] > NEAR_M) != (b[2] > NEAR_M):
            kept.append(a + (NEAR_M - a[2]) / (b[2] - a[2]) * (b - a))
    return np.array(kept)


def assert_same_pictures(
    backend: Backend, surface: RobotSurface, T: NDArray[np.float64], camera: Camera = CAMERA
) -> NDArray[np.int16]:
    links, depth = backend.render(surface, T, camera)
    expected, expected_depth = render(surface, T, camera)
    assert links.dtype == expected.dtype and depth.dtype == expected_depth.dtype
    assert links.shape == expected.shape == depth.shape
    clear = np.stack([edge_distances(surface, poses, camera) for poses in T]) > backend.tolerance_px
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(links[clear], expected[clear])
    both = (links >= 0) & (expected >= 0) & clear
    np.testing.assert_allclose(depth[both], expected_depth[both], rtol=1e-4, atol=1e-4)
    assert np.isinf(depth[links == BACKGROUND]).all()
    silhouettes, _ = backend.render(surface, T, camera, want_depth=False)
    np.testing.assert_array_equal(silhouettes >= 0, links >= 0)
    return expected


def posed(rotvec: list[float], translation: list[float]) -> NDArray[np.float64]:
    return se3.from_rotvec(np.array(rotvec), np.array(translation))


@pytest.fixture(scope="module")
def two_links() -> RobotSurface:
    meshes = [trimesh.creation.box([0.2, 0.3, 0.1]), trimesh.creation.icosphere(1, 0.12)]
    return RobotSurface.from_meshes([meshes[0], None, meshes[1]], ["box", "frame", "ball"])


def test_links_and_depth_are_those_of_the_rasteriser(
    backend: Backend, two_links: RobotSurface
) -> None:
    frames = [
        [posed([0.3, 0.5, 0.1], [0.1, -0.08, 0.9]), np.eye(4), posed([0, 1, 0], [0.2, 0.0, 1.1])],
        [posed([-1, 0.2, 0.4], [0.2, 0.1, 1.2]), np.eye(4), posed([0, 0, 1], [0.0, -0.1, 0.8])],
    ]
    seen = assert_same_pictures(backend, two_links, np.array(frames))
    assert set(np.unique(seen)) == {BACKGROUND, 0, 2}


def test_up_is_up_and_left_is_left(backend: Backend) -> None:
    """A square in the upper left corner of the image, known in closed form."""
    pixels = np.array([[1.6, 2.4], [9.3, 2.4], [9.3, 5.7], [1.6, 5.7]])
    sheet = trimesh.Trimesh(CAMERA.rays(pixels), [[0, 1, 2], [0, 2, 3]], process=False)
    surface = RobotSurface.from_meshes([sheet], ["sheet"])
    links, depth = backend.render(surface, np.eye(4)[None, None], CAMERA)
    v, u = np.nonzero(links[0] == 0)
    assert (u.min(), u.max(), v.min(), v.max()) == (2, 9, 3, 5)
    assert len(u) == 8 * 3
    np.testing.assert_allclose(depth[0, 3:6, 2:10], 1.0, rtol=1e-5)


def test_what_the_near_plane_cuts_is_cut(backend: Backend) -> None:
    """A beam that reaches from behind the camera into the image."""
    beam = RobotSurface.from_meshes([trimesh.creation.box([0.1, 0.08, 3.0])], ["beam"])
    frames = [[posed([0, 0.2, 0.1], [0.1, -0.1, 0.9])], [posed([0.3, 0, 0], [0.0, 0.07, 0.3])]]
    seen = assert_same_pictures(backend, beam, np.array(frames))
    assert (seen >= 0).any(axis=(1, 2)).all()


def test_nothing_behind_the_camera_is_seen(backend: Backend, two_links: RobotSurface) -> None:
    behind = np.stack([posed([0.1, 0.2, 0.3], [0.0, 0.0, -1.0])] * 3)[None]
    links, depth = backend.render(two_links, behind, CAMERA)
    assert (links == BACKGROUND).all() and np.isinf(depth).all()


@pytest.mark.parametrize(("share", "seen"), [(0.97, False), (1.03, True)])
def test_the_near_plane_is_where_the_rasteriser_has_it(
    backend: Backend, share: float, seen: bool
) -> None:
    wall = trimesh.creation.box([1.0, 1.0, 0.1])
    surface = RobotSurface.from_meshes([wall], ["wall"])
    T = posed([0, 0, 0], [0.0, 0.0, share * NEAR_M - 0.05])[None, None]
    for draw in (backend.render, render):
        assert bool((draw(surface, T, CAMERA)[0] >= 0).all()) == seen


def test_far_things_are_not_cut_off(backend: Backend) -> None:
    wall = RobotSurface.from_meshes([trimesh.creation.box([4000.0, 4000.0, 1.0])], ["wall"])
    links, depth = backend.render(wall, posed([0, 0, 0], [0.0, 0.0, 500.5])[None, None], CAMERA)
    assert (links == 0).all()
    np.testing.assert_allclose(depth, 500.0, rtol=1e-4)


def test_a_canvas_larger_than_the_image_shows_the_same_inside(
    backend: Backend, two_links: RobotSurface
) -> None:
    T = np.stack([posed([0.3, 0.5, 0.1], [-0.15, -0.3, 0.9])] * 3)[None]
    large, _ = backend.render(two_links, T, CAMERA.padded(15))
    small, _ = backend.render(two_links, T, CAMERA)
    clear = edge_distances(two_links, T[0], CAMERA) > backend.tolerance_px
    np.testing.assert_array_equal(large[0, 15:-15, 15:-15][clear], small[0][clear])
    assert (large >= 0).sum() > (small >= 0).sum() > 0


def test_a_robot_is_drawn_in_batches(
    backend: Backend, demo_robot: Robot, simulated_motion: RobotMotion
) -> None:
    surface = demo_robot.surface.simplified(0.06)
    T = posed([1.9, 0.3, -0.2], [0.15, 0.2, 1.9]) @ simulated_motion.link_poses()[:6:2]
    backend.render._memory_bytes = 1
    assert len(backend.render.batches(3, surface, CAMERA)) == 3
    links, depth = backend.render(surface, T, CAMERA)
    expected, expected_depth = render(surface, T, CAMERA)
    clear = np.stack([edge_distances(surface, poses, CAMERA) for poses in T]) > backend.tolerance_px
    np.testing.assert_array_equal((links >= 0)[clear], (expected >= 0)[clear])
    both = (links >= 0) & (expected >= 0) & clear
    np.testing.assert_allclose(depth[both], expected_depth[both], rtol=1e-4, atol=1e-4)
    # Where one link sinks into another, rounding decides which is seen.
    assert (links != expected)[clear].mean() < 0.005
    assert len(np.unique(expected)) > 4


def test_a_robot_without_a_surface_is_not_seen(backend: Backend) -> None:
    links, depth = backend.render(
        RobotSurface.from_meshes([None], ["frame"]), np.eye(4)[None, None], CAMERA
    )
    assert (links == BACKGROUND).all() and np.isinf(depth).all()


def test_what_the_rasteriser_refuses_is_refused(backend: Backend, two_links: RobotSurface) -> None:
    bent = Camera(CAMERA.K, 61, 47, np.array([0.1, 0.0, 0.0, 0.0]))
    with pytest.raises(RenderingError, match="rectify"):
        backend.render(two_links, np.eye(4)[None, None].repeat(3, 1), bent)
    with pytest.raises(RenderingError, match=r"expected \(N, 3, 4, 4\)"):
        backend.render(two_links, np.eye(4)[None, None], CAMERA)
