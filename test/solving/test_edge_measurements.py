# SPDX-License-Identifier: Apache-2.0
"""Edges drawn at known places, to a fraction of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.masks.from_recording import Background
from calib_all_ros.rendering.contour import find_contours
from calib_all_ros.solving.edge_measurements import measurable, measure_edges
from calib_all_ros.solving.outline import Outline

SIZE, FINE = 120, 8
ROBOT = np.array([210.0, 200.0, 190.0])
REACH_PX = 5.0


def texture(contrast: float = 120.0, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0, contrast, (SIZE, SIZE, 3)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5))


def photograph(
    inside: NDArray[np.bool_], background: NDArray[np.float32], robot: NDArray[np.float64] = ROBOT
) -> NDArray[np.float32]:
    """One image, from FINE samples per pixel and direction, with a little optical blur."""
    share = cv2.resize(inside.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    mixed = share[..., None] * robot + (1 - share[..., None]) * background
    return cv2.GaussianBlur(mixed.astype(np.float32), (0, 0), 0.6)[None]


def fine_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = (np.arange(SIZE * FINE) + 0.5) / FINE - 0.5
    u, v = np.meshgrid(axis, axis)
    return u, v


def half_plane(angle_deg: float, place: float, fine: bool) -> NDArray[np.bool_]:
    """Robot on one side of a line `place` pixels from the centre, its normal at the angle."""
    u, v = fine_grid() if fine else np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return (u - 59.5) * c + (v - 59.5) * s <= place


def outline_of(mask: NDArray[np.bool_]) -> Outline:
    contour = find_contours(mask[None])
    count = len(contour)
    return Outline(
        contour.frame,
        np.zeros(count, np.int32),
        contour.pixels.astype(float),
        contour.normals.astype(float),
        np.zeros((count, 3)),
        np.zeros((count, 2, 3)),
        np.zeros((count, 2)),
        mask[None],
    )


def known(background: NDArray[np.float32]) -> Background:
    shape = background.shape[:2]
    return Background(background, np.full(shape, 3, np.float32), np.full(shape, 9, np.int32))


def unknown(background: NDArray[np.float32]) -> Background:
    shape = background.shape[:2]
    nothing = np.zeros_like(background)
    return Background(nothing, np.full(shape, 3, np.float32), np.zeros(shape, np.int32))


@pytest.mark.parametrize("angle_deg", [0.0, 20.0, 45.0, 77.0, 180.0, 250.0])
@pytest.mark.parametrize("offset_px", [-2.3, -0.4, 0.0, 0.75, 1.9])
def test_edge_is_found_to_a_twentieth_of_a_pixel(angle_deg: float, offset_px: float) -> None:
    """The observed edge lies `offset_px` outside of the rendered one."""
    # A line along the pixel grid is rendered to whole pixels: only the mean over places counts.
    along_grid = angle_deg % 90 == 0
    places = (np.arange(12) + 0.5) / 12 if along_grid else np.array([0.1, 0.6])
    errors = []
    for place in places:
        background = texture()
        images = photograph(half_plane(angle_deg, place + offset_px, True), background)
        outline = outline_of(half_plane(angle_deg, place, False))
        measured = measure_edges(outline, images, known(background), REACH_PX)
        assert len(measured.index) > 60
        errors.append(np.average(measured.residual, weights=measured.weight) + offset_px)
    assert abs(np.mean(errors)) < 0.05


def test_outline_of_a_disc_is_unbiased_in_every_direction() -> None:
    u, v = fine_grid()
    coarse_u, coarse_v = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    rng = np.random.default_rng(1)
    residuals, oblique = [], []
    for _ in range(25):
        centre, radius = 59.5 + rng.uniform(-1, 1, 2), 38 + rng.uniform(-1, 1)
        background = texture()
        disc = np.hypot(u - centre[0], v - centre[1]) <= radius
        outline = outline_of(np.hypot(coarse_u - centre[0], coarse_v - centre[1]) <= radius)
        measured = measure_edges(outline, photograph(disc, background), known(background), REACH_PX)
        away = outline.pixels[measured.index] - centre
        residuals.append(measured.residual)
        oblique.append(np.abs(np.sin(2 * np.arctan2(away[:, 1], away[:, 0]))))
    residual, slant = np.concatenate(residuals), np.concatenate(oblique)
    assert abs(residual.mean()) < 0.05
    for low, high in ((0.0, 0.35), (0.35, 0.8), (0.8, 1.0)):
        assert abs(residual[(slant >= low) & (slant < high)].mean()) < 0.06


def test_an_unknown_background_is_taken_from_outside_the_edge() -> None:
    background = np.full((SIZE, SIZE, 3), 60.0, np.float32)
    images = photograph(half_plane(20.0, 1.4, True), background)
    outline = outline_of(half_plane(20.0, 0.0, False))
    measured = measure_edges(outline, images, unknown(background), REACH_PX)
    assert np.mean(measured.residual) == pytest.approx(-1.4, abs=0.05)


def test_a_shadow_beside_the_robot_does_not_move_the_edge() -> None:
    background = texture() + 40.0
    images = photograph(half_plane(20.0, 0.8, True), 0.6 * background)
    outline = outline_of(half_plane(20.0, 0.0, False))
    measured = measure_edges(outline, images, known(background), REACH_PX)
    assert len(measured.index) > 60
    assert np.average(measured.residual, weights=measured.weight) == pytest.approx(-0.8, abs=0.07)


def test_nothing_is_measured_without_contrast() -> None:
    background = np.full((SIZE, SIZE, 3), 205.0, np.float32)
    images = photograph(half_plane(20.0, 0.0, True), background, np.array([208.0, 203.0, 199.0]))
    outline = outline_of(half_plane(20.0, 0.0, False))
    assert len(measure_edges(outline, images, known(background), REACH_PX).index) == 0


def test_nothing_is_measured_where_there_is_no_edge_within_reach() -> None:
    background = texture()
    outline = outline_of(half_plane(20.0, 0.0, False))
    for place in (-25.0, 25.0):
        images = photograph(half_plane(20.0, place, True), background)
        count = len(measure_edges(outline, images, known(background), REACH_PX).index)
        assert count < 0.1 * len(measurable(outline, (SIZE, SIZE), REACH_PX))


def test_less_contrast_weighs_less() -> None:
    background = np.full((SIZE, SIZE, 3), 60.0, np.float32)
    outline = outline_of(half_plane(20.0, 0.0, False))
    weights = []
    for contrast in (16.0, 25.0, 100.0):
        robot = np.full(3, 60.0 + contrast / np.sqrt(3))
        images = photograph(half_plane(20.0, 0.0, True), background, robot)
        weights.append(measure_edges(outline, images, known(background), REACH_PX).weight.mean())
    assert weights[0] < weights[1] < weights[2] <= 1.0


def test_the_border_and_hidden_pixels_are_left_out() -> None:
    outline = outline_of(half_plane(0.0, 0.0, False))
    index = measurable(outline, (SIZE, SIZE), REACH_PX)
    rows = outline.pixels[index, 1]
    assert 5 < rows.min() < 12 and SIZE - 12 < rows.max() < SIZE - 6
    hidden = np.zeros((SIZE, SIZE), bool)
    hidden[:60] = True
    index = measurable(outline, (SIZE, SIZE), REACH_PX, hidden)
    assert outline.pixels[index, 1].min() == 60


def test_profiles_near_the_corner_stay_inside_the_image() -> None:
    # Every pixel that is looked at must exist; NaN outside would show in the residuals.
    background = texture()
    for reach in (1.0, 3.5, 8.0):
        mask = np.hypot(*np.meshgrid(np.arange(SIZE) - 20.0, np.arange(SIZE) - 20.0)) <= 21.0
        u, v = fine_grid()
        images = photograph(np.hypot(u - 20.0, v - 20.0) <= 21.0, background)
        measured = measure_edges(outline_of(mask), images, known(background), reach)
        assert np.isfinite(measured.residual).all() and (np.abs(measured.residual) <= reach).all()
