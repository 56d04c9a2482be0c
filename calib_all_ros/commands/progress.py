# SPDX-License-Identifier: Apache-2.0
"""A progress bar on stderr for each stage that takes longer than a second."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from tqdm import tqdm

_SHOWN_AFTER_S = 1.0
_FORMAT = "{desc:<22} {percentage:3.0f}% |{bar:30}| {elapsed}"


class StageBars:
    """Shows the stage that is running; nothing when stderr is not a terminal, or when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Show nothing yet."""
        self._quiet = quiet
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> StageBars:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the last bar as it is."""
        self._close()

    def __call__(self, stage: str, share: float) -> None:
        """Show that ``share`` (0 to 1) of ``stage`` is done; a new name begins a new bar."""
        if stage != self._stage:
            if self._bar is not None:
                self._bar.update(1.0 - self._bar.n)
            self._close()
            self._stage = stage
            self._bar = tqdm(
                desc=stage,
                total=1.0,
                delay=_SHOWN_AFTER_S,
                bar_format=_FORMAT,
                file=sys.stderr,
                # None lets tqdm find out whether stderr is a terminal.
                disable=True if self._quiet else None,
            )
        self._bar.update(max(0.0, min(share, 1.0) - self._bar.n))

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        if not self._quiet:
            tqdm.write(sentence, file=sys.stderr)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
