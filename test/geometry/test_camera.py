# SPDX-License-Identifier: Apache-2.0
"""Projection, rays and changes of size of the camera model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera, CameraError

K = np.array([[600.0, 0.0, 322.3], [0.0, 610.0, 241.7], [0.0, 0.0, 1.0]])
PLUMB_BOB = [-0.3, 0.1, 0.001, -0.002, -0.01]
RATIONAL = [0.3, -0.2, 0.001, 0.001, 0.01, 0.4, -0.1, 0.02]
EQUIDISTANT = [0.02, -0.01, 0.003, -0.001]
DISTORTED = [
    ("plumb_bob", PLUMB_BOB),
    ("plumb_bob", PLUMB_BOB[:4]),
    ("rational_polynomial", RATIONAL),
    ("equidistant", EQUIDISTANT),
]


def camera(model: str = "pinhole", distortion: list[float] | None = None) -> Camera:
    return Camera(K, 640, 480, np.array(distortion or []), model)


def points_ahead(count: int = 200) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    z = rng.uniform(0.5, 3.0, count)
    return np.stack([z * rng.uniform(-0.5, 0.5, count), z * rng.uniform(-0.4, 0.4, count), z], -1)


def test_pinhole_projection_is_the_textbook_formula() -> None:
    np.testing.assert_allclose(
        camera().project([0.2, -0.1, 2.0]), [600 * 0.1 + 322.3, -610 * 0.05 + 241.7]
    )


@pytest.mark.parametrize(("model", "distortion"), DISTORTED[:3])
def test_polynomial_projection_equals_opencv(model: str, distortion: list[float]) -> None:
    points = points_ahead()
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(distortion))
    np.testing.assert_allclose(camera(model, distortion).project(points), expected[:, 0])


def test_radial_distortion_is_the_analytic_polynomial() -> None:
    x, k1 = 0.3, -0.2
    u, v = camera("plumb_bob", [k1, 0, 0, 0, 0]).project([x, 0, 1])
    assert u == pytest.approx(600 * x * (1 + k1 * x**2) + 322.3)
    assert v == pytest.approx(241.7)


def test_equidistant_without_coefficients_is_proportional_to_the_angle() -> None:
    angle = np.radians(70)
    u, _ = camera("equidistant", [0, 0, 0, 0]).project([np.sin(angle), 0, np.cos(angle)])
    assert u == pytest.approx(600 * angle + 322.3)


@pytest.mark.parametrize(("model", "distortion"), [("pinhole", []), *DISTORTED])
def test_rays_invert_projection(model: str, distortion: list[float]) -> None:
    cam = camera(model, distortion)
    pixels = np.stack(np.meshgrid(np.arange(0, 640, 7), np.arange(0, 480, 7)), -1).astype(float)
    rays = cam.rays(pixels)
    assert rays.shape == (*pixels.shape[:2], 3)
    np.testing.assert_array_equal(rays[..., 2], 1.0)
    np.testing.assert_allclose(cam.project(3.7 * rays), pixels, atol=1e-6)


def test_points_behind_the_camera_have_no_pixel() -> None:
    pixels = camera("plumb_bob", PLUMB_BOB).project([[0, 0, -1.0], [0, 0, 0.0], [0, 0, 1.0]])
    assert np.isnan(pixels[:2]).all()
    np.testing.assert_allclose(pixels[2], [322.3, 241.7])


def test_points_past_the_fold_of_the_polynomial_are_not_drawn_into_the_image() -> None:
    # r (1 - 0.3 r^2) turns back at r = 1.054, so x = 1.8 would fall on the image's centre column.
    cam = camera("plumb_bob", [-0.3, 0, 0, 0, 0])
    assert np.isnan(cam.project([1.8, 0, 1])).all()
    assert np.isfinite(cam.project([1.0, 0, 1])).all()


def test_pixels_outside_every_direction_have_no_ray() -> None:
    cam = camera("plumb_bob", [-0.3, 0, 0, 0, 0])  # largest radius 0.703 focal lengths
    assert np.isnan(cam.rays([322.3 + 600 * 0.8, 241.7])[:2]).all()


def test_scaling_keeps_pixel_areas_aligned() -> None:
    # The centre of a 2x2 block of pixels is the centre of the one pixel it becomes.
    cam = camera("plumb_bob", PLUMB_BOB)
    half = cam.scaled(0.5)
    assert (half.width, half.height) == (320, 240)
    points = points_ahead()
    u = cam.project(points)
    np.testing.assert_allclose(half.project(points), 0.5 * (u + 0.5) - 0.5, atol=1e-9)
    block_centre = cam.rays([[100.5, 200.5]])
    np.testing.assert_allclose(half.project(block_centre), [[50.0, 100.0]], atol=1e-6)


def test_scaled_agrees_with_area_resized_image() -> None:
    # A bright spot at a known place stays at the projected place after averaging 4x4 blocks.
    cam = camera()
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    spot = cam.project([0.05, 0.03, 1.0])
    image = np.exp(-((u - spot[0]) ** 2 + (v - spot[1]) ** 2) / (2 * 12.0**2))
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    su, sv = np.meshgrid(np.arange(160), np.arange(120))
    centre = [(small * su).sum() / small.sum(), (small * sv).sum() / small.sum()]
    np.testing.assert_allclose(cam.scaled(0.25).project([0.05, 0.03, 1.0]), centre, atol=1e-3)


def test_padding_and_cropping_shift_pixels() -> None:
    cam, point = camera("plumb_bob", PLUMB_BOB), [0.1, 0.1, 1.0]
    padded = cam.padded(40)
    assert (padded.width, padded.height) == (720, 560)
    np.testing.assert_allclose(padded.project(point), cam.project(point) + 40)
    cropped = cam.cropped(10, 20, 100, 90)
    assert (cropped.width, cropped.height) == (100, 90)
    np.testing.assert_allclose(cropped.project(point), cam.project(point) - [10, 20])


def test_only_vanishing_distortion_is_pinhole() -> None:
    assert camera().is_pinhole
    assert camera("plumb_bob", [0, 0, 0, 0, 0]).is_pinhole
    assert not camera("plumb_bob", PLUMB_BOB).is_pinhole
    assert not camera("equidistant", [0, 0, 0, 0]).is_pinhole


def test_arrays_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        camera().K[0, 0] = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": np.zeros((3, 3))}, "uncalibrated"),
        ({"K": np.eye(4)}, "3x3"),
        ({"K": np.full((3, 3), np.nan)}, "finite"),
        ({"K": np.array([[600, 1, 320], [0, 600, 240], [0, 0, 1.0]])}, r"\[\[fx, 0, cx\]"),
        ({"width": 0}, "0x480"),
        ({"model": "fov"}, "known are: pinhole, plumb_bob"),
        ({"distortion": np.zeros(3), "model": "plumb_bob"}, "takes 0 or 4 or 5"),
        ({"distortion": np.zeros(0), "model": "equidistant"}, "takes 4"),
        ({"distortion": np.full(5, np.inf), "model": "plumb_bob"}, "finite"),
    ],
)
def test_unusable_cameras_are_refused(change: dict[str, object], message: str) -> None:
    values: dict[str, object] = {
        "K": K,
        "width": 640,
        "height": 480,
        "distortion": np.zeros(0),
        "model": "pinhole",
        "frame_id": "left_optical",
    }
    with pytest.raises(CameraError, match=message) as caught:
        Camera(**{**values, **change})  # type: ignore[arg-type]
    assert "left_optical" in str(caught.value)
