# SPDX-License-Identifier: Apache-2.0
"""The images of an episode, decoded when they are asked for, from videos (PyAV) or data files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.tables import EXTRA, parquet, rows_of
from calib_all_ros.models.libraries import require
from calib_all_ros.recording.folder import check_size, read_bytes
from calib_all_ros.recording.image_coding import decode_compressed
from calib_all_ros.recording.recording import RgbImage

# Several stages look at the same few images one after the other.
_KEPT = 8
# Of a frame's duration. A video that is off by more shows another frame than was meant.
_TOLERANCE = 0.25
# As far ahead, decoding on is cheaper than looking for a key frame.
_DECODE_ON_S = 0.7


class EpisodeImages:
    """RGB uint8 (H, W, 3) images of one episode and camera; the last few are kept.

    Args:
        decode: Returns image ``index``.
        count: Number of images.
        camera: Whose size the images have to have.
        where: Names episode and camera in messages.
    """

    def __init__(
        self, decode: Callable[[int], RgbImage], count: int, camera: Camera, where: str
    ) -> None:
        self._count = count

        @lru_cache(_KEPT)
        def checked(index: int) -> RgbImage:
            image = decode(index)
            check_size(image, camera, f"{where}, frame {index},")
            return image

        self._image = checked

    def __len__(self) -> int:
        """Return the number of images."""
        return self._count

    def __getitem__(self, index: int) -> RgbImage:
        """Decode image ``index`` and check that its size is the camera's."""
        # A copy, because whoever draws into an image would draw into everybody's.
        return np.array(self._image(range(self._count)[index]))


def episode_images(
    dataset: LerobotDataset,
    episode: Episode,
    key: str,
    times_s: NDArray[np.float64],
    camera: Camera,
) -> EpisodeImages:
    """Return the images of a camera, from its video or from the data file.

    Args:
        dataset: The dataset.
        episode: One of its episodes.
        key: Feature of the camera.
        times_s: (N,) times of the images, seconds from the begin of the episode.
        camera: Its intrinsics.

    Raises:
        LerobotError: The data file cannot be read.
        ModelUnavailableError: PyAV is not installed.
    """
    where = f"{key} in episode {episode.index} of {dataset.path}"
    decode: Callable[[int], RgbImage]
    if dataset.features[key].dtype == "video":
        span = episode.videos[key]
        reader = VideoReader(span.path)
        tolerance_s = _TOLERANCE / dataset.fps

        def decode(index: int) -> RgbImage:
            return reader.at(span.from_s + float(times_s[index]), tolerance_s)

    else:
        decode = StoredImages(dataset.path, episode, key).image
    return EpisodeImages(decode, len(times_s), camera, where)


class StoredImages:
    """Images whose files lie in a column of the data file, read by row groups.

    Args:
        root: Folder of the dataset; images that are not embedded are named relative to it.
        episode: The episode.
        key: The column.

    Raises:
        LerobotError: The data file cannot be read.
    """

    def __init__(self, root: Path, episode: Episode, key: str) -> None:
        self._root, self._path, self._key = root, episode.data, key
        self._rows, self._starts = rows_of(episode.data, episode.index)
        self._group: tuple[int, Any] | None = None

    def image(self, index: int) -> RgbImage:
        """Decode image ``index`` of the episode."""
        row = int(self._rows[index])
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if self._group is None or self._group[0] != group:
            table = parquet().ParquetFile(self._path).read_row_group(group, columns=[self._key])
            self._group = group, table.column(0)
        cell = self._group[1][row - int(self._starts[group])].as_py()
        where = f"{self._key} in row {row} of {self._path}"
        return decode_compressed(image_file(cell, self._root, where), where)


def image_file(cell: Any, root: Path, where: str) -> bytes:
    """Return the image file that a cell of a data file holds, or names relative to ``root``.

    Raises:
        LerobotError: There is none; the message names the cell by ``where``.
    """
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not content and isinstance(cell, dict) and cell.get("path"):
        content = read_bytes(root / cell["path"])
    if not isinstance(content, bytes):
        raise LerobotError(f"{where} holds no image: the dataset is not complete")
    return content


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
