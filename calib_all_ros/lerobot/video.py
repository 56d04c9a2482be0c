# SPDX-License-Identifier: Apache-2.0
"""Frames of a video by their time, decoded by PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.tables import EXTRA
from calib_all_ros.models.libraries import require

# As far ahead, decoding on is cheaper than looking for a key frame.
_DECODE_ON_S = 0.7


class VideoReader:
    """Decodes on from the frame before where that is near, and seeks a key frame where not.

    The file is opened with the first frame that is asked for.

    Args:
        path: The video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._av = require("av", EXTRA)
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        # The last two frames: the nearest to a time may be the one before it or the one after.
        self._held: list[Any] = []

    def at(self, time_s: float, tolerance_s: float) -> NDArray[np.uint8]:
        """Return the RGB uint8 (H, W, 3) frame whose time is nearest.

        Args:
            time_s: Seconds from the start of the file's clock.
            tolerance_s: How far away the frame may be.

        Raises:
            LerobotError: The video cannot be read, or holds no frame so near.
        """
        try:
            frame = self._nearest(time_s)
        except (OSError, self._av.FFmpegError) as error:
            raise LerobotError(
                f"{self.path} cannot be decoded at {time_s:.3f} s ({error}): the file is missing, "
                "damaged, or of a codec that this PyAV lacks"
            ) from None
        if frame is None or abs(frame.time - time_s) > tolerance_s:
            nearest = "ends before" if frame is None else f"has its nearest at {frame.time:.4f} s"
            raise LerobotError(
                f"{self.path} has no frame at {time_s:.4f} s (it {nearest}, allowed are "
                f"{tolerance_s:.4f} s): stamps and video of the dataset do not agree"
            )
        image: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
        return image

    def _nearest(self, time_s: float) -> Any:
        """Return the frame nearest to a time, None where the video has none."""
        if not self._held or not self._held[0].time <= time_s <= self._held[-1].time + _DECODE_ON_S:
            self._seek(time_s)
        while self._held and self._held[-1].time < time_s:
            following = next(self._frames, None)
            if following is None:
                break
            self._held = [self._held[-1], following]
        return min(self._held, key=lambda frame: abs(frame.time - time_s), default=None)

    def _seek(self, time_s: float) -> None:
        """Go to a key frame at or before a time, and hold it."""
        if self._container is None:
            self._container = self._av.open(str(self.path))
        stream = self._container.streams.video[0]
        back_s = 0.0
        while True:
            # A file's index is by decoding time, which runs ahead of the time that is shown.
            start = max(int((time_s - back_s) / stream.time_base), 0)
            self._container.seek(start, stream=stream)
            self._frames = self._container.decode(stream)
            self._held = list(islice(self._frames, 1))
            if start == 0 or (self._held and self._held[0].time <= time_s):
                return
            back_s = 2 * back_s + 0.5
