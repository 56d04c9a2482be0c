# SPDX-License-Identifier: Apache-2.0
"""What benchmarks of many trials have in common: arguments, and going on from a file of rows."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.reporting import add_output_argument
from benchmarks.trial_processes import run_in_processes
from benchmarks.trials import Row, append_row


class _Named(Protocol):
    @property
    def id(self) -> str:
        """Unique, the same in every run."""
        ...


TrialT = TypeVar("TrialT", bound=_Named)
RowT = TypeVar("RowT", bound=Row)


def add_trial_arguments(parser: argparse.ArgumentParser, rows: str, routes: Sequence[str]) -> None:
    """Add which trials are run, where to, and for how long."""
    parser.add_argument("--rows", type=Path, default=Path(rows), help="JSON lines")
    parser.add_argument("--cache", type=Path, default=Path("trial_scenes"), help="rendered scenes")
    parser.add_argument("--routes", nargs="+", choices=routes, default=list(routes))
    parser.add_argument("--limit", type=int, help="consider the first so many trials")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--time-limit", type=float, default=float("inf"), help="seconds")
    add_output_argument(parser)


def run_missing_trials(
    arguments: argparse.Namespace,
    trials: Iterable[TrialT],
    done: Collection[str],
    run: Callable[..., RowT],
    line: Callable[[RowT], str],
) -> None:
    """Run the trials that have no row yet; append and print a row as each ends.

    Args:
        arguments: Those of `add_trial_arguments`.
        trials: All of them, in order.
        done: Ids of those that have a row.
        run: Runs a trial; takes it and ``cache_folder``; a function of a module.
        line: What is printed of a row.
    """
    wanted = islice(trials, arguments.limit)
    todo = (trial for trial in wanted if trial.id not in done)
    runner = partial(run, cache_folder=arguments.cache)
    for row in run_in_processes(runner, todo, arguments.workers, arguments.time_limit):
        append_row(arguments.rows, row)
        print(line(row), flush=True)
