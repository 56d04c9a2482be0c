# SPDX-License-Identifier: Apache-2.0
"""A new dataset with more features; the original stays as it is.

Videos are hard links where the file system allows them; data files are written anew, row group by
row group. The new folder appears when everything is in it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calib_all_ros.lerobot.added_features import (
    ANNOTATION,
    CALIBRATION,
    AddedFeature,
    EpisodeColumn,
    FeatureSource,
)
from calib_all_ros.lerobot.address import INFO_FILE, LerobotError
from calib_all_ros.lerobot.data_files import DataRewriter, aggregate, as_document
from calib_all_ros.lerobot.dataset import (
    EPISODES_LINES,
    EPISODES_TABLES,
    V21,
    LerobotDataset,
)
from calib_all_ros.lerobot.tables import EXTRA, parquet, read_json_lines
from calib_all_ros.models.libraries import require

STATS_FILE = "meta/stats.json"
EPISODES_STATS_LINES = "meta/episodes_stats.jsonl"
DATA_PATTERN = "data/*/*.parquet"
_OWN = (f"{CALIBRATION}.", f"{ANNOTATION}.")
# Nothing changes these in place, so that sharing them with the original is safe.
_LINKED = ("videos", "images")

OnFile = Callable[[int, int], None]


def write_features(
    dataset: LerobotDataset,
    out: Path | str,
    sources: Sequence[FeatureSource],
    *,
    columns: Sequence[EpisodeColumn] = (),
    on_progress: OnFile | None = None,
) -> Path:
    """Write a dataset of the same version with more features.

    Features of this package that are already there are replaced; `added_features.kept_values` hands
    on what they were.

    Args:
        dataset: The original.
        out: Folder of the new one; it must not exist, or be empty.
        sources: The features and their values.
        columns: What is added to the metadata of the episodes.
        on_progress: Called with the number of data files written, and of all.

    Returns:
        The new folder.

    Raises:
        LerobotError: The features do not fit, the original is damaged, or the folder cannot be
            written to.
        ModelUnavailableError: pyarrow is not installed.
    """
    rewriter = DataRewriter(dataset, sources)
    _check(dataset, rewriter.features)
    target = Path(out).expanduser().absolute()
    with _new_folder(dataset, target) as staging:
        files = sorted(dataset.path.glob(DATA_PATTERN))
        for number, path in enumerate(files):
            rewriter.rewrite(path, staging / path.relative_to(dataset.path))
            if on_progress is not None:
                on_progress(number + 1, len(files))
        missing = sorted(set(dataset.episode_indices) - set(rewriter.statistics))
        if missing:
            raise LerobotError(
                f"{dataset.path} has no data of {len(missing)} episodes, the first of them "
                f"{missing[0]}: the dataset is not complete"
            )
        written = {path.relative_to(dataset.path) for path in files}
        written |= _write_metadata(dataset, staging, rewriter, columns)
        _bring_the_rest(dataset.path, staging, written)
    return target


def _check(dataset: LerobotDataset, features: Sequence[AddedFeature]) -> None:
    keys = [feature.key for feature in features]
    for key in keys:
        if "/" in key or not key.startswith(_OWN):
            raise LerobotError(
                f"{key} cannot be added to {dataset.path}: names of added features begin with "
                f"{' or '.join(_OWN)} and have no '/'"
            )
    if len(set(keys)) != len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise LerobotError(
            f"two cameras of {dataset.path} would share {', '.join(twice)}: write them into two "
            "datasets"
        )


def _write_metadata(
    dataset: LerobotDataset,
    staging: Path,
    rewriter: DataRewriter,
    columns: Sequence[EpisodeColumn],
) -> set[Path]:
    """Write info, statistics and episodes; return the files, relative to the dataset."""
    keys = {feature.key for feature in rewriter.features}

    def less_added(document: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in document.items() if key not in keys}

    described = less_added(dataset.info["features"])
    described |= {feature.key: feature.entry() for feature in rewriter.features}
    contents = {INFO_FILE: _json({**dataset.info, "features": described})}
    if (dataset.path / STATS_FILE).is_file():
        stats = less_added(json.loads((dataset.path / STATS_FILE).read_text(encoding="utf-8")))
        episodes = list(rewriter.statistics.values())
        for key in dict.fromkeys(key for summaries in episodes for key in summaries):
            stats[key] = as_document(aggregate([summaries[key] for summaries in episodes]))
        contents[STATS_FILE] = _json(stats)
    if dataset.version == V21:
        rows = [
            {**row, **{c.name: c.values.get(int(row["episode_index"])) for c in columns}}
            for row in dataset.rows
        ]
        contents[EPISODES_LINES] = _json_lines(rows)
        if (dataset.path / EPISODES_STATS_LINES).is_file():
            rows = read_json_lines(dataset.path / EPISODES_STATS_LINES)
            for row in rows:
                added = rewriter.statistics[int(row["episode_index"])]
                row["stats"] = less_added(row["stats"]) | {
                    key: as_document(summary) for key, summary in added.items()
                }
            contents[EPISODES_STATS_LINES] = _json_lines(rows)
    for name, text in contents.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_text(text, encoding="utf-8")
    tables = [] if dataset.version == V21 else sorted(dataset.path.glob(EPISODES_TABLES))
    for path in tables:
        _rewrite_episodes(path, staging / path.relative_to(dataset.path), rewriter, columns)
    return {*map(Path, contents), *(path.relative_to(dataset.path) for path in tables)}


def _json(document: Any) -> str:
    # LeRobot indents by four.
    return json.dumps(document, indent=4, ensure_ascii=False, allow_nan=False)


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows)


def _rewrite_episodes(
    path: Path, target: Path, rewriter: DataRewriter, columns: Sequence[EpisodeColumn]
) -> None:
    """Write a table of episodes with the added columns and the statistics of added features."""
    pa = require("pyarrow", EXTRA)
    table = parquet().read_table(path)
    indices = [int(i) for i in table.column("episode_index").to_pylist()]
    added = {
        column.name: pa.array([column.values.get(i) for i in indices], _arrow_type(column.kind))
        for column in columns
    }
    for feature in rewriter.features:
        documents = [as_document(rewriter.statistics[i].get(feature.key, {})) for i in indices]
        depth = "list<list<list<double>>>" if feature.is_image else "list<double>"
        for name in documents[0] if documents else ():
            kind = pa.list_(pa.int64()) if name == "count" else _arrow_type(depth)
            values = [document[name] for document in documents]
            added[f"stats/{feature.key}/{name}"] = pa.array(values, kind)
    replaced = tuple(f"stats/{feature.key}/" for feature in rewriter.features)
    stale = [n for n in table.column_names if n in added or n.startswith(replaced)]
    table = table.drop_columns(stale)
    for name, values in added.items():
        table = table.append_column(name, values)
    # The schema that the `datasets` library may have left there lacks the new columns.
    metadata = {k: v for k, v in (table.schema.metadata or {}).items() if k != b"huggingface"}
    target.parent.mkdir(parents=True, exist_ok=True)
    parquet().write_table(table.replace_schema_metadata(metadata or None), target)


def _arrow_type(kind: str) -> Any:
    pa = require("pyarrow", EXTRA)
    if kind.startswith("list<"):
        return pa.list_(_arrow_type(kind[len("list<") : -1]))
    return {"string": pa.string(), "double": pa.float64()}[kind]


def _bring_the_rest(source: Path, staging: Path, written: set[Path]) -> None:
    """Link or copy every file that was not written; the hub's own notes stay behind."""
    for folder, folders, names in os.walk(source):
        here = Path(folder).relative_to(source)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            relative = here / name
            if relative in written:
                continue
            place = staging / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            # In the hub's cache, files are links to blobs.
            original = (source / relative).resolve()
            if relative.parts[0] not in _LINKED or not _linked(original, place):
                shutil.copy2(original, place)


def _linked(original: Path, place: Path) -> bool:
    try:
        place.hardlink_to(original)
    except OSError:  # another file system, or one without hard links
        return False
    return True


@contextmanager
def _new_folder(dataset: LerobotDataset, target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside the target that takes its place at success."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise LerobotError(f"{target} exists already: name a new folder for the dataset")
    if target.is_relative_to(dataset.path.resolve()):
        raise LerobotError(f"{target} lies in the original dataset: name a folder outside of it")
    staging = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield staging
        staging.chmod(0o777 & ~_umask())
        staging.replace(target)
    except BaseException as error:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, OSError):
            raise LerobotError(
                f"cannot write the dataset {target} ({error.strerror or error}): choose a place "
                "with space that you can write to"
            ) from error
        raise


def _umask() -> int:
    """Return the process's file mode mask, which POSIX only tells while setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
