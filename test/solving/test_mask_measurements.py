# SPDX-License-Identifier: Apache-2.0
"""Comparisons of drawn shapes whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.rendering.contour import find_contours
from calib_all_ros.solving.gauss_newton import Measurements
from calib_all_ros.solving.mask_measurements import (
    intersection_over_union,
    measure_backward,
    measure_forward,
    outline_share,
    prepare_targets,
    signed_distance,
)
from calib_all_ros.solving.outline import Outline

SIZE = 100
ONE = np.ones(1)


def square(low: int, high: int) -> NDArray[np.bool_]:
    mask = np.zeros((1, SIZE, SIZE), bool)
    mask[0, low:high, low:high] = True
    return mask


def disc(radius: float, centre: float = 50.0) -> NDArray[np.bool_]:
    u, v = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    return ((u - centre) ** 2 + (v - centre) ** 2 <= radius**2)[None]


def outline_of(masks: NDArray[np.bool_]) -> Outline:
    contour = find_contours(masks)
    count = len(contour)
    return Outline(
        contour.frame,
        np.zeros(count, np.int32),
        contour.pixels.astype(float),
        contour.normals.astype(float),
        np.zeros((count, 3)),
        np.zeros((count, 2, 3)),
        np.zeros((count, 2)),
        masks,
    )


def mean_push(measured: Measurements) -> float:
    """How far the rendered outline is told to move outwards, on average."""
    return float(-np.average(measured.residual, weights=measured.weight))


def test_signed_distance_of_a_half_plane() -> None:
    mask = np.zeros((20, 40), bool)
    mask[:, :15] = True
    # The edge runs midway between columns 14 and 15.
    np.testing.assert_allclose(signed_distance(mask), np.tile(np.arange(40) - 14.5, (20, 1)))


def test_signed_distance_of_a_square() -> None:
    distance = signed_distance(square(40, 61)[0])
    assert distance[50, 50] == pytest.approx(-10.5)
    assert distance[50, 40] == pytest.approx(-0.5)
    assert distance[50, 39] == pytest.approx(0.5)
    assert distance[36, 36] == pytest.approx(np.hypot(4, 4) - 0.5, abs=1e-4)


@pytest.mark.parametrize("shape", [square(30, 70), disc(22.4)])
def test_a_silhouette_agrees_with_itself(shape: NDArray[np.bool_]) -> None:
    outline, targets = outline_of(shape), prepare_targets(shape)
    for measure in (measure_forward, measure_backward):
        measured = measure(outline, targets, 0.0, ONE)
        assert len(measured.index) > 100
        np.testing.assert_allclose(measured.residual, 0.0, atol=1e-6)


@pytest.mark.parametrize("grown_px", [-6, -2, 3, 8])
def test_both_directions_tell_how_much_too_small_a_render_is(grown_px: int) -> None:
    outline = outline_of(disc(25.0 - grown_px))
    targets = prepare_targets(disc(25.0))
    for measure in (measure_forward, measure_backward):
        assert mean_push(measure(outline, targets, 0.0, ONE)) == pytest.approx(grown_px, abs=0.4)


def test_masks_believed_too_fat_pull_less() -> None:
    outline, targets = outline_of(disc(20.0)), prepare_targets(disc(22.0))
    for measure in (measure_forward, measure_backward):
        plain, biased = (measure(outline, targets, bias, ONE) for bias in (0.0, 2.0))
        assert mean_push(biased) == pytest.approx(mean_push(plain) - 2.0, abs=0.2)


def test_a_render_shrunk_to_almost_nothing_is_pulled_outwards() -> None:
    outline, targets = outline_of(disc(2.0)), prepare_targets(disc(30.0))
    backward = measure_backward(outline, targets, 0.0, ONE)
    assert mean_push(backward) > 20.0
    # It stands for the whole outline of the mask, so it outweighs the render's own few pixels.
    forward = measure_forward(outline, targets, 0.0, ONE)
    assert backward.weight.sum() > 5 * forward.weight.sum()


def test_directions_point_out_of_the_robot() -> None:
    measured = measure_forward(outline_of(disc(20.0)), prepare_targets(disc(24.0)), 0.0, ONE)
    outline = outline_of(disc(20.0))
    outward = outline.pixels[measured.index] - 50.0
    assert np.einsum("ki,ki->k", outward, measured.direction).min() > 0
    np.testing.assert_allclose(np.linalg.norm(measured.direction, axis=1), 1.0)


def test_nothing_is_measured_on_the_image_border() -> None:
    cut = np.zeros((1, SIZE, SIZE), bool)
    cut[0, 30:70, 60:] = True
    targets = prepare_targets(cut)
    assert targets.contour.pixels[:, 0].max() < SIZE - 1
    outline = outline_of(np.pad(cut, ((0, 0), (0, 0), (0, 0))))
    u = outline.pixels[measure_forward(outline, targets, 0.0, ONE).index, 0]
    assert len(u) > 50 and u.max() < SIZE - 1


def test_residuals_longer_than_the_way_to_the_border_are_left_out() -> None:
    mask = np.zeros((1, SIZE, SIZE), bool)
    mask[0, 30:70, :40] = True
    render = np.zeros((1, SIZE, SIZE), bool)
    render[0, 30:70, 10:91] = True
    outline = outline_of(render)
    measured = measure_forward(outline, prepare_targets(mask), 0.0, ONE)
    right = measured.index[outline.pixels[measured.index, 0] == 90]
    assert len(right) == 0


def test_ignored_pixels_say_nothing() -> None:
    shape = disc(25.0)
    ignore = np.zeros_like(shape)
    ignore[:, :, :50] = True
    targets = prepare_targets(shape, ignore=ignore)
    outline = outline_of(disc(23.0))
    forward = measure_forward(outline, targets, 0.0, ONE)
    assert outline.pixels[forward.index, 0].min() >= 50
    assert targets.contour.pixels[:, 0].min() >= 50


@pytest.mark.parametrize("useless", [np.zeros((1, 9, 9), bool), np.ones((1, 9, 9), bool)])
def test_masks_without_robot_or_background_say_nothing(useless: NDArray[np.bool_]) -> None:
    shape = np.zeros((1, 9, 9), bool)
    shape[0, 3:6, 3:6] = True
    targets = prepare_targets(useless)
    assert not targets.usable.any()
    for measure in (measure_forward, measure_backward):
        assert len(measure(outline_of(shape), targets, 0.0, ONE).index) == 0


def test_frames_of_no_weight_say_nothing() -> None:
    both = np.concatenate([disc(20.0), disc(24.0)])
    weight = np.array([0.0, 2.0])
    outline, targets = outline_of(np.concatenate([disc(22.0)] * 2)), prepare_targets(both)
    for measure in (measure_forward, measure_backward):
        measured = measure(outline, targets, 0.0, weight)
        assert set(outline.frame[measured.index][measured.weight > 0]) == {1}
        assert measured.weight.max() == pytest.approx(2.0, abs=0.05)


def test_share_of_the_outline_along_a_mask() -> None:
    """The right half of the mask is missing: half of the disc's outline still fits."""
    shape = disc(25.0)
    half = shape.copy()
    half[:, :, 51:] = False
    blob = half.copy()
    blob[:, 2:8, 2:30] = True
    outline = outline_of(shape)
    assert outline_share(outline, prepare_targets(shape), 0.0, 2.0)[0] == 1.0
    for target in (half, blob):
        assert outline_share(outline, prepare_targets(target), 0.0, 2.0)[0] == pytest.approx(
            0.5, abs=0.06
        )
    fat = prepare_targets(disc(29.0))
    assert outline_share(outline, fat, 0.0, 2.0)[0] < 0.1
    assert outline_share(outline, fat, 4.0, 2.0)[0] == 1.0


def test_share_is_unknown_without_an_outline() -> None:
    nothing = outline_of(np.zeros((1, SIZE, SIZE), bool))
    assert np.isnan(outline_share(nothing, prepare_targets(disc(20.0)), 0.0, 2.0)[0])


def test_overlap() -> None:
    first, second = square(20, 40), square(30, 50)
    expected = 100 / (400 + 400 - 100)
    np.testing.assert_allclose(intersection_over_union(first, second), [expected])
    assert intersection_over_union(first & False, second & False)[0] == 1.0
    ignore = ~(first & second)
    assert intersection_over_union(first, second, ignore)[0] == 1.0
