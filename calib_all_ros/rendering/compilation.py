# SPDX-License-Identifier: Apache-2.0
"""Notice of numba's compilation, so that the first run can say what it is waiting for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event

COMPILING = "compiling kernels, in the first run only (about 20 s)"

_COMPILATION = "numba:compile"


class _FirstCompilation(event.Listener):
    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def on_start(self, event: event.Event) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def on_end(self, event: event.Event) -> None:
        """Nothing is waited for here."""


@contextmanager
def announce_compilation(callback: Callable[[], None]) -> Iterator[None]:
    """Call back once, when a kernel that is not in numba's cache begins to be compiled.

    Args:
        callback: Called in the thread that compiles.
    """
    with event.install_listener(_COMPILATION, _FirstCompilation(callback)):
        yield
