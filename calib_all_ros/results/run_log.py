# SPDX-License-Identifier: Apache-2.0
"""The log of one run: a temporary file until it is put with the results."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

LOG_NAME = "calib_all.log"
_PACKAGE = "calib_all_ros"
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class RunLog:
    """Collects the messages of the package, as a context manager.

    The file is removed at the end, unless it was kept.
    """

    def __init__(self, arguments: Sequence[str], folder: Path | None = None) -> None:
        """Remember the arguments, the first thing to be logged.

        Args:
            arguments: Of the command line.
            folder: Where the file is meanwhile; None takes the system's folder of temporary files.
        """
        self._command = shlex.join(["calib_all", *arguments])
        self._folder = folder

    def __enter__(self) -> RunLog:
        """Begin to log."""
        self._path = _new_file(self._folder)
        self._kept = False
        self._logger = logging.getLogger(_PACKAGE)
        self._level_before = self._logger.level
        self._handlers: list[logging.Handler] = []
        self._logger.setLevel(logging.DEBUG)
        self._add(logging.FileHandler(self._path, encoding="utf-8"))
        # Warnings of the libraries belong into the log, not between the lines of the answer.
        self._show_warning = warnings.showwarning
        warnings.showwarning = self._log_warning
        self._logger.info(self._command)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the log."""
        warnings.showwarning = self._show_warning
        for handler in self._handlers:
            self._logger.removeHandler(handler)
            handler.close()
        self._logger.setLevel(self._level_before)
        if not self._kept:
            self._path.unlink(missing_ok=True)

    def show_on_stderr(self) -> None:
        """Print the log while it grows, from level INFO."""
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.INFO)
        self._add(handler)

    def copy_to(self, folder: Path) -> Path:
        """Copy what there is so far into a folder of results; return the copy."""
        for handler in self._handlers:
            handler.flush()
        target = folder / LOG_NAME
        shutil.copyfile(self._path, target)
        return target

    def keep(self, error: Exception) -> Path:
        """Log the traceback of an error nobody expected; return the file, which then stays."""
        self._logger.error("internal error", exc_info=error)
        if self._folder is not None:
            return Path(shutil.copyfile(self._path, _new_file(None)))
        self._kept = True
        return self._path

    def _add(self, handler: logging.Handler) -> None:
        handler.setFormatter(logging.Formatter(_FORMAT))
        self._handlers.append(handler)
        self._logger.addHandler(handler)

    def _log_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: str | None = None,
    ) -> None:
        self._logger.warning("%s:%d: %s: %s", filename, lineno, category.__name__, message)


def _new_file(folder: Path | None) -> Path:
    handle, name = tempfile.mkstemp(prefix="calib_all-", suffix=".log", dir=folder)
    os.close(handle)
    return Path(name)
