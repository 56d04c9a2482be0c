# SPDX-License-Identifier: Apache-2.0
"""Writing the metadata of episodes anew: statistics of added features, and more columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calib_all_ros.lerobot.added_features import AddedFeature
from calib_all_ros.lerobot.dataset import (
    EPISODES_LINES,
    EPISODES_TABLES,
    V21,
    LerobotDataset,
)
from calib_all_ros.lerobot.statistics import Statistics, as_document
from calib_all_ros.lerobot.tables import EXTRA, parquet, read_json_lines
from calib_all_ros.models.libraries import require

EPISODES_STATS_LINES = "meta/episodes_stats.jsonl"

EpisodeStatistics = Mapping[int, Mapping[str, Statistics]]


@dataclass(frozen=True)
class EpisodeColumn:
    """What the metadata say of each episode.

    Attributes:
        name: Name of the column.
        kind: "string" or "double", a list of them ("list<string>", "list<double>") or a matrix
            ("list<list<double>>").
        value: Returns the value of an episode, None where nothing is known.
    """

    name: str
    kind: str
    value: Callable[[int], Any]


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file as LeRobot does, indented by four."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=4, ensure_ascii=False, allow_nan=False)
    path.write_text(text, encoding="utf-8")


def rewrite_episodes(
    dataset: LerobotDataset,
    staging: Path,
    features: Sequence[AddedFeature],
    statistics: EpisodeStatistics,
    columns: Sequence[EpisodeColumn],
) -> set[Path]:
    """Write the metadata of the episodes.

    Args:
        dataset: The original.
        staging: Folder of the new one.
        features: The added features.
        statistics: Their statistics by episode and feature.
        columns: What else is added.

    Returns:
        The files, relative to the dataset.

    Raises:
        LerobotError: The original's cannot be read.
    """
    if dataset.version == V21:
        return _rewrite_lines(dataset, staging, features, statistics, columns)
    written = set()
    for path in sorted(dataset.path.glob(EPISODES_TABLES)):
        relative = path.relative_to(dataset.path)
        table = parquet().read_table(path)
        indices = [int(i) for i in table.column("episode_index").to_pylist()]
        added = _columns(indices, columns) | _statistics_columns(indices, features, statistics)
        replaced = [f"stats/{feature.key}/" for feature in features]
        stale = [
            name
            for name in table.column_names
            if name in added or any(name.startswith(prefix) for prefix in replaced)
        ]
        table = table.drop_columns(stale)
        for name, values in added.items():
            table = table.append_column(name, values)
        # The schema that the `datasets` library may have left there lacks the new columns.
        metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != b"huggingface"}
        (staging / relative).parent.mkdir(parents=True, exist_ok=True)
        parquet().write_table(table.replace_schema_metadata(metadata or None), staging / relative)
        written.add(relative)
    return written


def _rewrite_lines(
    dataset: LerobotDataset,
    staging: Path,
    features: Sequence[AddedFeature],
    statistics: EpisodeStatistics,
    columns: Sequence[EpisodeColumn],
) -> set[Path]:
    keys = {feature.key for feature in features}
    lines = [
        {**row, **{c.name: c.value(int(row["episode_index"])) for c in columns}}
        for row in dataset.rows
    ]
    _write_lines(staging / EPISODES_LINES, lines)
    written = {Path(EPISODES_LINES)}
    path = dataset.path / EPISODES_STATS_LINES
    if path.is_file():
        rows = []
        for row in read_json_lines(path):
            own = {key: value for key, value in row["stats"].items() if key not in keys}
            added = statistics[int(row["episode_index"])]
            own |= {key: as_document(summary) for key, summary in added.items()}
            rows.append({**row, "stats": own})
        _write_lines(staging / EPISODES_STATS_LINES, rows)
        written.add(Path(EPISODES_STATS_LINES))
    return written


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def _columns(indices: Sequence[int], columns: Sequence[EpisodeColumn]) -> dict[str, Any]:
    pa = require("pyarrow", EXTRA)
    return {
        column.name: pa.array([column.value(i) for i in indices], _arrow_type(column.kind))
        for column in columns
    }


def _statistics_columns(
    indices: Sequence[int],
    features: Sequence[AddedFeature],
    statistics: EpisodeStatistics,
) -> dict[str, Any]:
    pa = require("pyarrow", EXTRA)
    columns = {}
    for feature in features:
        documents = [as_document(statistics[i].get(feature.key, {})) for i in indices]
        depth = "list<list<list<double>>>" if feature.is_image else "list<double>"
        for name in documents[0] if documents else ():
            kind = pa.list_(pa.int64()) if name == "count" else _arrow_type(depth)
            values = [document[name] for document in documents]
            columns[f"stats/{feature.key}/{name}"] = pa.array(values, kind)
    return columns


def _arrow_type(kind: str) -> Any:
    pa = require("pyarrow", EXTRA)
    if kind.startswith("list<"):
        return pa.list_(_arrow_type(kind[len("list<") : -1]))
    return {"string": pa.string(), "double": pa.float64()}[kind]
