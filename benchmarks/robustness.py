# SPDX-License-Identifier: Apache-2.0
"""How much may go wrong before `calibrate` fails? One thing at a time, at growing levels.

Masks, visible share, motion, noise, lag, focal length, marks and tracks; with 1, 5, 10 and 30
images; three robots. Rows are appended to a JSON lines file as they come; trials that are in it
already are not run again, so a run can be interrupted and gone on with.

    python -m benchmarks.robustness --rows rows.jsonl --routes masks track
    python -m benchmarks.robustness --rows rows.jsonl --limit 0    # the report of what is there
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.faults import IMAGES
from benchmarks.reporting import publish
from benchmarks.robustness_grid import (
    ROUTES,
    TRACK,
    GridRow,
    GridTrial,
    grid_take,
    grid_trials,
    read_grid_rows,
)
from benchmarks.robustness_report import robustness_sections
from benchmarks.track_trials import track_attempt
from benchmarks.trial_runs import add_trial_arguments, run_missing_trials
from benchmarks.trial_scenes import base_scene
from benchmarks.trials import attempt
from calib_all_ros.settings import FrameSettings, Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_trial_arguments(parser, "robustness_rows.jsonl", ROUTES)
    parser.add_argument("--rounds", type=int, default=1, help="scenes for each robot")
    arguments = parser.parse_args()
    done = {row.trial for row in read_grid_rows(arguments.rows)}
    trials = grid_trials(arguments.routes, arguments.rounds)
    run_missing_trials(arguments, trials, done, run_grid_trial, _line)
    rows = read_grid_rows(arguments.rows)
    if rows:
        publish("How much may go wrong?", robustness_sections(rows), arguments.out)


def run_grid_trial(trial: GridTrial, cache_folder: Path) -> GridRow:
    """Run one trial; whatever is raised becomes part of the row."""
    if trial.route == TRACK:
        outcome = track_attempt(trial, base_scene(trial.scene, cache_folder))
    else:
        outcome = attempt(
            lambda: grid_take(trial, base_scene(trial.scene, cache_folder)),
            with_masks=trial.route != IMAGES,
            settings=Settings(frames=FrameSettings(count=trial.frames)),
        )
    return GridRow(
        trial=trial.id,
        route=trial.route,
        robot=trial.scene.robot,
        scene=trial.scene.name,
        scene_seed=trial.scene.seed,
        fault=trial.factor,
        cause="",
        strength=trial.level,
        frames=trial.frames,
        **outcome,
    )


def _line(row: GridRow) -> str:
    error = ""
    if row.position_mm is not None and row.rotation_deg is not None:
        error = f"{row.position_mm:.1f} mm {row.rotation_deg:.2f} deg"
    causes = ", ".join(row.causes)
    return f"{row.trial} | {row.status} | {causes} | {error} | {row.seconds:.1f} s"


if __name__ == "__main__":
    main()
