# SPDX-License-Identifier: Apache-2.0
"""SIGTERM, by which schedulers end jobs, as an interrupt like Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_AGAIN_S = 2.0


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, in the main thread; elsewhere nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as stack:

        def interrupt(*_: object) -> None:
            # Numba passes over what is raised while it calls back, so it is said again.
            again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM))
            again.daemon = True
            stack.callback(again.cancel)
            again.start()
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGTERM, interrupt)
        stack.callback(signal.signal, signal.SIGTERM, before or signal.SIG_DFL)
        yield
