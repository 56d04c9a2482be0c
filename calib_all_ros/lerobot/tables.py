# SPDX-License-Identifier: Apache-2.0
"""The Parquet and JSON files of a dataset, as far as they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.models.libraries import require

EXTRA = "datasets"


def parquet() -> Any:
    """Return the module pyarrow.parquet.

    Raises:
        ModelUnavailableError: It is not installed.
    """
    return require("pyarrow.parquet", EXTRA)


@contextmanager
def _reading(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Turn these errors, and those of the file system, into a LerobotError that names the file."""
    expected: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except expected as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise LerobotError(
            f"{path} cannot be read ({reason}): the dataset is not complete"
        ) from None


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        LerobotError: It is missing or broken.
    """
    with _reading(path, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON Lines file.

    Raises:
        LerobotError: It is missing or broken.
    """
    with _reading(path, ValueError), path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


class ArrowRows(Sequence[Mapping[str, Any]]):
    """The rows of Parquet files, as dictionaries that are made when they are asked for.

    Args:
        paths: Files of one schema.
        leave_out: Columns whose names begin so are not read.

    Raises:
        LerobotError: A file cannot be read.
    """

    def __init__(self, paths: Sequence[Path], leave_out: str) -> None:
        pq, pa = parquet(), require("pyarrow", EXTRA)
        tables = []
        for path in paths:
            with _reading(path, pa.ArrowException):
                file = pq.ParquetFile(path)
                names = [n for n in file.schema_arrow.names if not n.startswith(leave_out)]
                tables.append(file.read(columns=names))
        self._table = pa.concat_tables(tables, promote_options="permissive")

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: Any) -> Any:
        rows: list[dict[str, Any]] = self._table.slice(range(len(self))[index], 1).to_pylist()
        return rows[0]

    def column(self, name: str) -> list[Any]:
        """Return all values of a column."""
        values: list[Any] = self._table.column(name).to_pylist()
        return values


def read_columns(path: Path, episode: int, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read numbers of one episode.

    Args:
        path: Data file, which may hold other episodes too.
        episode: Number of the episode.
        keys: Columns of numbers or of lists of numbers, of any depth.

    Returns:
        For each column (N, ...) values, in the order of the frames.

    Raises:
        LerobotError: The file cannot be read, a column is missing, its lists differ in length, or
            the episode is not in it.
    """
    pq, pa = parquet(), require("pyarrow", EXTRA)
    with _reading(path, pa.ArrowException):
        present = pq.read_schema(path).names
        missing = [key for key in keys if key not in present]
        if missing:
            raise LerobotError(
                f"{path} has no column {', '.join(missing)}; it has: {', '.join(present)}"
            )
        wanted = list(dict.fromkeys([*keys, "frame_index"]))
        table = pq.read_table(path, columns=wanted, filters=[("episode_index", "=", episode)])
    if not table.num_rows:
        raise LerobotError(f"{path} holds no frame of episode {episode}: the dataset is damaged")
    table = table.sort_by("frame_index")
    columns = {}
    for key in keys:
        try:
            columns[key] = _dense(table.column(key))
        except (ValueError, pa.ArrowException) as error:
            raise LerobotError(f"{key} in {path} is no array of numbers ({error})") from None
    return columns


def rows_of(path: Path, episode: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the frames of an episode are in a data file.

    Returns:
        (N,) numbers of its rows in the order of the frames, and (G + 1,) where row groups begin.

    Raises:
        LerobotError: The file cannot be read.
    """
    pq, pa = parquet(), require("pyarrow", EXTRA)
    with _reading(path, pa.ArrowException):
        file = pq.ParquetFile(path)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        table = file.read(columns=["episode_index", "frame_index"])
    rows = np.flatnonzero(table.column("episode_index").to_numpy() == episode)
    order = np.argsort(table.column("frame_index").to_numpy()[rows], kind="stable")
    return rows[order].astype(np.int64), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _dense(column: Any) -> NDArray[Any]:
    """Turn a chunked array of numbers or nested lists of equal lengths into an array."""
    lengths_of = require("pyarrow.compute", EXTRA).list_value_length
    values = column.combine_chunks()
    if hasattr(values, "chunks"):
        values = values.chunk(0)
    values = getattr(values, "storage", values)
    shape = [len(values)]
    while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
        lengths = set(lengths_of(values).to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise ValueError("its lists differ in length")
        values = values.flatten()
        values = getattr(values, "storage", values)
        shape.append(lengths.pop())
    numbers: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers.reshape(shape)
