# SPDX-License-Identifier: Apache-2.0
"""Writing data files anew with more columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calib_all_ros.lerobot.added_features import AddedFeature, FeatureSource, Values, values_of
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.statistics import Statistics, episode_statistics
from calib_all_ros.lerobot.tables import EXTRA, parquet
from calib_all_ros.models.libraries import require

_HUB_SCHEMA = b"huggingface"


class DataRewriter:
    """Adds columns to data files; holds the values of one episode at a time.

    Args:
        dataset: The dataset.
        sources: Features and their values.

    Attributes:
        statistics: Of each episode written so far, those of each feature.
        lengths: Number of frames of each such episode.
    """

    def __init__(self, dataset: LerobotDataset, sources: Sequence[FeatureSource]) -> None:
        self._dataset, self._sources = dataset, sources
        self._features = [feature for source in sources for feature in source.features]
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
            schema = None
            writer = None
            for group in range(file.metadata.num_row_groups):
                if not file.metadata.row_group(group).num_rows:
                    continue
                table = self._extended(file.read_row_group(group), path)
                if writer is None:
                    schema = table.schema
                    writer = pq.ParquetWriter(target, schema, compression="snappy")
                writer.write_table(table.cast(schema))
            if writer is not None:
                writer.close()
        except pa.ArrowException as error:
            raise LerobotError(f"{path} cannot be read ({error}): it is damaged") from None

    def _extended(self, table: Any, path: Path) -> Any:
        keys = {feature.key for feature in self._features}
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
            for feature in self._features:
                column = values[feature.key]
                if feature.is_number:
                    parts[feature.key].append(column[shown])
                else:
                    parts[feature.key] += [column[frame] for frame in shown]
        for feature in self._features:
            rows = parts[feature.key]
            joined: Any = np.concatenate(rows) if feature.is_number else rows
            table = table.append_column(feature.key, feature.column(joined))
        return table.replace_schema_metadata(_metadata(table.schema.metadata, self._features))

    def _values(self, index: int) -> Values:
        """Return the values of all features in an episode, and keep their statistics."""
        if self._current is not None and self._current[0] == index:
            return self._current[1]
        episode = self._dataset.episode(index)
        collected: dict[str, Sequence[Any]] = {}
        statistics: dict[str, Statistics] = {}
        for source in self._sources:
            collected |= values_of(source, episode)
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
