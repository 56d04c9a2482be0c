# SPDX-License-Identifier: Apache-2.0
"""Resampling of distorted images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera, CameraError
from calib_all_ros.geometry.rectification import Rectification, shrink, shrink_mask

K = np.array([[330.0, 0.0, 162.0], [0.0, 332.0, 119.0], [0.0, 0.0, 1.0]])
LENSES = {
    "barrel": Camera(K, 320, 240, np.array([-0.3, 0.1, 0.001, -0.002, -0.01]), "plumb_bob"),
    "pincushion": Camera(K, 320, 240, np.array([0.2, 0.05, 0.0, 0.0, 0.0]), "plumb_bob"),
    "fisheye": Camera(
        np.array([[110.0, 0, 160], [0, 110, 120], [0, 0, 1.0]]), 320, 240,
        np.array([0.02, -0.01, 0.003, -0.001]), "equidistant",
    ),
}  # fmt: skip


def grid(camera: Camera) -> NDArray[np.float64]:
    return np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1).astype(
        float
    )


def scene(camera: Camera) -> NDArray[np.float64]:
    """A smooth pattern on the plane z = 1, as the camera sees it, 0 to 255."""
    x, y, _ = np.moveaxis(camera.rays(grid(camera)), -1, 0)
    return 127.5 + 60.0 * np.sin(9.0 * x) + 60.0 * np.cos(7.0 * y + 2.0 * x)


@pytest.mark.parametrize("lens", LENSES)
def test_rectified_image_is_what_a_pinhole_camera_sees(lens: str) -> None:
    raw = LENSES[lens]
    rectification = Rectification(raw)
    assert rectification.camera.is_pinhole
    seen = rectification.image(np.round(np.nan_to_num(scene(raw))).astype(np.uint8))
    expected = scene(rectification.camera)
    # Rounding, linear interpolation, and its 1/32 px steps at up to 5 grey levels per pixel.
    assert np.abs(seen - expected).max() < 2.5
    assert np.abs(seen - expected).mean() < 0.5


@pytest.mark.parametrize("lens", LENSES)
def test_every_rectified_pixel_has_a_value(lens: str) -> None:
    raw = LENSES[lens]
    camera = Rectification(raw).camera
    pixels = raw.project(camera.rays(grid(camera)))
    assert pixels.min() > -1e-3
    assert (pixels.max(axis=(0, 1)) < [raw.width - 1 + 1e-3, raw.height - 1 + 1e-3]).all()


@pytest.mark.parametrize("lens", LENSES)
def test_rectified_image_is_not_needlessly_small_or_large(lens: str) -> None:
    raw = LENSES[lens]
    camera = Rectification(raw).camera
    assert camera.width * camera.height <= 1.51 * raw.width * raw.height
    assert camera.width > 0.8 * raw.width
    # It reaches the border of the raw image on at least two sides, or 60 degrees.
    rays = camera.rays(grid(camera))
    u, v = np.moveaxis(raw.project(rays), -1, 0)
    gaps = [u.min(), v.min(), raw.width - 1 - u.max(), raw.height - 1 - v.max()]
    x, y = rays[..., 0], rays[..., 1]
    angles = np.degrees(np.arctan([-x.min(), -y.min(), x.max(), y.max()]))
    assert sum(gap < 1.5 or angle > 59 for gap, angle in zip(gaps, angles, strict=True)) >= 2


def test_resolution_at_the_centre_is_kept() -> None:
    raw = LENSES["barrel"]
    camera = Rectification(raw).camera
    np.testing.assert_allclose(np.diag(camera.K), np.diag(raw.K))


def test_fisheye_is_cut_at_sixty_degrees() -> None:
    raw = Camera(np.array([[60.0, 0, 160], [0, 60, 120], [0, 0, 1.0]]), 320, 240,
                 np.zeros(4), "equidistant")  # fmt: skip
    camera = Rectification(raw).camera
    corners = camera.rays([[0.0, 120.0], [camera.width - 1.0, 120.0]])
    assert np.abs(corners[:, 0]).max() <= np.tan(np.radians(60)) + 1e-9
    assert np.abs(corners[:, 0]).min() > np.tan(np.radians(57))


def test_pixels_go_where_the_image_goes() -> None:
    raw = LENSES["barrel"]
    rectification = Rectification(raw)
    points = np.array([[0.1, 0.05, 1.0], [-0.3, 0.2, 1.2], [0.2, -0.2, 1.1]])
    np.testing.assert_allclose(
        rectification.pixels(raw.project(points)), rectification.camera.project(points), atol=1e-6
    )


def test_straight_edge_of_a_mask_becomes_straight() -> None:
    raw = LENSES["barrel"]
    x, y, _ = np.moveaxis(raw.rays(grid(raw)), -1, 0)
    rectification = Rectification(raw)
    mask = rectification.mask(y > 0.25 + 0.1 * x)
    camera = rectification.camera
    columns = np.arange(40, camera.width - 40)
    first_row = mask[:, columns].argmax(axis=0)
    rays = camera.rays(np.stack([columns, first_row], -1))
    edge = camera.K[1, 1] * (0.25 + 0.1 * rays[:, 0]) + camera.K[1, 2]
    assert np.abs(first_row - 0.5 - edge).max() < 1.1  # half a pixel of either image
    assert abs((first_row - 0.5 - edge).mean()) < 0.1


def test_pinhole_is_passed_through() -> None:
    camera = Camera(K, 320, 240, np.zeros(5), "plumb_bob")
    rectification = Rectification(camera)
    image = np.zeros((240, 320, 3), np.uint8)
    assert rectification.camera is camera
    assert rectification.image(image) is image
    np.testing.assert_array_equal(rectification.pixels([[1.0, 2.0]]), [[1.0, 2.0]])


@pytest.mark.parametrize("lens", [LENSES["barrel"], Camera(K, 320, 240, np.zeros(0), "pinhole")])
def test_wrong_image_size_is_refused(lens: Camera) -> None:
    with pytest.raises(CameraError, match="640x480"):
        Rectification(lens).image(np.zeros((480, 640, 3), np.uint8))
    with pytest.raises(CameraError, match="640x480"):
        Rectification(lens).mask(np.zeros((480, 640), bool))


def test_axis_outside_the_image_is_refused() -> None:
    off = np.array([[330.0, 0.0, -50.0], [0.0, 332.0, 119.0], [0.0, 0.0, 1.0]])
    with pytest.raises(CameraError, match="outside its image"):
        Rectification(Camera(off, 320, 240, LENSES["barrel"].distortion, "plumb_bob"))


SIZES = [(320, 240), (321, 243), (500, 333)]


def camera_of(width: int, height: int) -> Camera:
    K = np.array([[300.0, 0, width / 2 + 0.3], [0, 300.0, height / 2 - 0.2], [0, 0, 1]])
    return Camera(K, width, height, np.zeros(0), "pinhole")


def plane(camera: Camera) -> np.ndarray:
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return camera.rays(np.stack([u, v], axis=-1).astype(float))[..., :2]


def disc(camera: Camera, centre: np.ndarray, radius: float) -> np.ndarray:
    return np.linalg.norm(plane(camera) - centre, axis=-1) <= radius


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.5, 0.25, 0.125, 0.2])
def test_small_masks_are_neither_shifted_nor_fat(size: tuple[int, int], scale: float) -> None:
    camera = camera_of(*size)
    small = camera.scaled(scale)
    rng = np.random.default_rng(0)
    shifts, fat = [], []
    for _ in range(40):
        # Towards the lower right, where wrong scales show most.
        centre = rng.uniform(0.1, 0.25, 2)
        radius = rng.uniform(0.09, 0.13)
        mask = shrink_mask(disc(camera, centre, radius), scale)
        expected = disc(small, centre, radius)
        assert mask.shape == (small.height, small.width)
        shifts.append(np.mean(np.nonzero(mask), axis=1) - np.mean(np.nonzero(expected), axis=1))
        outline_px = 2 * np.pi * radius * small.K[0, 0]
        fat.append((mask.sum() - expected.sum()) / outline_px)
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.05
    assert abs(np.mean(fat)) < 0.05


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.5, 0.125, 64 / 500])
def test_a_ramp_keeps_its_values(size: tuple[int, int], scale: float) -> None:
    camera = camera_of(*size)
    small = camera.scaled(scale)
    resized = shrink(plane(camera)[..., 0].astype(np.float32), scale)
    # Within half a pixel of the large image; the last column may average over repeated pixels.
    error = (resized - plane(small)[..., 0]) * camera.K[0, 0]
    assert np.abs(error[:, :-1]).max() < 0.55


def test_colours_and_type_are_kept() -> None:
    image = np.full((33, 41, 3), (10, 20, 30), np.uint8)
    small = shrink(image, 0.5)
    assert small.dtype == np.uint8 and small.shape == (16, 20, 3)
    np.testing.assert_array_equal(small, np.broadcast_to([10, 20, 30], small.shape))


def test_full_size_is_passed_through() -> None:
    mask = np.random.default_rng(0).random((9, 7)) < 0.5
    np.testing.assert_array_equal(shrink_mask(mask, 1.0), mask)


@pytest.mark.parametrize("edge", range(8, 16))
def test_vertical_edges_of_any_place_are_unbiased_together(edge: int) -> None:
    mask = np.zeros((32, 32), bool)
    mask[:, :edge] = True
    small = shrink_mask(mask, 0.5)
    # Full pixels reach half a pixel beyond their centres: the edge is at `edge` pixels' width.
    assert small.sum() / 16 == pytest.approx(edge / 2)
