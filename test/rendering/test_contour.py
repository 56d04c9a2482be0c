# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from calib_all_ros.rendering.contour import find_contours


def disc(centre: tuple[float, float], radius: float, size: int = 80) -> np.ndarray:
    u, v = np.meshgrid(np.arange(size), np.arange(size))
    return (u - centre[0]) ** 2 + (v - centre[1]) ** 2 <= radius**2


def test_normals_of_a_disc_point_away_from_its_centre() -> None:
    centre = np.array([40.3, 38.8])
    contour = find_contours(disc((40.3, 38.8), 25.0)[None])
    outward = contour.pixels - centre
    radius = np.linalg.norm(outward, axis=1)
    cosine = np.einsum("ki,ki->k", outward / radius[:, None], contour.normals)
    assert cosine.min() > np.cos(np.radians(15.0))
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean() < 5.0
    np.testing.assert_allclose(np.linalg.norm(contour.normals, axis=1), 1.0, atol=1e-5)
    # Outline pixels are the outermost ones: less than a pixel and a half inside the circle.
    assert radius.max() <= 25.0 and radius.min() > 23.5


def test_mean_normal_of_a_closed_outline_vanishes() -> None:
    contour = find_contours(disc((40.0, 40.0), 20.0)[None])
    assert np.abs(contour.normals.mean(axis=0)).max() < 1e-5


def test_outline_pixels_are_those_with_a_background_neighbour() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 20, 30)) < 0.6
    contour = find_contours(masks)
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    neighbours = (
        padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    )
    frame, v, u = np.nonzero(masks & ~neighbours)
    np.testing.assert_array_equal(contour.frame, frame)
    np.testing.assert_array_equal(contour.pixels, np.stack([u, v], axis=1))


def test_picture_border_is_no_outline() -> None:
    assert len(find_contours(np.ones((1, 12, 16), bool))) == 0
    mask = np.zeros((1, 12, 16), bool)
    mask[0, :, :5] = True
    contour = find_contours(mask)
    assert set(contour.pixels[:, 0]) == {4} and len(contour) == 12
    # Nothing beyond the border is known; it must not bend the normals.
    np.testing.assert_allclose(contour.normals, [[1.0, 0.0]] * 12, atol=1e-6)


def test_hole_has_normals_into_the_hole() -> None:
    mask = ~disc((40.0, 40.0), 20.0)
    contour = find_contours(mask[None])
    inward = np.array([40.0, 40.0]) - contour.pixels
    assert np.einsum("ki,ki->k", inward, contour.normals).min() > 0


def test_single_pixel_has_no_normal() -> None:
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 4, 4] = True
    contour = find_contours(mask)
    assert contour.pixels.tolist() == [[4, 4]]
    np.testing.assert_array_equal(contour.normals, 0.0)


def test_empty_inputs() -> None:
    assert len(find_contours(np.zeros((2, 9, 9), bool))) == 0
    assert len(find_contours(np.zeros((0, 9, 9), bool))) == 0


def test_take_keeps_what_is_chosen() -> None:
    contour = find_contours(np.stack([disc((40, 40), 10.0), disc((30, 30), 15.0)]))
    second = contour.take(contour.frame == 1)
    assert len(second) == np.count_nonzero(contour.frame == 1) > 0
    assert (second.frame == 1).all()
