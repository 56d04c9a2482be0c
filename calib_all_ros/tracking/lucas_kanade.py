# SPDX-License-Identifier: Apache-2.0
"""Pyramidal Lucas-Kanade tracking of one mark, which says when it has lost it.

Each step is measured with several window sizes. A step counts when enough of them return to where
they came from (forward-backward error; Kalal et al., 2010), agree with one another, and what they
found looks like the image before and like the mark in its first image. On smooth robots that turn
the mark is lost within some frames; no guess is made after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.tracking.track import (
    ImageSequence,
    Track,
    TrackingError,
    check_size,
    given_mark,
)

Array = NDArray[np.float64]
Grey = NDArray[np.uint8]

_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)


@dataclass(frozen=True)
class LucasKanadeSettings:
    """When a step of the track is believed.

    Attributes:
        windows_px: odd sizes of the windows that measure each step.
        agreeing: fewest windows that must agree.
        levels: pyramid levels above the full image.
        round_trip_px: largest forward-backward error of a window.
        agreement_px: largest distance of a window's answer from the median of all.
        patch_px: odd size of the patches whose appearance is compared.
        step_correlation: least normalised cross-correlation with the image before.
        template_correlation: least with the first image; lower, for the mark turns.
    """

    windows_px: tuple[int, ...] = (15, 21, 31)
    agreeing: int = 2
    levels: int = 4
    round_trip_px: float = 1.0
    agreement_px: float = 1.5
    patch_px: int = 19
    step_correlation: float = 0.8
    template_correlation: float = 0.5

    def __post_init__(self) -> None:
        sizes = (*self.windows_px, self.patch_px)
        if any(size < 5 or size % 2 == 0 for size in sizes):
            raise TrackingError(f"windows_px and patch_px must be odd and at least 5, got {sizes}")
        if not 1 <= self.agreeing <= len(self.windows_px):
            raise TrackingError(
                f"agreeing must be from 1 to {len(self.windows_px)}, the number of windows, got "
                f"{self.agreeing}"
            )


@dataclass(frozen=True)
class LucasKanade:
    """:func:`track_point` as a :class:`~calib_all_ros.tracking.track.Tracker`.

    Attributes:
        settings: When to believe a step.
        name: For logs and results.
        most_images: The mark is hardly ever followed that far.
        longest_step_s: It needs every image.
    """

    settings: LucasKanadeSettings = LucasKanadeSettings()
    name: str = "Lucas-Kanade"
    most_images: int = 600
    longest_step_s: float = 0.0

    def __call__(self, images: ImageSequence, pixel: ArrayLike, start: int) -> Track:
        """Follow the mark, see :func:`track_point`."""
        return track_point(images, pixel, start, self.settings)


def track_point(
    images: ImageSequence,
    pixel: ArrayLike,
    start: int = 0,
    settings: LucasKanadeSettings | None = None,
) -> Track:
    """Return where the mark at ``pixel`` in image ``start`` is in all images.

    Args:
        images: N RGB images of one size; each is read once, or twice around ``start``.
        pixel: (2,) the mark, pixel centres at integer coordinates.
        start: number of the image in which the mark was given.
        settings: when to believe a step; the defaults where None.

    Raises:
        TrackingError: no such image, or the mark lies outside it.
    """
    settings = settings or LucasKanadeSettings()
    mark, image = given_mark(images, pixel, start)
    first = _grey(image)
    pixels = np.full((len(images), 2), np.nan)
    confidence = np.zeros(len(images))
    pixels[start], confidence[start] = mark, 1.0
    for order in (range(start + 1, len(images)), range(start - 1, -1, -1)):
        for index, found, trust in _follow(images, order, first, mark, settings):
            pixels[index], confidence[index] = found, trust
    return Track(pixels, np.isfinite(pixels).all(axis=1), confidence)


def _follow(
    images: ImageSequence,
    order: range,
    first: Grey,
    mark: Array,
    settings: LucasKanadeSettings,
) -> Iterator[tuple[int, Array, float]]:
    """Yield image number, pixel and confidence along ``order`` until the mark is lost."""
    template = _patch(first, mark, settings)
    before, here, velocity = first, mark, np.zeros(2)
    for index in order:
        after = _grey(images[index])
        check_size(after, first, index)
        there = _step(before, after, here, velocity, settings)
        if there is None:
            return
        patch = _patch(after, there, settings)
        by_step = _correlation(_patch(before, here, settings), patch)
        by_template = _correlation(template, patch)
        if by_step < settings.step_correlation or by_template < settings.template_correlation:
            return
        yield index, there, min(by_step, by_template, 1.0)
        before, here, velocity = after, there, there - here


def _step(
    before: Grey, after: Grey, here: Array, velocity: Array, settings: LucasKanadeSettings
) -> Array | None:
    """Return where ``here`` went, None where the windows do not agree on that."""
    answers = []
    origin = here.astype(np.float32).reshape(1, 1, 2)
    expected = (here + velocity).astype(np.float32).reshape(1, 1, 2)
    for window in settings.windows_px:
        end, seen = _flow(before, after, origin, expected, window, settings.levels)
        back_from = (end - velocity.astype(np.float32)).astype(np.float32)
        back, seen_back = _flow(after, before, end, back_from, window, settings.levels)
        if seen and seen_back and np.linalg.norm(back - origin) <= settings.round_trip_px:
            answers.append(end.ravel().astype(np.float64))
    if len(answers) < settings.agreeing:
        return None
    found = np.array(answers)
    near = np.linalg.norm(found - np.median(found, axis=0), axis=1) <= settings.agreement_px
    if near.sum() < settings.agreeing:
        return None
    there: Array = found[near].mean(axis=0)
    height, width = after.shape
    inside = (there >= 0).all() and (there <= (width - 1, height - 1)).all()
    return there if inside else None


def _flow(
    source: Grey,
    target: Grey,
    point: NDArray[np.float32],
    guess: NDArray[np.float32],
    window: int,
    levels: int,
) -> tuple[NDArray[np.float32], bool]:
    found, seen, _ = cv2.calcOpticalFlowPyrLK(
        source,
        target,
        point,
        guess.copy(),
        winSize=(window, window),
        maxLevel=levels,
        criteria=_STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(found, dtype=np.float32), bool(seen[0, 0])


def _grey(image: NDArray[np.uint8]) -> Grey:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _patch(image: Grey, centre: Array, settings: LucasKanadeSettings) -> NDArray[np.float32]:
    size = (settings.patch_px, settings.patch_px)
    centre_xy = (float(centre[0]), float(centre[1]))
    return np.asarray(cv2.getRectSubPix(image, size, centre_xy, patchType=cv2.CV_32F))


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the normalised cross-correlation of two patches; 0 where one has no contrast."""
    return float(np.nan_to_num(cv2.matchTemplate(first, second, cv2.TM_CCOEFF_NORMED)[0, 0]))
