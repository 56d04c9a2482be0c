# SPDX-License-Identifier: Apache-2.0
"""A progress bar on stderr with rate and time left, for the jobs of a dataset."""

from __future__ import annotations

from types import TracebackType

from calib_all_ros.commands.progress import TerminalBars

_FORMAT = "{desc:<10} {n_fmt}/{total_fmt} |{bar:20}| {rate_fmt}, {elapsed} gone, {remaining} left"


class JobBars(TerminalBars):
    """Shows how many jobs of a stage are finished, as a context manager that is called.

    The rate is that of the jobs that this run does: what was done before counts for nothing.
    """

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
            self._begin(stage, total=total, initial=finished, unit="job", bar_format=_FORMAT)
        if self._bar is not None:
            self._bar.update(finished - self._bar.n)
