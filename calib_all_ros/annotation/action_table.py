# SPDX-License-Identifier: Apache-2.0
"""Tables of actions, one row a step, with the names of their columns: CSV, parquet or npy."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.models.libraries import require

Columns: TypeAlias = dict[str, NDArray[np.float64] | NDArray[np.int64]]

POSITION_COLUMNS = (("x", "y", "z"), ("x_m", "y_m", "z_m"), ("base_x_m", "base_y_m", "base_z_m"))
"""How the columns of positions in the base frame may be called; metres."""

TIME_COLUMN = "time_s"
"""Seconds after the image that is drawn on."""

STAMP_COLUMN = "stamp_ns"
"""Stamps on the clock of the images, nanoseconds; they count before `TIME_COLUMN`."""


@dataclass(frozen=True, eq=False)
class ActionTable:
    """Predicted actions.

    Attributes:
        name: What it is called in pictures.
        source: The file.
        columns: Numbers of each column, (S,), by its name; stamps are integers.
    """

    name: str
    source: str
    columns: Columns

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(next(iter(self.columns.values())))

    def stacked(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return (S, len(names)) numbers of some columns."""
        return np.stack([self.columns[name] for name in names], axis=1).astype(np.float64)

    def position_columns(self) -> tuple[str, ...] | None:
        """Return the names of the columns of positions, None where there are none."""
        found = (names for names in POSITION_COLUMNS if all(n in self.columns for n in names))
        return next(found, None)


def read_table(given: str, names: Sequence[str] | None = None) -> ActionTable:
    """Read a table.

    Args:
        given: A .csv, .parquet or .npy file; ``NAME=FILE`` calls it so in pictures.
        names: Names of the columns of an .npy file of plain numbers; three are x, y, z.

    Raises:
        AnnotationError: There is no such file, or it is no table of finite numbers.
        ModelUnavailableError: A parquet file, and pyarrow is not installed.
    """
    name, separator, rest = given.partition("=")
    # A path may contain the sign itself.
    named = bool(separator) and not Path(given).exists()
    path = Path(rest if named else given).expanduser()
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if not path.is_file():
        raise AnnotationError(f"no table {path}: give a .csv, .parquet or .npy file")
    if path.suffix == ".npy":
        columns = _read_npy(path, names)
    elif path.suffix in readers:
        columns = readers[path.suffix](path)
    else:
        raise AnnotationError(f"{path} is no table that is read: give .csv, .parquet or .npy")
    if not columns or not len(next(iter(columns.values()))):
        raise AnnotationError(f"{path} holds no rows of numbers: give one row a step")
    for column, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise AnnotationError(
                f"column '{column}' of {path} is not a finite number in row {bad[0]} (from 0): "
                "leave this row out"
            )
    return ActionTable(name if named else path.stem, str(path), columns)


def _read_csv(path: Path) -> Columns:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise AnnotationError(f"{path} cannot be read as CSV ({error}): write it anew") from error
    if uneven := [number for number, row in enumerate(rows) if len(row) != len(header)]:
        raise AnnotationError(
            f"row {uneven[0]} (from 0) of {path} has {len(rows[uneven[0]])} cells, its header "
            f"{len(header)}: write it anew"
        )
    columns: Columns = {}
    for place, name in enumerate(header):
        cells = [row[place].strip() for row in rows]
        try:
            if name.strip() == STAMP_COLUMN:
                # Through floating point, today's nanoseconds would lose their last digits.
                columns[STAMP_COLUMN] = np.array([int(cell) for cell in cells], dtype=np.int64)
            else:
                columns[name.strip()] = np.array([float(cell) for cell in cells], dtype=np.float64)
        except ValueError:
            # A column of words or with gaps; whoever needs it says that it is missing.
            continue
    return columns


def _read_parquet(path: Path) -> Columns:
    parquet = require("pyarrow.parquet", "datasets")
    try:
        table = parquet.read_table(str(path))
    except Exception as error:  # pyarrow's errors share no base
        raise AnnotationError(f"{path} cannot be read as parquet ({error}): write anew") from error
    columns: Columns = {}
    for name in table.column_names:
        values = np.asarray(table.column(name).to_numpy())
        if values.ndim == 1 and values.dtype.kind in "iuf":
            columns[name] = _numbers(name, values)
    return columns


def _read_npy(path: Path, names: Sequence[str] | None) -> Columns:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{path} cannot be read as .npy ({error}): save it anew") from error
    if values.dtype.names is not None:
        return {
            name: _numbers(name, values[name])
            for name in values.dtype.names
            if values[name].dtype.kind in "iuf" and values[name].ndim == 1
        }
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise AnnotationError(
            f"{path} has the shape {values.shape} of {values.dtype}: give one row a step"
        )
    called = tuple(names or POSITION_COLUMNS[0])
    if values.shape[1] != len(called):
        raise AnnotationError(
            f"{path} has {values.shape[1]} columns, {len(called)} are named "
            f"({', '.join(called)}): name them all (--columns)"
        )
    return {name: values[:, i].astype(np.float64) for i, name in enumerate(called)}


def _numbers(name: str, values: NDArray[Any]) -> NDArray[np.float64] | NDArray[np.int64]:
    return values.astype(np.int64) if name == STAMP_COLUMN else values.astype(np.float64)
