# SPDX-License-Identifier: Apache-2.0
"""Tracking through long videos with a tracker that sees a window of images at a time.

From the image in which the mark was given it goes forwards, and backwards by handing the images
over in reverse order, so that a window always begins with the image its mark is known in: that is
how point trackers are trained and evaluated, and it is the same for those that see ahead and those
that cannot. The next window starts from an image in which the mark was certain; if there was none
it keeps its start and skips what has been seen since, so that a mark which comes back is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.tracking.neighbours import (
    NeighbourSettings,
    PointTracks,
    judge,
    neighbours,
    support_grid,
)
from calib_all_ros.tracking.track import (
    ImageSequence,
    Track,
    TrackingError,
    check_size,
    given_mark,
)

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
T = TypeVar("T")


class PointTracker(Protocol):
    """What tracks points through one window."""

    @property
    def longest(self) -> int | None:
        """The most images of a window, 2 or more; None if it takes any number and keeps few."""
        ...

    def track_points(self, images: Iterable[Image], points: Array) -> PointTracks:
        """Return where (P, 2) ``points`` of the first image are in all T images, in their order."""
        ...


@dataclass(frozen=True)
class WindowSettings:
    """How windows follow one another.

    Attributes:
        overlap: by how many images they overlap at most, a share of their length. The last images
            of a window are known worst, for it does not see what comes after them.
        neighbours: The points around the mark, and when they are believed.
    """

    overlap: float = 0.25
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 0.5:
            raise TrackingError(f"windows overlap by 0 to 0.5 of their length, got {self.overlap}")


def follow(
    images: ImageSequence,
    pixel: ArrayLike,
    start: int,
    tracker: PointTracker,
    settings: WindowSettings | None = None,
) -> Track:
    """Return where the mark at ``pixel`` in image ``start`` is in all images.

    Args:
        images: N RGB images of one size, decoded one by one as the tracker takes them.
        pixel: (2,) the mark, pixel centres at integer coordinates.
        start: number of the image in which the mark was given.
        tracker: what tracks points through a window.
        settings: the defaults where None.

    Raises:
        TrackingError: no such image, the mark lies outside it, the images differ in size, or the
            tracker sees but one at a time.
    """
    settings = settings or WindowSettings()
    if tracker.longest is not None and tracker.longest < 2:
        raise TrackingError(f"windows need 2 or more images, the tracker takes {tracker.longest}")
    mark, first = given_mark(images, pixel, start)
    walk = _Walk(images, first, tracker, settings)
    pixels, trust = np.full((len(images), 2), np.nan), np.zeros(len(images))
    for order in (np.arange(start, len(images)), np.arange(start, -1, -1)):
        pixels[order], trust[order] = walk.along(order, mark)
    height, width = first.shape[:2]
    # Comparisons with NaN are false.
    inside = (pixels >= 0) & (pixels <= (width - 1, height - 1))
    visible: NDArray[np.bool_] = np.asarray(inside.all(axis=1))
    return Track(np.where(visible[:, None], pixels, np.nan), visible, np.where(visible, trust, 0.0))


@dataclass(frozen=True, eq=False)
class _Walk:
    """One direction through the images."""

    images: ImageSequence
    first: Image
    tracker: PointTracker
    settings: WindowSettings

    def along(self, order: NDArray[np.intp], mark: Array) -> tuple[Array, Array]:
        """Return (M, 2) pixels and (M,) trust in the images of ``order``, the mark's own first."""
        pixels, trust = np.full((len(order), 2), np.nan), np.zeros(len(order))
        pixels[0], trust[0] = mark, 1.0
        length = len(order) if self.tracker.longest is None else self.tracker.longest
        overlap = min(int(self.settings.overlap * length), length - 2)
        seed, reached = 0, 0
        while reached < len(order) - 1:
            begin = max(seed + 1, reached + 1 - overlap)
            rows = np.arange(begin, min(begin + length - 1, len(order)))
            found, trusted = self._window(order[[seed, *rows]], pixels[seed])
            better = trusted > trust[rows]
            pixels[rows[better]], trust[rows[better]] = found[better], trusted[better]
            reached = int(rows[-1])
            sure = trust[: reached + 1] >= self.settings.neighbours.confident
            seed = next_seed(sure, seed, overlap)
        return pixels, trust

    def _window(self, numbers: NDArray[np.intp], mark: Array) -> tuple[Array, Array]:
        """Return (W - 1, 2) pixels and trust in all W images but the first, which has the mark."""
        height, width = self.first.shape[:2]
        near = neighbours(mark, width, height, self.settings.neighbours)
        grid = support_grid(width, height, self.settings.neighbours.grid)
        points = np.concatenate([near, grid])
        tracks = self.tracker.track_points(self._decoded(numbers.tolist()), points)
        shape = (len(numbers), len(points))
        if tracks.pixels.shape != (*shape, 2) or tracks.trust.shape != shape:
            raise TrackingError(
                f"the tracker was given {shape[0]} images and {shape[1]} points and returned "
                f"pixels of shape {tracks.pixels.shape} and trust of {tracks.trust.shape}"
            )
        of_mark = PointTracks(tracks.pixels[:, : len(near)], tracks.trust[:, : len(near)])
        pixels, trust = judge(of_mark, near, width, self.settings.neighbours)
        return pixels[1:], trust[1:]

    def _decoded(self, numbers: Sequence[int]) -> Iterator[Image]:
        for number in numbers:
            image = self.images[number]
            check_size(image, self.first, number)
            yield image


def next_seed(sure: NDArray[np.bool_], seed: int, overlap: int) -> int:
    """Return where the next window starts.

    Args:
        sure: (R,) images in which the mark is certain, in the order of the walk.
        seed: Where the last window started.
        overlap: By how many images the windows overlap at most.

    Returns:
        The last certain image, or one up to ``overlap`` before the end while the mark was certain
        all along; ``seed`` where it was certain in none since.
    """
    last = int(np.flatnonzero(sure)[-1])
    unsure = np.flatnonzero(~sure[: last + 1])
    since = int(unsure[-1]) + 1 if len(unsure) else 0
    return min(last, max(seed, since, len(sure) - 1 - overlap))


def sliding(frames: Iterable[T], step: int) -> Iterator[list[T]]:
    """Yield windows of ``2 * step`` frames, each ``step`` after the one before.

    Only the last window is shorter, and still longer than ``step`` unless it is the only one: it
    always holds the last frame, and no window holds nothing new. At most one window is kept.
    """
    kept: list[T] = []
    fresh = 0
    for frame in frames:
        kept.append(frame)
        fresh += 1
        if len(kept) == 2 * step:
            yield list(kept)
            del kept[:step]
            fresh = 0
    if fresh:
        yield kept
