# SPDX-License-Identifier: Apache-2.0
"""The tracker against images that were moved by a known amount."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.tracking.lucas_kanade import LucasKanade, LucasKanadeSettings, track_point
from calib_all_ros.tracking.track import Track, Tracker, TrackingError

COUNT, SIZE = 12, (160, 200)
MARK = np.array([90.0, 80.0])


def texture(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).uniform(0, 255, SIZE).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    grey = cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def moved(image: NDArray[np.uint8], shift: NDArray[np.float64]) -> NDArray[np.uint8]:
    M = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    return cv2.warpAffine(
        image, M, SIZE[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def shifts(count: int = COUNT) -> NDArray[np.float64]:
    phase = np.arange(count) / 4
    return np.stack([15 * np.sin(phase), 8 * np.sin(2 * phase)], axis=1)


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    still = texture(0)
    return [moved(still, shift) for shift in shifts()]


def test_follows_to_a_tenth_of_a_pixel(images: list[NDArray[np.uint8]]) -> None:
    track = track_point(images, MARK)
    assert track.visible.all()
    np.testing.assert_allclose(track.pixels, MARK + shifts(), atol=0.1)
    assert track.confidence[0] == 1.0
    assert (track.confidence > 0.9).all()


def test_goes_both_ways_from_the_start(images: list[NDArray[np.uint8]]) -> None:
    track = track_point(images, MARK + shifts()[6], start=6)
    assert track.visible.all()
    np.testing.assert_allclose(track.pixels, MARK + shifts(), atol=0.1)


def test_says_when_the_mark_is_covered(images: list[NDArray[np.uint8]]) -> None:
    covered = [image.copy() for image in images]
    for image, shift in zip(covered[7:], shifts()[7:], strict=True):
        x, y = np.rint(MARK + shift).astype(int)
        image[y - 30 : y + 30, x - 30 : x + 30] = texture(1)[:60, :60]
    track = track_point(covered, MARK)
    assert track.visible.tolist() == [True] * 7 + [False] * 5
    assert np.isnan(track.pixels[7:]).all()
    assert not track.confidence[7:].any()


def test_says_when_the_scene_is_cut(images: list[NDArray[np.uint8]]) -> None:
    track = track_point([*images[:5], *(texture(2) for _ in range(3))], MARK)
    assert track.visible.tolist() == [True] * 5 + [False] * 3


def test_smooth_area_is_not_guessed() -> None:
    flat = np.full((*SIZE, 3), 128, dtype=np.uint8)
    assert track_point([flat] * 4, MARK).visible.tolist() == [True, False, False, False]


def test_mark_that_leaves_the_image_is_invisible() -> None:
    still = texture(3)
    steps = np.stack([np.arange(12) * 9.0, np.zeros(12)], axis=1)
    track = track_point([moved(still, step) for step in steps], MARK + np.array([40.0, 0.0]))
    inside = (MARK[0] + 40 + steps[:, 0]) <= SIZE[1] - 1
    assert not track.visible[~inside].any()
    assert track.visible[:5].all()


def test_wrong_use_is_explained(images: list[NDArray[np.uint8]]) -> None:
    with pytest.raises(TrackingError, match="lies outside image 0, which is 200x160"):
        track_point(images, (200.0, 10.0))
    with pytest.raises(TrackingError, match="no image 12"):
        track_point(images, MARK, start=12)
    with pytest.raises(TrackingError, match="another size"):
        track_point([images[0], images[0][:100]], MARK)
    with pytest.raises(TrackingError, match="odd"):
        LucasKanadeSettings(windows_px=(20,), agreeing=1)
    with pytest.raises(TrackingError, match="number of windows"):
        LucasKanadeSettings(windows_px=(21,))


def test_serves_as_a_tracker(images: list[NDArray[np.uint8]]) -> None:
    tracker: Tracker = LucasKanade()
    found, expected = tracker(images, MARK, 0), track_point(images, MARK)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert tracker.name == "Lucas-Kanade" and tracker.most_images >= 100
    strict = LucasKanade(LucasKanadeSettings(step_correlation=1.1))
    assert strict(images, MARK, 0).visible.sum() == 1


def test_track_checks_itself() -> None:
    with pytest.raises(TrackingError, match="not known"):
        Track(np.full((2, 2), np.nan), np.array([True, False]), np.zeros(2))
    with pytest.raises(TrackingError, match=r"\(N, 2\)"):
        Track(np.zeros((2, 2)), np.zeros(3, dtype=bool), np.zeros(2))


@pytest.mark.parametrize(("recording", "least"), [("d1", 3), ("d3", 5)])
def test_smooth_robot_is_followed_until_lost(shared_data: Path, recording: str, least: int) -> None:
    folder = shared_data / recording
    mark = json.loads((folder / "eef.json").read_text())["pixel"]
    frames = sorted((folder / "frames").iterdir())[:20]
    images = [cv2.cvtColor(cv2.imread(str(frame)), cv2.COLOR_BGR2RGB) for frame in frames]
    track = track_point(images, mark)
    last = int(track.visible.sum())
    assert track.visible.tolist() == [True] * last + [False] * (len(images) - last)
    assert least <= last < len(images)
    robot = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in sorted((folder / "masks").iterdir())]
    for mask, pixel in zip(robot, track.pixels[track.visible], strict=False):
        x, y = np.rint(pixel).astype(int)
        assert mask[y, x] > 0
