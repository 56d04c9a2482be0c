# SPDX-License-Identifier: Apache-2.0
"""Data files with added columns, and the statistics of these.

Statistics are laid out as LeRobot computes those of its own features: both versions of the format
keep minimum, maximum, mean, standard deviation and count; version 3.0 also quantiles. Pictures are
counted by channel, from 0 to 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.lerobot.added_features import AddedFeature, FeatureSource, Values
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.dataset import V30, LerobotDataset
from calib_all_ros.lerobot.tables import EXTRA, parquet
from calib_all_ros.models.libraries import require

_HUB_SCHEMA = b"huggingface"
Array = NDArray[np.float64]
Statistics = dict[str, Array]
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
# LeRobot, too, looks at some images of an episode only.
_MOST_IMAGES = 20


class DataRewriter:
    """Adds columns to data files; holds the values of one episode at a time.

    Args:
        dataset: The dataset.
        sources: Features and their values.

    Attributes:
        features: The added features.
        statistics: Of each episode written so far, those of each feature.
        lengths: Number of frames of each such episode.
    """

    def __init__(self, dataset: LerobotDataset, sources: Sequence[FeatureSource]) -> None:
        self._dataset, self._sources = dataset, sources
        self.features = [feature for source in sources for feature in source.features]
        self._current: tuple[int, Values] | None = None
        self.statistics: dict[int, dict[str, Statistics]] = {}
        self.lengths: dict[int, int] = {}

    def rewrite(self, path: Path, target: Path) -> None:
        """Write a data file with the added columns, its row groups as they were.

        Raises:
            LerobotError: The file is damaged, or the values do not fit its frames.
        """
        pq, pa = parquet(), require("pyarrow", EXTRA)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = pq.ParquetFile(path)
            writer = None
            for group in range(file.metadata.num_row_groups):
                if file.metadata.row_group(group).num_rows:
                    table = self._extended(file.read_row_group(group), path)
                    writer = writer or pq.ParquetWriter(target, table.schema, compression="snappy")
                    writer.write_table(table.cast(writer.schema))
            if writer is not None:
                writer.close()
        except pa.ArrowException as error:
            raise LerobotError(f"{path} cannot be read ({error}): it is damaged") from None

    def _extended(self, table: Any, path: Path) -> Any:
        keys = {feature.key for feature in self.features}
        table = table.drop_columns([name for name in table.column_names if name in keys])
        parts: dict[str, list[Any]] = {key: [] for key in keys}
        episodes = table.column("episode_index").to_numpy()
        frames = table.column("frame_index").to_numpy()
        starts = np.flatnonzero(np.diff(episodes, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(episodes)], strict=True):
            index, shown = int(episodes[start]), frames[start:end]
            values = self._values(index)
            length = self.lengths[index]
            if not ((shown >= 0) & (shown < length)).all():
                raise LerobotError(
                    f"{path} holds frame {shown.max()} of episode {index}, which the metadata say "
                    f"has {length}: the dataset is damaged"
                )
            for feature in self.features:
                column = values[feature.key]
                if feature.is_number:
                    parts[feature.key].append(column[shown])
                else:
                    parts[feature.key] += [column[frame] for frame in shown]
        for feature in self.features:
            rows = parts[feature.key]
            joined: Any = np.concatenate(rows) if feature.is_number else rows
            table = table.append_column(feature.key, feature.column(joined))
        return table.replace_schema_metadata(_metadata(table.schema.metadata, self.features))

    def _values(self, index: int) -> Values:
        """Return the values of all features in an episode, and keep their statistics."""
        if self._current is not None and self._current[0] == index:
            return self._current[1]
        episode = self._dataset.episode(index)
        collected: dict[str, Sequence[Any]] = {}
        statistics: dict[str, Statistics] = {}
        for source in self._sources:
            collected |= source.checked(episode)
            for feature in source.features:
                values = collected[feature.key]
                summary = episode_statistics(feature, values, self._dataset.version)
                if summary is not None:
                    statistics[feature.key] = summary
        self.statistics[index], self.lengths[index] = statistics, episode.length
        self._current = index, collected
        return collected


def _metadata(
    metadata: dict[bytes, bytes] | None, features: Sequence[AddedFeature]
) -> dict[bytes, bytes] | None:
    """Add features to what the `datasets` library says of the columns, if it does."""
    if not metadata or _HUB_SCHEMA not in metadata:
        return metadata
    hub = json.loads(metadata[_HUB_SCHEMA])
    described = hub.setdefault("info", {}).setdefault("features", {})
    described |= {feature.key: feature.hub_description() for feature in features}
    return {**metadata, _HUB_SCHEMA: json.dumps(hub).encode()}


def episode_statistics(
    feature: AddedFeature, values: Sequence[Any], version: str
) -> Statistics | None:
    """Return the statistics of a feature in one episode as arrays by name; None for strings.

    Args:
        feature: The feature.
        values: (N,) its values, see `AddedFeature.column`.
        version: "v2.1" or "v3.0".
    """
    if feature.is_image:
        step = -(-len(values) // _MOST_IMAGES)
        return _of_images(feature, values[:: max(step, 1)], version)
    if not feature.is_number:
        return None
    numbers = np.asarray(values, dtype=np.float64).reshape(len(values), *feature.shape)
    return _summary(numbers, len(numbers), version)


def aggregate(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of episodes together, as LeRobot adds them up.

    Quantiles cannot be added up: of the lower ones the lowest is kept, of the upper ones the
    highest.
    """
    counts = np.array([part["count"][0] for part in parts])
    weights = counts / counts.sum()
    means = np.stack([part["mean"] for part in parts])
    mean = np.tensordot(weights, means, axes=1)
    squares = np.stack([part["std"] for part in parts]) ** 2 + (means - mean) ** 2
    whole = {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(np.tensordot(weights, squares, axes=1)),
        "count": counts.sum(keepdims=True),
    }
    for name, share in QUANTILES.items():
        if name in parts[0]:
            bound = np.min if share <= 0.5 else np.max
            whole[name] = bound([part[name] for part in parts], axis=0)
    return whole


def as_document(statistics: Mapping[str, Array]) -> dict[str, Any]:
    """Return statistics as JSON has them: lists, the count an integer."""
    return {
        name: value.astype(np.int64).tolist() if name == "count" else value.tolist()
        for name, value in statistics.items()
    }


def _of_images(feature: AddedFeature, files: Sequence[bytes], version: str) -> Statistics:
    scale = 1.0 if feature.info.get("is_depth_map") else 255.0
    pixels = []
    for content in files:
        decoded: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None or decoded.size != np.prod(feature.shape):
            raise LerobotError(f"a picture of {feature.key} is no PNG of the shape {feature.shape}")
        # OpenCV has the channels in the order blue, green, red.
        pixels.append(decoded.reshape(-1, feature.shape[-1])[:, ::-1] / scale)
    summary = _summary(np.concatenate(pixels), len(files), version)
    return {
        name: value if name == "count" else value.reshape(-1, 1, 1)
        for name, value in summary.items()
    }


def _summary(values: Array, count: int, version: str) -> Statistics:
    lowest, highest = values.min(axis=0), values.max(axis=0)
    quantiles = QUANTILES if version == V30 else {}
    counted = np.array([float(count)])
    if np.array_equal(lowest, highest):
        # As it is with a calibration; a dataset has many episodes, whose statistics are all held.
        same = dict.fromkeys(("min", "max", "mean", *quantiles), lowest)
        return {**same, "std": np.zeros_like(lowest), "count": counted}
    shares = np.quantile(values, list(quantiles.values()), axis=0) if quantiles else ()
    return {
        "min": lowest,
        "max": highest,
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": counted,
        **dict(zip(quantiles, shares, strict=True)),
    }
