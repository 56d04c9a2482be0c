# SPDX-License-Identifier: Apache-2.0
"""Can the verdict of `calibrate` be trusted? Injects every cause of failure and counts.

Rows are appended to a JSON lines file as they come; trials that are in it already are not run
again, so a run can be interrupted and gone on with.

    python -m benchmarks.verdict --rows rows.jsonl --routes masks --limit 40
    python -m benchmarks.verdict --rows rows.jsonl --limit 0    # the report of what is there
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import islice
from pathlib import Path

from benchmarks.faults import FAULTS, ROUTES
from benchmarks.reporting import add_output_argument, publish
from benchmarks.trial_processes import run_in_processes
from benchmarks.trials import Row, all_trials, append_row, read_rows, run_trial
from benchmarks.verdict_report import report_sections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=Path("verdict_rows.jsonl"), help="JSON lines")
    parser.add_argument("--cache", type=Path, default=Path("trial_scenes"), help="rendered scenes")
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=list(ROUTES))
    parser.add_argument("--faults", nargs="+", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--limit", type=int, help="consider the first so many trials")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--time-limit", type=float, default=float("inf"), help="seconds")
    add_output_argument(parser)
    arguments = parser.parse_args()
    done = {row.trial for row in read_rows(arguments.rows)}
    wanted = islice(all_trials(arguments.routes, arguments.faults), arguments.limit)
    todo = (trial for trial in wanted if trial.id not in done)
    run = partial(run_trial, cache_folder=arguments.cache)
    for row in run_in_processes(run, todo, arguments.workers, arguments.time_limit):
        append_row(arguments.rows, row)
        print(_line(row), flush=True)
    rows = read_rows(arguments.rows)
    if rows:
        publish("Can the verdict be trusted?", report_sections(rows), arguments.out)


def _line(row: Row) -> str:
    error = ""
    if row.position_mm is not None and row.rotation_deg is not None:
        error = f"{row.position_mm:.1f} mm {row.rotation_deg:.2f} deg"
    causes = ", ".join(row.causes)
    return f"{row.trial} | {row.status} | {causes} | {error} | {row.seconds:.1f} s"


if __name__ == "__main__":
    main()
