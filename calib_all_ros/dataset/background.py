# SPDX-License-Identifier: Apache-2.0
"""Agreement of two episodes' backgrounds: whether one camera in one place saw both.

The background of an episode is the median of some of its images, in which the moving robot takes
little part. Corners of one background are found again in the other (pyramidal Lucas-Kanade, forth
and back); what most of them do in common is the camera's motion between the episodes. This decides
only which episodes are tried together: the poses have the last word.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.rectification import shrink
from calib_all_ros.monitoring.background import (
    MIN_CORNERS,
    common_motion,
    flattened_grey,
    spread_corners,
)
from calib_all_ros.recording.recording import Recording

WIDTH_PX = 320
IMAGES = 9
# Backgrounds displaced by more, root mean square in pixels of this width, are of a moved camera.
MOVED_PX = 0.4
LOOK_BACK = 8
_WINDOW_PX = 15
_PYRAMID_LEVELS = 4
_RETURN_PX = 0.5
# Of the corners so many must be found again, and move in common, for a comparison to count.
_FOUND_SHARE = 0.3
_COHERENT_SHARE = 0.5


class Likeness(enum.Enum):
    """What two backgrounds say about their cameras."""

    SAME = "same"
    MOVED = "moved"
    UNKNOWN = "unknown"


def background_of(recording: Recording) -> NDArray[np.uint8]:
    """Return the (h, w) grey median of images spread over a recording, at most 320 wide.

    Raises:
        RecordingError: An image cannot be read.
    """
    chosen = np.unique(np.linspace(0, len(recording) - 1, IMAGES).round().astype(int))
    scale = min(1.0, WIDTH_PX / recording.camera.width)
    grey = [
        shrink(cv2.cvtColor(recording.images[int(i)], cv2.COLOR_RGB2GRAY), scale) for i in chosen
    ]
    return np.asarray(np.median(np.stack(grey), axis=0), dtype=np.uint8)


def displacement_px(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float | None:
    """Return by how much one background is displaced against another.

    Args:
        first: (h, w) grey.
        second: (h, w) grey.

    Returns:
        Root mean square displacement of the corners that move in common, pixels; None where too
        few corners are found again, or they do not move in common.
    """
    if first.shape != second.shape:
        return None
    one, other = flattened_grey(first), flattened_grey(second)
    corners = spread_corners(one, np.ones(one.shape, dtype=bool))
    if len(corners) < MIN_CORNERS:
        return None
    options: dict[str, Any] = {"winSize": (_WINDOW_PX, _WINDOW_PX), "maxLevel": _PYRAMID_LEVELS}
    # Where to is an output, for which OpenCV's types know no None.
    nothing: Any = None
    forth, there, _ = cv2.calcOpticalFlowPyrLK(one, other, corners[:, None], nothing, **options)
    back, again, _ = cv2.calcOpticalFlowPyrLK(other, one, forth, nothing, **options)
    returned = np.linalg.norm(back[:, 0] - corners, axis=1) < _RETURN_PX
    found = (there[:, 0] > 0) & (again[:, 0] > 0) & returned
    if np.count_nonzero(found) < max(MIN_CORNERS, _FOUND_SHARE * len(corners)):
        return None
    start, end = corners[found], forth[found, 0]
    motion, coherent = common_motion(start, end)
    if motion is None or np.mean(coherent) < _COHERENT_SHARE:
        return None
    shift = (start @ motion[:, :2].T + motion[:, 2] - start)[coherent]
    return float(np.sqrt(np.square(shift).sum(axis=1).mean()))


def likeness(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Likeness:
    """Return what two (h, w) backgrounds say about their cameras."""
    displaced = displacement_px(first, second)
    if displaced is None:
        return Likeness.UNKNOWN
    return Likeness.MOVED if displaced > MOVED_PX else Likeness.SAME


def alike(
    backgrounds: Sequence[Callable[[], NDArray[np.uint8]]],
    on_progress: Callable[[], None] | None = None,
) -> list[list[int]]:
    """Group backgrounds of one camera: each joins a group whose first or latest member it is like.

    A group is compared by its first member, so that a camera that creeps is split, and by its
    latest, so that a room that changes slowly stays together; neither may show a motion. The
    `LOOK_BACK` groups that were added to last are tried, the latest first.

    Args:
        backgrounds: Each returns one, (h, w) grey, in the order of recording.
        on_progress: Called after each.

    Returns:
        Groups of indices, in the order of their first members.
    """
    groups: list[list[int]] = []
    for index, read in enumerate(backgrounds):
        present = read()
        # The camera most likely stands where it stood last.
        recent = sorted(groups, key=lambda group: -group[-1])[:LOOK_BACK]
        for group in recent:
            shown = {likeness(backgrounds[i](), present) for i in {group[0], group[-1]}}
            if Likeness.SAME in shown and Likeness.MOVED not in shown:
                group.append(index)
                break
        else:
            groups.append([index])
        if on_progress:
            on_progress()
    return groups
