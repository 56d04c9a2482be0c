# SPDX-License-Identifier: Apache-2.0
"""How windows follow one another, with a tracker that knows the answer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.tracking.neighbours import PointTracks
from calib_all_ros.tracking.track import TrackingError
from calib_all_ros.tracking.windows import WindowSettings, follow, next_seed, sliding

Array = NDArray[np.float64]
WIDTH, HEIGHT = 320, 200


class Numbered:
    """Images that bear their number, and how often each was decoded."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.decoded = np.zeros(count, dtype=int)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        self.decoded[index] += 1
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[0, 0] = divmod(index, 256)[0], index % 256, 0
        return image


class Scripted:
    """A tracker that sees the mark along a path, except in hidden images, and errs as told.

    Attributes:
        windows: numbers of the images of each window.
    """

    def __init__(
        self,
        path: Array,
        hidden: Iterable[int] = (),
        longest: int | None = 10,
        drift_px: float = 0.0,
    ) -> None:
        self.path, self.hidden, self.longest = path, set(hidden), longest
        self.drift_px = drift_px
        self.windows: list[list[int]] = []
        self.starts: list[Array] = []

    def track_points(self, images: Iterable[NDArray[np.uint8]], points: Array) -> PointTracks:
        numbers = [int(image[0, 0, 0]) * 256 + int(image[0, 0, 1]) for image in images]
        self.windows.append(numbers)
        self.starts.append(points[0])
        shifts = self.path[numbers] - self.path[numbers[0]]
        shifts[:, 0] += self.drift_px * np.arange(len(numbers))
        trust = np.where([number in self.hidden for number in numbers], 0.1, 0.95)
        # The last images of a window are known worst.
        trust[-3:] = np.minimum(trust[-3:], 0.9)
        pixels = points[None] + shifts[:, None]
        return PointTracks(pixels, np.repeat(trust[:, None], len(points), axis=1))


def path(count: int) -> Array:
    t = np.arange(count) / count
    return np.stack([160 + 100 * np.sin(9 * t), 100 + 60 * np.cos(5 * t)], axis=1)


@pytest.mark.parametrize("longest", [2, 7, 10, None])
@pytest.mark.parametrize("start", [0, 13, 39])
def test_both_directions_and_all_windows_join(longest: int | None, start: int) -> None:
    truth = path(40)
    tracker = Scripted(truth, longest=longest)
    track = follow(Numbered(40), truth[start], start, tracker)
    assert track.visible.all()
    np.testing.assert_allclose(track.pixels, truth)
    np.testing.assert_array_equal(track.pixels[start], truth[start])
    assert track.confidence[start] == 1.0 and (track.confidence >= 0.9).all()
    limit = longest or 40
    assert max(len(window) for window in tracker.windows) <= limit
    for window in tracker.windows:
        steps = np.diff(window)
        assert (steps == 1).all() or (steps == -1).all()
    if start == 13:
        assert [w[0] for w in tracker.windows].count(13) == 2


def test_windows_overlap_by_a_quarter_and_images_are_decoded_hardly_more_than_once() -> None:
    truth, images = path(600), Numbered(600)
    tracker = Scripted(truth, longest=60)
    follow(images, truth[0], 0, tracker)
    assert tracker.windows[0] == list(range(60))
    assert [w[0] for w in tracker.windows] == list(range(0, 600 - 15, 44))
    assert images.decoded.mean() < 1.4


def test_in_the_overlap_the_more_trusted_window_counts() -> None:
    truth = path(12)
    tracker = Scripted(truth, longest=8, drift_px=0.1)
    track = follow(Numbered(12), truth[0], 0, tracker)
    assert tracker.windows == [[0, 1, 2, 3, 4, 5, 6, 7], [5, 6, 7, 8, 9, 10, 11]]
    # Drift of the first window up to 5, from which the second goes on; 6 and 7 are from the
    # second, which trusts them more.
    np.testing.assert_allclose(track.pixels[:, 0] - truth[:, 0], 0.1 * np.arange(12))
    np.testing.assert_allclose(track.confidence[5:8], [0.9, 0.95, 0.95])


def test_a_later_window_that_is_less_trusted_changes_nothing() -> None:
    class Tiring(Scripted):
        def track_points(self, images: Iterable[NDArray[np.uint8]], points: Array) -> PointTracks:
            tracks = super().track_points(images, points)
            worse = len(self.windows) > 1
            return PointTracks(tracks.pixels + worse, tracks.trust - 0.12 * worse)

    truth = path(12)
    track = follow(Numbered(12), truth[0], 0, Tiring(truth, longest=8))
    np.testing.assert_allclose(track.pixels[:8], truth[:8])
    np.testing.assert_allclose(track.pixels[8:], truth[8:] + 1)


def test_a_window_starts_where_the_mark_was_last_certain() -> None:
    truth = path(40)
    tracker = Scripted(truth, hidden=range(6, 14))
    track = follow(Numbered(40), truth[0], 0, tracker)
    assert tracker.windows[:2] == [list(range(10)), [5, *range(8, 17)]]
    np.testing.assert_array_equal(track.visible, ~np.isin(np.arange(40), range(6, 14)))
    np.testing.assert_allclose(track.pixels[track.visible], truth[track.visible])


def test_a_mark_that_comes_back_after_many_windows_is_found() -> None:
    truth, images = path(100), Numbered(100)
    tracker = Scripted(truth, hidden=range(5, 70))
    track = follow(images, truth[0], 0, tracker)
    np.testing.assert_array_equal(track.visible, ~np.isin(np.arange(100), range(5, 70)))
    np.testing.assert_allclose(track.pixels[track.visible], truth[track.visible])
    # Windows that wait for it all begin with an image in which it was known.
    waiting = [window for window in tracker.windows if 5 <= window[-1] < 70]
    assert len(waiting) > 5 and all(window[0] <= 4 for window in waiting)
    assert len(tracker.windows) < 100 / (10 - 1 - 2) + 3


def test_a_mark_that_never_comes_back_ends() -> None:
    truth = path(50)
    tracker = Scripted(truth, hidden=range(1, 50), longest=2)
    track = follow(Numbered(50), truth[0], 0, tracker)
    assert track.visible.tolist() == [True] + [False] * 49
    assert len(tracker.windows) == 49


def test_a_tracker_of_any_length_gets_each_direction_at_once() -> None:
    truth, images = path(50), Numbered(50)
    tracker = Scripted(truth, hidden=range(10, 20), longest=None)
    follow(images, truth[30], 30, tracker)
    assert tracker.windows == [list(range(30, 50)), list(range(30, -1, -1))]


def test_a_mark_outside_the_image_is_not_visible() -> None:
    truth = np.stack([np.linspace(300, 340, 9), np.full(9, 100.0)], axis=1)
    track = follow(Numbered(9), truth[0], 0, Scripted(truth))
    np.testing.assert_array_equal(track.visible, truth[:, 0] <= WIDTH - 1)
    assert not track.confidence[~track.visible].any()


def test_wrong_use_is_explained() -> None:
    truth = path(5)
    with pytest.raises(TrackingError, match="no image 5"):
        follow(Numbered(5), truth[0], 5, Scripted(truth))
    with pytest.raises(TrackingError, match="lies outside image 1, which is 320x200"):
        follow(Numbered(5), (-1.0, 3.0), 1, Scripted(truth))
    with pytest.raises(TrackingError, match="lies outside"):
        follow(Numbered(5), (np.nan, 3.0), 1, Scripted(truth))
    images = [Numbered(1)[0], Numbered(1)[0][:50]]
    with pytest.raises(TrackingError, match="image 1 has another size"):
        follow(images, truth[0], 0, Scripted(truth))
    with pytest.raises(TrackingError, match="2 or more images"):
        follow(Numbered(5), truth[0], 0, Scripted(truth, longest=1))
    with pytest.raises(TrackingError, match=r"0 to 0\.5"):
        WindowSettings(overlap=0.7)


def test_answers_of_another_shape_are_refused() -> None:
    class Wrong(Scripted):
        def track_points(self, images: Iterable[NDArray[np.uint8]], points: Array) -> PointTracks:
            tracks = super().track_points(images, points)
            return PointTracks(tracks.pixels[:-1], tracks.trust[:-1])

    with pytest.raises(TrackingError, match="given 5 images and 53 points and returned"):
        follow(Numbered(5), path(5)[0], 0, Wrong(path(5)))


@pytest.mark.parametrize(
    ("certain", "seed", "overlap", "expected"),
    [
        ("1111111111", 0, 3, 6),
        ("1111111111", 0, 0, 9),
        ("1111100000", 0, 3, 4),
        ("1111100000", 4, 3, 4),
        ("1000000000", 0, 3, 0),
        ("1110000111", 0, 5, 7),
        ("1110000101", 0, 5, 9),
    ],
)
def test_where_the_next_window_starts(certain: str, seed: int, overlap: int, expected: int) -> None:
    sure = np.array([c == "1" for c in certain])
    assert next_seed(sure, seed, overlap) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (1, [[0]]),
        (3, [[0, 1, 2]]),
        (6, [[0, 1, 2, 3, 4, 5]]),
        (7, [[0, 1, 2, 3, 4, 5], [3, 4, 5, 6]]),
        (9, [[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8]]),
        (10, [[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8], [6, 7, 8, 9]]),
    ],
)
def test_a_window_slides(count: int, expected: list[list[int]]) -> None:
    assert list(sliding(range(count), 3)) == expected
