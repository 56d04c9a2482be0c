# SPDX-License-Identifier: Apache-2.0
"""A progress bar on stderr with rate and time left, for the jobs of a dataset."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

_FORMAT = "{desc:<10} {n_fmt}/{total_fmt} |{bar:20}| {rate_fmt}, {elapsed} gone, {remaining} left"


class JobBars:
    """Shows how many jobs of a stage are finished, as a context manager that is called.

    Nothing is shown when quiet, or when stderr is not a terminal. The rate is that of the jobs
    that this run does: what was done before counts for nothing.
    """

    def __init__(self, *, quiet: bool = False, file: TextIO | None = None) -> None:
        """Show nothing yet.

        Args:
            quiet: Show nothing at all.
            file: Where to; None takes stderr.
        """
        self._file = file or sys.stderr
        self._quiet = quiet
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> JobBars:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the last bar as it is."""
        self._close()

    def __call__(self, stage: str, finished: int, total: int) -> None:
        """Show that so many jobs of a stage are finished; a new name begins a new bar."""
        if not total:
            return
        if stage != self._stage or (self._bar is not None and total != self._bar.total):
            self._close()
            self._stage = stage
            self._bar = self._new_bar(stage, finished, total)
        if self._bar is not None:
            self._bar.update(finished - self._bar.n)

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        if not self._quiet:
            tqdm.write(sentence, file=self._file)

    def _new_bar(self, stage: str, finished: int, total: int) -> Any:
        return tqdm(
            desc=stage,
            total=total,
            initial=finished,
            unit="job",
            # Terminals of build machines say that they have no columns and no rows.
            ncols=shutil.get_terminal_size().columns,
            nrows=shutil.get_terminal_size().lines,
            bar_format=_FORMAT,
            file=self._file,
            disable=self._quiet or not self._file.isatty(),
        )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
