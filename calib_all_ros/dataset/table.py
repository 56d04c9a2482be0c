# SPDX-License-Identifier: Apache-2.0
"""The table of a dataset: CSV and Parquet, one row for every episode and camera."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calib_all_ros.dataset.outcomes import Row
from calib_all_ros.geometry import se3
from calib_all_ros.models.libraries import ModelUnavailableError, require
from calib_all_ros.results.atomic_file import write_atomically

CSV_NAME, PARQUET_NAME = "table.csv", "table.parquet"
_POSITION = ("x_m", "y_m", "z_m")
_QUATERNION = ("qx", "qy", "qz", "qw")
_BETWEEN_SENTENCES = " | "


def flat(row: Row) -> dict[str, Any]:
    """Return a row with a column for each number of its pose ``T_base_camera``."""
    content = {name: getattr(row, name) for name in Row.__dataclass_fields__ if name != "pose"}
    place: dict[str, float | None] = dict.fromkeys((*_POSITION, *_QUATERNION))
    if row.pose is not None:
        T = row.pose.T_base_camera
        numbers = (*T[:3, 3], *se3.quaternion_xyzw(T))
        place = {name: float(value) for name, value in zip(place, numbers, strict=True)}
    return {**content, **place}


def write_csv(folder: Path, rows: Sequence[Row]) -> Path:
    """Write ``table.csv``: causes and reasons joined, empty cells where something is not known.

    Raises:
        ResultError: It cannot be written.
    """
    text = io.StringIO()
    table = [flat(row) for row in rows]
    writer = csv.DictWriter(text, list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    for content in table:
        joined = {
            name: _BETWEEN_SENTENCES.join(value) if isinstance(value, tuple) else value
            for name, value in content.items()
        }
        writer.writerow(joined)
    path = folder / CSV_NAME
    write_atomically(path, text.getvalue().encode())
    return path


def write_parquet(folder: Path, rows: Sequence[Row]) -> Path:
    """Write ``table.parquet``: as the CSV, with lists and the covariance of the pose.

    Raises:
        ModelUnavailableError: pyarrow is not installed.
        ResultError: It cannot be written.
    """
    arrow = require("pyarrow", "datasets")
    parquet = require("pyarrow.parquet", "datasets")
    text, number = arrow.string(), arrow.float64()
    types = {
        "causes": arrow.list_(text),
        "reasons": arrow.list_(text),
        "solved_with": arrow.int64(),
        "frames": arrow.int64(),
        "covariance": arrow.list_(number),
    }
    numbers = ("expected_position_mm", "expected_rotation_deg", "lag_ms", "contour_px", "seconds")
    types |= dict.fromkeys((*numbers, *_POSITION, *_QUATERNION), number)
    table = [{**flat(row), "covariance": row.pose.covariance if row.pose else None} for row in rows]
    names = list(table[0]) if table else []
    schema = arrow.schema([(name, types.get(name, text)) for name in names])
    columns = {name: [content[name] for content in table] for name in names}
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_pydict(columns, schema=schema), buffer)
    path = folder / PARQUET_NAME
    write_atomically(path, buffer.getvalue())
    return path


def write_tables(folder: Path, rows: Sequence[Row]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write the tables.

    Returns:
        The files, and what could not be written and why, one sentence each.

    Raises:
        ResultError: They cannot be written.
    """
    files = [write_csv(folder, rows)]
    try:
        files.append(write_parquet(folder, rows))
    except ModelUnavailableError as error:
        # A table of an earlier run must not stay beside a newer one.
        (folder / PARQUET_NAME).unlink(missing_ok=True)
        return tuple(files), (f"{PARQUET_NAME} was not written: {error}",)
    return tuple(files), ()
