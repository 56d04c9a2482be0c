# SPDX-License-Identifier: Apache-2.0
"""In which stretches of a sequence the camera stood still, by its images alone.

Images at a regular distance are compared with the one before, and with the first of their stretch
(corners of the background, as between the episodes of a data set); where the camera has moved, or
nothing can be said, a bisection finds the image from which on. Neighbouring stretches whose median
backgrounds are alike were one: the robot only hid the background in between.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.ndds import NddsError
from calib_all_ros.dataset.background import WIDTH_PX, Likeness, background_of, likeness
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.rectification import shrink
from calib_all_ros.recording.recording import Recording

# Images of a camera that is being moved are not worth a solve.
SHORTEST = 10
MOVED_M, MOVED_DEG = 0.005, 0.3
_CACHED_IMAGES = 32
# So many pairs of images show whether there is a background to compare at all.
_PROBES = 100


def still_by_images(
    recording: Recording, step: int, on_progress: Callable[[int, int], None] | None = None
) -> list[range]:
    """Return the stretches of images in which the camera stood still.

    Args:
        recording: The sequence.
        step: Every so many images one is looked at.
        on_progress: Called with (images passed, images in total).

    Returns:
        Ascending ranges of image indices, at least `SHORTEST` long; images that are in none were
        taken by a camera in motion.

    Raises:
        NddsError: Hardly any two neighbouring images show the same background.
        RecordingError: An image cannot be read.
    """
    scale = min(1.0, WIDTH_PX / recording.camera.width)

    @lru_cache(maxsize=_CACHED_IMAGES)
    def small(index: int) -> NDArray[np.uint8]:
        grey = cv2.cvtColor(recording.images[index], cv2.COLOR_RGB2GRAY)
        return np.asarray(shrink(grey, scale), dtype=np.uint8)

    last = len(recording) - 1
    looked_at = [*range(0, last, step), last]
    pairs = list(pairwise(looked_at))
    probes = pairs[:: -(-len(pairs) // _PROBES)]
    said = [likeness(small(before), small(after)) for before, after in probes]
    if 2 * said.count(Likeness.UNKNOWN) > len(said):
        raise NddsError(
            f"the images of {recording.source} do not show one background from one to the next: "
            "the camera never stands still, or there is too little background to tell; if it does "
            "stand still, give --segments annotations or none"
        )
    starts = [0]
    for before, after in pairs:
        while not _still(small, starts[-1], before, after):
            lower, upper = before, after
            while upper - lower > 1:
                middle = (lower + upper) // 2
                if _still(small, starts[-1], before, middle):
                    lower = middle
                else:
                    upper = middle
            starts.append(upper)
            before = upper
        if on_progress is not None:
            on_progress(after + 1, len(recording))
    ends = [*starts[1:], len(recording)]
    return _joined(recording, [range(s, e) for s, e in zip(starts, ends, strict=True)])


def still_by_annotations(T_camera_base: NDArray[np.float64]) -> list[range]:
    """Return the stretches in which the annotated (N, 4, 4) poses stay where each began."""
    starts = [0]
    for index in range(1, len(T_camera_base)):
        degrees, metres = se3.difference(T_camera_base[index], T_camera_base[starts[-1]])
        if degrees > MOVED_DEG or metres > MOVED_M:
            starts.append(index)
    ends = [*starts[1:], len(T_camera_base)]
    return [range(s, e) for s, e in zip(starts, ends, strict=True) if e - s >= SHORTEST]


def _still(small: Callable[[int], NDArray[np.uint8]], first: int, before: int, after: int) -> bool:
    """Whether an image shows the background of an earlier one, and not a shifted first one."""
    if before == after:
        return True
    if likeness(small(before), small(after)) is not Likeness.SAME:
        return False
    return likeness(small(first), small(after)) is not Likeness.MOVED


def _joined(recording: Recording, stretches: list[range]) -> list[range]:
    """Join neighbours whose backgrounds are alike, and leave out what is too short."""
    long = [stretch for stretch in stretches if len(stretch) >= SHORTEST]
    joined: list[range] = []
    for stretch in long:
        if joined:
            backgrounds = [background_of(recording.subset(part)) for part in (joined[-1], stretch)]
            if likeness(*backgrounds) is Likeness.SAME:
                joined[-1] = range(joined[-1].start, stretch.stop)
                continue
        joined.append(stretch)
    return joined
