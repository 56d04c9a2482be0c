# SPDX-License-Identifier: Apache-2.0
"""Runs trials side by side, each in a process of one thread, until there is no more time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

TrialT = TypeVar("TrialT")
RowT = TypeVar("RowT")


def run_in_processes(
    run: Callable[[TrialT], RowT], trials: Iterator[TrialT], workers: int, time_limit_s: float
) -> Iterator[RowT]:
    """Yield what comes of trials, as they finish; none is begun after the time limit.

    Args:
        run: Runs one trial; a function of a module or a `functools.partial` of one.
        trials: Asked for one when a process is free.
        workers: Number of processes.
        time_limit_s: Seconds from now.
    """
    # Inherited by the processes, which import numerical libraries only then.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
    deadline = time.monotonic() + time_limit_s
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running: set[Future[RowT]] = set()
        while True:
            wanted = workers - len(running) if time.monotonic() < deadline else 0
            running |= {pool.submit(run, trial) for trial in islice(trials, wanted)}
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
