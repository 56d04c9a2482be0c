# SPDX-License-Identifier: Apache-2.0
"""A LeRobot dataset of version 2.1 or 3.0: what it holds and where.

The layout is that of LeRobot's own documentation. Version 2.1 has one data file and one video per
episode and its metadata in JSON Lines; version 3.0 puts several episodes into each file and tells
by the episode where in it they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from calib_all_ros.lerobot.address import INFO_FILE, LerobotError
from calib_all_ros.lerobot.tables import ArrowRows, read_json, read_json_lines

V21 = "v2.1"
V30 = "v3.0"
EPISODES_LINES = "meta/episodes.jsonl"
EPISODES_TABLES = "meta/episodes/*/*.parquet"
_PIXELS = ("video", "image")
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        key: Its name in the dataset.
        dtype: "video", "image", "string", or a NumPy type.
        shape: Shape of the value of one frame.
        names: Names of the entries, empty where the dataset gives none; of images, of the axes.
        info: What else is said of it.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_camera(self) -> bool:
        """Whether it is the images of a camera; depth maps and masks are not."""
        return self.dtype in _PIXELS and not self.is_depth and not self.key.startswith("annotation")

    @property
    def is_depth(self) -> bool:
        """Whether it is a depth map, by any of the marks that LeRobot has used."""
        return bool(self.info.get("is_depth_map") or self.info.get("video.is_depth_map"))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of an image feature in pixels.

        Raises:
            LerobotError: It is no image feature.
        """
        if self.dtype not in _PIXELS or len(self.shape) != 3:
            raise LerobotError(f"the feature {self.key} has the shape {self.shape}: it is no image")
        # The axes' names differ between converters, and some name them in the wrong order.
        if self.shape[2] in _CHANNELS:
            return self.shape[1], self.shape[0]
        return self.shape[2], self.shape[1]


def read_features(document: Any, where: str) -> dict[str, Feature]:
    """Return the features of an info.json by their key.

    Raises:
        LerobotError: A feature has no dtype or no shape.
    """
    if not isinstance(document, dict):
        raise LerobotError(f"{where} describes no features: it is no LeRobot dataset")
    features = {}
    for key, entry in document.items():
        try:
            info = {**(entry.get("video_info") or {}), **(entry.get("info") or {})}
            features[key] = Feature(
                key, str(entry["dtype"]), tuple(map(int, entry["shape"])), _names(entry), info
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LerobotError(
                f"{where} does not describe the feature {key} ({error!r}): it needs dtype and shape"
            ) from None
    return features


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Flatten the names: a list, ``{"motors": [...]}``, ``{"left": [...], "right": [...]}``.

    The groups' names are put before those that would otherwise be there twice.
    """
    grouped = list(_flatten(entry.get("names"), ""))
    seen = Counter(name for _, name in grouped)
    return tuple(f"{group}.{name}" if group and seen[name] > 1 else name for group, name in grouped)


def _flatten(names: Any, group: str) -> Iterator[tuple[str, str]]:
    if names is None:
        return
    if isinstance(names, dict):
        if all(isinstance(value, int) for value in names.values()):
            # Some converters write name -> column.
            yield from ((group, str(name)) for name in sorted(names, key=names.__getitem__))
        else:
            for inner, value in names.items():
                yield from _flatten(value, str(inner))
    elif isinstance(names, list):
        for value in names:
            yield from _flatten(value, group)
    else:
        yield group, str(names)


@dataclass(frozen=True)
class VideoSpan:
    """Where the images of an episode are in a video.

    Attributes:
        path: The video.
        from_s: Time of the episode's first image, seconds from the start of the file.
    """

    path: Path
    from_s: float


@dataclass(frozen=True)
class Episode:
    """One episode.

    Attributes:
        index: Its number.
        length: Number of frames.
        data: File of its numbers.
        videos: Where its images are, by camera; none for images that lie in the data file.
    """

    index: int
    length: int
    data: Path
    videos: Mapping[str, VideoSpan]


@dataclass(frozen=True, eq=False)
class LerobotDataset:
    """A dataset that was opened; nothing but its metadata has been read.

    Attributes:
        path: Its folder.
        version: "v2.1" or "v3.0".
        fps: Frames per second.
        robot_type: What the dataset calls its robot, None where it does not say.
        features: Features by key.
        info: Content of meta/info.json.
        rows: What the metadata say of each episode, made when asked for.
        episode_indices: Numbers of the episodes, in the order of ``rows``.
    """

    path: Path
    version: str
    fps: float
    robot_type: str | None
    features: Mapping[str, Feature]
    info: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    episode_indices: tuple[int, ...]

    @classmethod
    def open(cls, path: Path | str) -> LerobotDataset:
        """Read the metadata of a dataset.

        Raises:
            LerobotError: It is no dataset of a version that is read, or not complete.
            ModelUnavailableError: pyarrow is not installed.
        """
        path = Path(path)
        info = read_json(path / INFO_FILE)
        version = info.get("codebase_version") if isinstance(info, dict) else None
        if version not in (V21, V30):
            raise LerobotError(
                f"{path / INFO_FILE} says codebase_version {version!r}: {V21} and {V30} are read, "
                "convert the dataset with LeRobot's own scripts"
            )
        features = read_features(info.get("features"), str(path / INFO_FILE))
        fps = info.get("fps")
        if not isinstance(fps, (int, float)) or not fps > 0:
            raise LerobotError(f"{path / INFO_FILE} has no frame rate: fps is {fps!r}")
        rows, indices = _read_rows(path, version)
        robot = info.get("robot_type")
        robot_type = None if robot in (None, "", "unknown") else str(robot)
        return cls(path, version, float(fps), robot_type, features, info, rows, indices)

    @cached_property
    def _places(self) -> dict[int, int]:
        return {index: place for place, index in enumerate(self.episode_indices)}

    @property
    def cameras(self) -> tuple[str, ...]:
        """Features that are images, depth maps left out."""
        return tuple(key for key, feature in self.features.items() if feature.is_camera)

    def check_camera(self, key: str) -> None:
        """Raise LerobotError unless a feature is the images of a camera."""
        if key not in self.cameras:
            known = ", ".join(self.cameras) or "none"
            raise LerobotError(f"{self.path} has no camera {key}; its cameras are: {known}")

    def row(self, index: int) -> Mapping[str, Any]:
        """Return what the metadata say of an episode.

        Raises:
            LerobotError: There is no such episode.
        """
        place = self._places.get(index)
        if place is None:
            raise LerobotError(
                f"{self.path} has no episode {index}: it has {_ranges(self.episode_indices)}"
            )
        return self.rows[place]

    def episode(self, index: int) -> Episode:
        """Return an episode.

        Raises:
            LerobotError: There is no such episode, or the metadata lack something.
        """
        row = self.row(index)
        try:
            return self._episode(index, row)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise LerobotError(
                f"the metadata of episode {index} of {self.path} are not complete ({error!r})"
            ) from None

    def _episode(self, index: int, row: Mapping[str, Any]) -> Episode:
        v21 = self.version == V21
        numbers = {
            "episode_chunk": index // int(self.info.get("chunks_size") or 1000),
            "episode_index": index,
        }

        def place(kind: str) -> dict[str, Any]:
            return (
                numbers if v21 else {n: row[f"{kind}/{n}"] for n in ("chunk_index", "file_index")}
            )

        videos = {}
        for key in (key for key, feature in self.features.items() if feature.dtype == "video"):
            path = self._path("video_path", video_key=key, **place(f"videos/{key}"))
            from_s = 0.0 if v21 else float(row[f"videos/{key}/from_timestamp"])
            videos[key] = VideoSpan(path, from_s)
        return Episode(index, int(row["length"]), self._path("data_path", **place("data")), videos)

    def _path(self, template: str, **values: Any) -> Path:
        """Fill in one of the templates of info.json; it must not lead out of the dataset."""
        path = Path(str(self.info[template]).format(**values))
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{template} leads out of the dataset")
        return self.path / path


def _read_rows(path: Path, version: str) -> tuple[Sequence[Mapping[str, Any]], tuple[int, ...]]:
    if version == V30:
        tables = sorted(path.glob(EPISODES_TABLES))
        if not tables:
            raise LerobotError(f"{path} has no {EPISODES_TABLES}: the dataset is not complete")
        rows = ArrowRows(tables, leave_out="stats/")
        return rows, tuple(int(i) for i in rows.column("episode_index"))
    lines = read_json_lines(path / EPISODES_LINES)
    try:
        return lines, tuple(int(line["episode_index"]) for line in lines)
    except (KeyError, TypeError, ValueError) as error:
        raise LerobotError(
            f"{path / EPISODES_LINES} does not number its episodes ({error!r})"
        ) from None


def _ranges(indices: Sequence[int]) -> str:
    """Return numbers in words: "0 to 49", or a list where they are few."""
    if not indices:
        return "none"
    if len(indices) > 3 and len(indices) == max(indices) - min(indices) + 1:
        return f"{min(indices)} to {max(indices)}"
    shown = ", ".join(map(str, indices[:10]))
    return shown if len(indices) <= 10 else f"{shown}, … ({len(indices)} in all)"
