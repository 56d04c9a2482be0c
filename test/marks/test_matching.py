# SPDX-License-Identifier: Apache-2.0
"""Matches with a known answer; no model is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calib_all_ros.marks.matching import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    FeatureMap,
    Match,
    MatchLimits,
    PatchGrid,
    Peak,
    doubts,
    largest_agreement,
    match_mark,
    on_patch_grid,
    unit_length,
)
from calib_all_ros.marks.references import MarkError


def blob(width: int, height: int, u: float, v: float, sigma: float) -> np.ndarray:
    """A black image with one soft white spot."""
    x, y = np.meshgrid(np.arange(width) - u, np.arange(height) - v)
    level = 255.0 * np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return np.repeat(np.rint(level).astype(np.uint8)[..., None], 3, axis=2)


def test_known_sizes() -> None:
    pixels, grid = on_patch_grid(np.zeros((480, 640, 3), np.uint8), 14, 784)
    assert pixels.shape == (588, 784, 3) and pixels.dtype == np.float32
    np.testing.assert_allclose(grid.step_px, 14 / 1.225)
    np.testing.assert_allclose(grid.origin_px, 7 / 1.225 - 0.5)
    # 784x441 lacks seven rows to whole patches: three above, four below.
    pixels, grid = on_patch_grid(np.zeros((360, 640, 3), np.uint8), 14, 784)
    assert pixels.shape == (448, 784, 3)
    np.testing.assert_allclose(grid.origin_px, [7 / 1.225 - 0.5, (7 - 3) / 1.225 - 0.5])


@pytest.mark.parametrize(
    ("width", "height"), [(640, 480), (1920, 1080), (333, 517), (101, 100), (1000, 31)]
)
def test_coordinates_come_back_and_aspect_stays(width: int, height: int) -> None:
    u, v, patch = 0.62 * width, 0.43 * height, 14
    longer = max(width, height)
    image = blob(width, height, u, v, max(1.5, longer / 80))
    pixels, grid = on_patch_grid(image, patch, 392)
    assert pixels.shape[0] % patch == 0 and pixels.shape[1] % patch == 0
    assert max(pixels.shape) == 392
    weight = pixels[..., 0] - pixels[..., 0].min()
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    seen = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    back = grid.pixels((seen - (patch - 1) / 2) / patch)
    assert np.abs(back - [u, v]).max() < 0.001 * longer
    assert abs(grid.step_px[0] / grid.step_px[1] - 1.0) < 0.05
    shorter = min(width, height) * 392 / longer
    assert shorter - 1 <= min(pixels.shape[:2]) <= shorter + patch


def test_normalised_as_imagenet() -> None:
    image = np.full((28, 28, 3), (255, 0, 51), np.uint8)
    pixels, _ = on_patch_grid(image, 14, 28)
    expected = (np.array([1.0, 0.0, 0.2]) - IMAGENET_MEAN) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), atol=1e-6)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))]
)
def test_what_is_no_rgb_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(MarkError, match="RGB"):
        on_patch_grid(image, 14, 28)


def test_cells_and_pixels_are_inverse() -> None:
    grid = PatchGrid(np.array([3.0, 5.0]), np.array([10.0, 20.0]))
    np.testing.assert_allclose(grid.pixels((2, 1)), [23.0, 25.0])
    np.testing.assert_allclose(grid.cells(grid.pixels([[0.3, 7.1], [2, 2]])), [[0.3, 7.1], [2, 2]])


def test_feature_between_patches() -> None:
    axes = np.eye(4, dtype=np.float32).reshape(2, 2, 4)
    features = FeatureMap(axes, PatchGrid(np.array([5.0, 5.0]), np.array([10.0, 10.0])))
    np.testing.assert_allclose(features.at((5, 5)), [1, 0, 0, 0])
    np.testing.assert_allclose(features.at((15, 5)), [0, 1, 0, 0])
    np.testing.assert_allclose(features.at((5, 15)), [0, 0, 1, 0])
    np.testing.assert_allclose(features.at((7.5, 5)), unit_length(np.array([0.75, 0.25, 0, 0])))
    np.testing.assert_allclose(features.at((10, 10)), np.full(4, 0.5))
    # Beyond the outermost centres there is nothing to interpolate with.
    np.testing.assert_allclose(features.at((0, 0)), [1, 0, 0, 0])
    np.testing.assert_allclose(features.at((19.5, 15)), [0, 0, 0, 1])


def test_bad_features_are_refused() -> None:
    grid = PatchGrid(np.zeros(2), np.ones(2))
    with pytest.raises(MarkError, match="NaN"):
        FeatureMap(np.full((2, 2, 3), np.nan, np.float32), grid)
    with pytest.raises(MarkError, match="shape"):
        FeatureMap(np.zeros((2, 3), np.float32), grid)


def test_unit_length_keeps_zeros() -> None:
    np.testing.assert_array_equal(
        unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]]
    )


LIMITS = MatchLimits()
Maker = Callable[..., Any]
GRID = PatchGrid(np.array([5.5, 5.5]), np.array([12.0, 12.0]))


def noise_map(shape: tuple[int, int], seed: int, channels: int = 64) -> np.ndarray:
    """Unit features that resemble one another as little as chance allows."""
    generator = np.random.default_rng(seed)
    return unit_length(generator.standard_normal((*shape, channels))).astype(np.float32)


def test_planted_match_is_found_between_patches(smooth_field: Maker, sampled: Maker) -> None:
    generator = np.random.default_rng(0)
    errors, coarse = [], []
    for seed in range(20):
        field = smooth_field(seed)
        moved = tuple(generator.uniform(-20, 20, 2))
        mark = generator.uniform(60, 110, 2)
        match = match_mark(sampled(field), mark, sampled(field, moved=moved), LIMITS)
        truth = mark + moved
        errors.append(np.linalg.norm(match.best.pixel - truth))
        row, column = np.unravel_index(match.heat.argmax(), match.heat.shape)
        coarse.append(np.linalg.norm(match.grid.pixels((column, row)) - truth))
        assert doubts(match, LIMITS) == ()
        assert match.round_trip_patches < 0.3
    # A patch is 12 px wide.
    assert np.median(errors) < 1.0 and np.max(errors) < 2.5
    assert np.median(coarse) > 3.0


def test_images_of_other_shapes_and_scales(smooth_field: Maker, sampled: Maker) -> None:
    """The image is twice as large and half as high; its patches are not square pixels."""
    field = smooth_field(3)
    reference = sampled(field)
    target = sampled(
        lambda places: field(np.asarray(places) / 2),
        (8, 30),
        origin=(11.0, 11.0),
        step=(24.0, 22.0),
    )
    match = match_mark(reference, (101.0, 63.0), target, LIMITS)
    assert match.heat.shape == (8, 30)
    np.testing.assert_allclose(match.best.pixel, [202.0, 126.0], atol=3.0)


@pytest.mark.parametrize("corner", [(0, 0), (0, 9), (7, 0), (7, 9)])
def test_matches_on_the_border(corner: tuple[int, int]) -> None:
    features = noise_map((8, 10), seed=1)
    image = FeatureMap(features, GRID)
    place = GRID.pixels(corner[::-1])
    match = match_mark(image, place, image, LIMITS)
    np.testing.assert_allclose(match.best.pixel, place)
    assert match.best.similarity == pytest.approx(1.0, abs=1e-6)
    assert match.round_trip_patches == pytest.approx(0.0)
    assert doubts(match, LIMITS) == ()


def test_a_mark_beyond_the_outermost_centres_is_found_there() -> None:
    features = noise_map((8, 10), seed=1)
    image = FeatureMap(features, GRID)
    match = match_mark(image, (0.0, 0.0), image, LIMITS)
    np.testing.assert_allclose(match.best.pixel, GRID.pixels((0, 0)))
    assert match.round_trip_patches < 1.0


def test_two_equal_places_are_unsure() -> None:
    features = noise_map((10, 16), seed=2)
    reference = FeatureMap(features, GRID)
    twice = noise_map((10, 16), seed=3)
    twice[2, 3] = twice[7, 12] = features[4, 4]
    match = match_mark(reference, GRID.pixels((4, 4)), FeatureMap(twice, GRID), LIMITS)
    assert match.second is not None
    found = {tuple(match.best.pixel), tuple(match.second.pixel)}
    assert found == {tuple(GRID.pixels((3, 2))), tuple(GRID.pixels((12, 7)))}
    assert match.margin == pytest.approx(0.0, abs=1e-6)
    (doubt,) = doubts(match, LIMITS)
    assert "nearly as similar" in doubt and "(42, 30)" in doubt and "(150, 90)" in doubt


def test_the_second_best_is_sought_between_patches_too(smooth_field: Maker, sampled: Maker) -> None:
    """Twins of which one lies between patches: at the patches alone it would seem less similar."""
    twin = smooth_field(5, smoothness_px=12.0)
    reference = sampled(twin, (9, 9))
    mark = np.array(reference.grid.pixels((4, 4)))
    left = sampled(twin, (9, 9))
    right = sampled(twin, (9, 9), moved=(6.0, 6.0))
    both = FeatureMap(np.concatenate([left.features, right.features], axis=1), left.grid)
    match = match_mark(reference, mark, both, LIMITS)
    at_patches = match.heat[:, 9:].max()
    assert match.second is not None
    assert match.margin < 0.7 * (match.best.similarity - at_patches)
    np.testing.assert_allclose(match.second.pixel, mark + np.array([9 * 12 + 6, 6]), atol=2.0)


def test_nothing_similar_is_unsure() -> None:
    reference = FeatureMap(noise_map((8, 8), seed=4), GRID)
    target = FeatureMap(noise_map((8, 8), seed=5), GRID)
    match = match_mark(reference, GRID.pixels((4, 4)), target, LIMITS)
    assert match.best.similarity < 0.5
    assert any("below 0.50" in doubt for doubt in doubts(match, LIMITS))


def test_a_way_back_that_ends_elsewhere_is_unsure() -> None:
    """The image has something like the mark, but more like another place of the reference."""
    reference = noise_map((8, 12), seed=6)
    target = noise_map((8, 12), seed=7)
    target[2, 2] = unit_length(0.6 * reference[1, 1] + 0.8 * reference[6, 10])
    match = match_mark(
        FeatureMap(reference, GRID), GRID.pixels((1, 1)), FeatureMap(target, GRID), LIMITS
    )
    np.testing.assert_allclose(match.best.pixel, GRID.pixels((2, 2)), atol=6.0)
    assert match.round_trip_patches == pytest.approx(np.hypot(5, 9), abs=1.5)
    (doubt,) = doubts(match, LIMITS)
    assert "way back" in doubt and "patches from the mark" in doubt


def test_an_image_without_elsewhere_has_no_second() -> None:
    small = FeatureMap(noise_map((2, 2), seed=8), GRID)
    match = match_mark(small, GRID.pixels((0, 0)), small, LIMITS)
    assert match.second is None and match.margin == 2.0
    assert doubts(match, LIMITS) == ()


def test_every_limit_counts_by_itself() -> None:
    match = Match(
        Peak(np.array([10.0, 10.0]), 0.6),
        Peak(np.array([90.0, 90.0]), 0.5),
        np.zeros((2, 2)),
        GRID,
        round_trip_patches=2.0,
    )
    assert doubts(match, LIMITS) == ()
    assert len(doubts(match, MatchLimits(similarity=0.61))) == 1
    assert len(doubts(match, MatchLimits(margin=0.11))) == 1
    assert len(doubts(match, MatchLimits(round_trip_patches=1.9))) == 1
    assert len(doubts(match, MatchLimits(0.61, 0.11, 3.0, 1.9))) == 3


def test_features_of_another_model_are_refused() -> None:
    one = FeatureMap(noise_map((4, 4), 0, channels=8), GRID)
    other = FeatureMap(noise_map((4, 4), 0, channels=12), GRID)
    with pytest.raises(MarkError, match="different models"):
        match_mark(one, (10, 10), other, LIMITS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"similarity": 1.5},
        {"margin": -0.1},
        {"neighbourhood_patches": 0.5},
        {"round_trip_patches": float("nan")},
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(MarkError):
        MatchLimits(**wrong)


def test_more_than_half_must_agree() -> None:
    assert largest_agreement([[3, 3]], 2.0).tolist() == [True]  # type: ignore[union-attr]
    together = largest_agreement([[3, 3], [4, 3], [30, 30]], 2.0)
    assert together is not None and together.tolist() == [True, True, False]
    assert largest_agreement([[3, 3], [30, 30]], 2.0) is None
    assert largest_agreement([[3, 3], [3, 3], [30, 30], [30, 30]], 2.0) is None
    assert largest_agreement(np.empty((0, 2)), 2.0) is None
