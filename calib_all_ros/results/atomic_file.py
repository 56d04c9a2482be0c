# SPDX-License-Identifier: Apache-2.0
"""Atomic writing: a reader sees the old content or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from calib_all_ros.errors import CalibAllError


class ResultError(CalibAllError):
    """A result cannot be written, read or found; the message says which and what to do."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` through a temporary file beside it; makes missing folders.

    Raises:
        ResultError: the folder cannot be made or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as any other file of this user.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from error
        raise


def _cannot_write(path: Path, error: OSError) -> ResultError:
    return ResultError(
        f"cannot write {path} ({error.strerror or error}); choose a place you can write to"
    )


def _umask() -> int:
    """Return the process's file mode mask, which POSIX only tells while setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
