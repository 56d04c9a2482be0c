# SPDX-License-Identifier: Apache-2.0
"""Progress bars on stderr: stages that take longer than a second, and the jobs of a dataset."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

from calib_all_ros.rendering.compilation import COMPILING, announce_compilation

logger = logging.getLogger(__name__)

Bars = TypeVar("Bars", bound="TerminalBars")

_SHOWN_AFTER_S = 1.0
_TICK_S = 0.5
_STAGE = "{desc:<12} {percentage:3.0f}% |{bar:30}| {elapsed}"
_JOBS = "{desc:<10} {n_fmt}/{total_fmt} |{bar:20}| {rate_fmt}, {elapsed} gone, {remaining} left"


class TerminalBars:
    """A bar at a time, with lines above it, as a context manager.

    Nothing is shown when quiet, or when stderr is not a terminal.
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
        self._stack = ExitStack()

    def __enter__(self: Bars) -> Bars:
        """Begin; that kernels are compiled is said, for it takes a while."""
        self._stack.callback(self._close)
        self._stack.enter_context(announce_compilation(self._say_compiling))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the last bar as it is."""
        self._stack.close()

    def _say_compiling(self) -> None:
        logger.info(COMPILING)
        self.say(COMPILING)

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        if not self._quiet:
            tqdm.write(sentence, file=self._file)

    @property
    def _shown(self) -> bool:
        return not self._quiet and self._file.isatty()

    def _begin(self, stage: str, **options: Any) -> None:
        """Begin the bar of a stage; the options are tqdm's."""
        self._stage = stage
        self._bar = tqdm(
            desc=stage,
            # Terminals of build machines say that they have no columns and no rows.
            ncols=shutil.get_terminal_size().columns,
            nrows=shutil.get_terminal_size().lines,
            file=self._file,
            disable=not self._shown,
            **options,
        )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class StageBars(TerminalBars):
    """Shows the stage that is running, as a context manager that is called with progress.

    The clock of a bar goes on between the reports of its stage, so that nobody takes a long step
    for a standstill.
    """

    def __init__(self, *, quiet: bool = False, file: TextIO | None = None) -> None:
        """Show nothing yet; the arguments are those of `TerminalBars`."""
        super().__init__(quiet=quiet, file=file)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> StageBars:
        """Begin, and start the clock."""
        super().__enter__()
        if self._shown:
            self._clock.start()
            self._stack.callback(self._stop_clock)
        return self

    def _stop_clock(self) -> None:
        self._ended.set()
        self._clock.join()

    def __call__(self, stage: str, share: float) -> None:
        """Show that ``share`` (0 to 1) of ``stage`` is done; a new name begins a new bar."""
        with self._lock:
            if stage != self._stage:
                if self._bar is not None:
                    self._bar.update(1.0 - self._bar.n)
                self._close()
                self._begin(
                    stage,
                    total=1.0,
                    delay=_SHOWN_AFTER_S,
                    # Draw at every update, for a stage may report but once.
                    miniters=0,
                    bar_format=_STAGE,
                )
            self._bar.update(max(0.0, min(share, 1.0) - self._bar.n))

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                if self._bar is not None:
                    self._bar.update(0.0)


class JobBars(TerminalBars):
    """Shows how many jobs of a stage are finished, as a context manager that is called.

    The rate is that of the jobs that this run does: what was done before counts for nothing.
    """

    def __call__(self, stage: str, finished: int, total: int) -> None:
        """Show that so many jobs of a stage are finished; a new name begins a new bar."""
        if not total:
            return
        if stage != self._stage or (self._bar is not None and total != self._bar.total):
            self._close()
            self._begin(stage, total=total, initial=finished, unit="job", bar_format=_JOBS)
        if self._bar is not None:
            self._bar.update(finished - self._bar.n)
