# SPDX-License-Identifier: Apache-2.0
"""What points around a mark say of it, where all motion is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.tracking.neighbours import (
    NeighbourSettings,
    PointTracks,
    judge,
    neighbours,
    support_grid,
)
from calib_all_ros.tracking.track import TrackingError

Array = NDArray[np.float64]
WIDTH, HEIGHT, COUNT = 640, 480, 30
MARK = np.array([300.0, 200.0])
SETTINGS = NeighbourSettings()
POINTS = neighbours(MARK, WIDTH, HEIGHT, SETTINGS)
# The mark, and of the neighbours those to its left, which may lie on another body.
LEFT = np.flatnonzero(POINTS[:, 0] < MARK[0] - 1)


def turning(count: int = COUNT, squeezed: float = 1.0) -> Array:
    """Return (T, K, 2) points of a body that moves, turns by 90 degrees, comes closer and tilts."""
    share = np.arange(count) / (count - 1)
    turn = (1 + 0.3 * share) * np.exp(0.5j * np.pi * share)
    offsets = (POINTS - MARK) @ (1, 1j)
    moved = turn[:, None] * offsets
    tilt = 1 - (1 - squeezed) * share
    path = np.stack([MARK[0] + 150 * share, MARK[1] + 60 * np.sin(3 * share)], axis=1)
    out = np.stack([moved.real, tilt[:, None] * moved.imag], axis=-1) + path[:, None]
    out[0] = POINTS
    return out


def judged(pixels: Array, trust: Array | None = None) -> tuple[Array, Array]:
    given = np.full(pixels.shape[:2], 0.9) if trust is None else trust
    return judge(PointTracks(pixels, given), POINTS, WIDTH, SETTINGS)


def test_neighbours_lie_on_rings_inside_the_image() -> None:
    assert POINTS.shape == (17, 2)
    np.testing.assert_array_equal(POINTS[0], MARK)
    radii = np.linalg.norm(POINTS[1:] - MARK, axis=1)
    np.testing.assert_allclose(radii, [8.0] * 8 + [20.0] * 8)
    cornered = neighbours(np.array([639.0, 0.0]), WIDTH, HEIGHT, SETTINGS)
    np.testing.assert_array_equal(cornered[0], [639.0, 0.0])
    assert 5 <= len(cornered) <= 7 and (cornered <= [639.0, 479.0]).all() and (cornered >= 0).all()


def test_the_grid_covers_the_image() -> None:
    grid = support_grid(WIDTH, HEIGHT, 6)
    assert grid.shape == (36, 2) and len(np.unique(grid, axis=0)) == 36
    np.testing.assert_allclose(grid.min(axis=0) + grid.max(axis=0), [639.0, 479.0])
    assert (grid.min(axis=0) < [11, 9]).all() and (grid.min(axis=0) > 0).all()
    assert support_grid(WIDTH, HEIGHT, 0).shape == (0, 2)


@pytest.mark.parametrize("squeezed", [1.0, 0.6])
def test_the_track_is_the_marks_own(squeezed: float) -> None:
    truth = turning(squeezed=squeezed)
    noisy = truth + np.random.default_rng(0).normal(0, 0.4, truth.shape)
    noisy[0] = truth[0]
    pixels, trust = judged(noisy)
    np.testing.assert_array_equal(pixels, noisy[:, 0])
    np.testing.assert_array_equal(trust, [1.0] + [0.9] * (COUNT - 1))


def test_a_mark_that_slips_is_put_back() -> None:
    truth = turning()
    slipped = truth.copy()
    slipped[12:20, 0] = slipped[11, 0]
    pixels, trust = judged(slipped)
    np.testing.assert_allclose(pixels[:12], truth[:12, 0])
    # The images in which it is still near where it should be show no slip.
    np.testing.assert_allclose(pixels[13:20], truth[13:20, 0], atol=1e-6)
    assert (trust[13:20] > 0).all() and (trust[13:20] < SETTINGS.confident).all()
    np.testing.assert_allclose(trust[20:], 0.9)


def test_a_hidden_mark_among_visible_neighbours_is_filled_in() -> None:
    truth = turning()
    trust = np.full(truth.shape[:2], 0.9)
    trust[5:10, 0] = 0.2
    pixels, out = judged(truth, trust)
    np.testing.assert_allclose(pixels, truth[:, 0], atol=1e-6)
    assert (out[5:10] < SETTINGS.confident).all() and (out[5:10] > 0).all()


def test_what_is_hidden_with_its_neighbours_is_lost() -> None:
    trust = np.full((COUNT, len(POINTS)), 0.9)
    trust[8:14] = 0.4
    pixels, out = judged(turning(), trust)
    assert not out[8:14].any() and np.isnan(pixels[8:14]).all()
    assert out[14:].all()


def test_scattered_points_are_no_evidence() -> None:
    scattered = turning()
    rng = np.random.default_rng(0)
    scattered[10:] = rng.uniform((0, 0), (WIDTH, HEIGHT), scattered[10:].shape)
    trust = np.full(scattered.shape[:2], 0.7)
    pixels, out = judged(scattered, trust)
    assert out[:10].all() and not out[10:].any() and np.isnan(pixels[10:]).all()


def test_a_confident_mark_may_lose_its_neighbours() -> None:
    trust = np.full((COUNT, len(POINTS)), 0.9)
    trust[10:, 1:] = 0.1
    pixels, out = judged(turning(), trust)
    np.testing.assert_array_equal(pixels, turning()[:, 0])
    assert (out[10:] < SETTINGS.confident).all() and (out[10:] > SETTINGS.visible).all()
    trust[10:, 0] = 0.7
    assert not judged(turning(), trust)[1][10:].any()


@pytest.mark.parametrize("count", [6, 12])
def test_neighbours_on_the_background_do_not_hold_the_mark_back(count: int) -> None:
    truth = turning()
    mixed = truth.copy()
    # All but those farthest to the right.
    others = 1 + np.argsort(POINTS[1:, 0], kind="stable")[:count]
    mixed[:, others] = POINTS[others]
    pixels, trust = judged(mixed)
    np.testing.assert_allclose(pixels, truth[:, 0])
    np.testing.assert_allclose(trust[1:], 0.9)


def test_few_neighbours_neither_fill_in_nor_are_ignored() -> None:
    truth = turning()
    trust = np.full(truth.shape[:2], 0.1)
    trust[:, 1:6] = 0.9
    # Five of sixteen agree; the mark is hidden, or confident that it is elsewhere.
    assert not judged(truth, trust)[1][1:].any()
    trust[:, 0] = 0.95
    slipped = truth.copy()
    slipped[5:, 0] += [100.0, 50.0]
    pixels, out = judged(slipped, trust)
    assert out[:5].all() and not out[5:].any() and np.isnan(pixels[5:]).all()


def test_a_mark_that_slips_onto_the_background_is_not_held_there() -> None:
    truth = turning()
    mixed = truth.copy()
    mixed[:, LEFT] = POINTS[LEFT]
    # Off it slips to where the background beside it stands still.
    mixed[18:, 0] = MARK
    pixels, trust = judged(mixed)
    np.testing.assert_allclose(pixels[18:], truth[18:, 0], atol=1e-6)
    assert trust[18:].all()


def test_still_images_teach_nothing_of_who_belongs_to_whom() -> None:
    truth = np.concatenate([np.tile(POINTS, (40, 1, 1)), turning()[1:]])
    mixed = truth.copy()
    mixed[:, LEFT] = POINTS[LEFT]
    pixels, trust = judged(mixed)
    np.testing.assert_allclose(pixels, truth[:, 0])
    assert (trust >= 0.9).all()


def test_what_was_learnt_outlasts_a_rest_at_the_start() -> None:
    there = turning(15)
    rest = np.tile(POINTS, (30, 1, 1))
    truth = np.concatenate([there, there[::-1], rest, there[1:]])
    mixed = truth.copy()
    mixed[:, LEFT] = POINTS[LEFT]
    mixed[63:, 0] = MARK
    pixels, trust = judged(mixed)
    np.testing.assert_allclose(pixels[63:], truth[63:, 0], atol=1e-6)
    assert trust[63:].all()


def test_a_mark_without_neighbours_speaks_for_itself() -> None:
    alone = POINTS[:1]
    tracks = PointTracks(np.tile(alone, (3, 1, 1)), np.array([[1.0], [0.9], [0.7]]))
    pixels, trust = judge(tracks, alone, WIDTH, SETTINGS)
    assert trust.tolist() == [1.0, pytest.approx(0.675), 0.0] and np.isnan(pixels[2]).all()


def test_impossible_settings_are_refused() -> None:
    for wrong in ({"visible": 0.9}, {"visible": 0.0}, {"confident": 0.7}, {"confident": 1.1}):
        with pytest.raises(TrackingError, match="trust must"):
            NeighbourSettings(**wrong)
    for other in ({"points_per_ring": 3}, {"ring_radii": ()}, {"ring_radii": (0.0,)}):
        with pytest.raises(TrackingError, match="ring_radii above 0"):
            NeighbourSettings(**other)  # type: ignore[arg-type]
