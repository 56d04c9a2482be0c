# SPDX-License-Identifier: Apache-2.0
"""Can the verdict of `calibrate` be trusted? Injects every cause of failure and counts.

Rows are appended to a JSON lines file as they come; trials that are in it already are not run
again, so a run can be interrupted and gone on with.

    python -m benchmarks.verdict --rows rows.jsonl --routes masks --limit 40
    python -m benchmarks.verdict --rows rows.jsonl --limit 0    # the report of what is there
"""

from __future__ import annotations

import argparse

from benchmarks.faults import FAULTS, ROUTES
from benchmarks.reporting import publish
from benchmarks.trial_runs import add_trial_arguments, run_missing_trials
from benchmarks.trials import Row, all_trials, read_rows, run_trial
from benchmarks.verdict_report import report_sections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_trial_arguments(parser, "verdict_rows.jsonl", ROUTES)
    parser.add_argument("--faults", nargs="+", choices=[fault.name for fault in FAULTS])
    arguments = parser.parse_args()
    done = {row.trial for row in read_rows(arguments.rows)}
    trials = all_trials(arguments.routes, arguments.faults)
    run_missing_trials(arguments, trials, done, run_trial, _line)
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
