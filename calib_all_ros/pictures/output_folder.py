# SPDX-License-Identifier: Apache-2.0
"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from calib_all_ros.results.atomic_file import ResultError

RESULT_PICTURES = ("overlay_*.png", "track.*", "mark_heat_map.png")
"""Pictures that a result need not have: those of an earlier one would stay among the new."""


@contextmanager
def whole_or_nothing(out_dir: str | Path, replaces: Sequence[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder; at success its content moves into ``out_dir``.

    Files in ``out_dir`` that bear other names stay; those with the same names are replaced, one by
    one, after everything has been written. When the body raises, nothing is left behind.

    Args:
        out_dir: the folder; it and its parents are made.
        replaces: patterns of the names of files that belong to an earlier result and go when the
            new one arrives.

    Raises:
        ResultError: before the body runs, when the folder cannot be made or written to; after it,
            when the content cannot be moved there.
    """
    target = Path(out_dir).expanduser().absolute()
    made = _make(target)
    try:
        staging = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target))
    except OSError as error:
        _remove_empty(made)
        raise _unwritable(target, error) from error
    try:
        yield staging
        earlier = {path for pattern in replaces for path in target.glob(pattern)}
        _move_content(staging, target, earlier)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(made)
        raise
    shutil.rmtree(staging, ignore_errors=True)


def _make(target: Path) -> list[Path]:
    """Make the folder with its parents and return what had to be made, the innermost first."""
    missing = [path for path in (target, *target.parents) if not path.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise _unwritable(target, error) from error
    return missing


def _move_content(staging: Path, target: Path, earlier: set[Path]) -> None:
    try:
        for folder, _, files in os.walk(staging):
            place = target / Path(folder).relative_to(staging)
            place.mkdir(exist_ok=True)
            for name in files:
                (Path(folder) / name).replace(place / name)
                earlier.discard(place / name)
        for path in earlier:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _unwritable(target: Path, error: OSError) -> ResultError:
    return ResultError(
        f"cannot write to the folder {target} ({error.strerror or error}); choose another one"
    )
