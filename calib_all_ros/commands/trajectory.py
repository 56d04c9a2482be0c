# SPDX-License-Identifier: Apache-2.0
"""`calib_all trajectory`: predicted actions in the image, beside what the robot did."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from calib_all_ros.annotation.action_paths import (
    EXECUTED,
    ActionPath,
    PathErrors,
    path_errors,
    path_of_table,
)
from calib_all_ros.annotation.action_table import read_table
from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.path_files import PICTURE_NAME, write_path_files
from calib_all_ros.annotation.path_picture import draw_paths
from calib_all_ros.commands.annotate_options import TrajectoryOptions
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.trajectory_scene import Scene, load_scene
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.pictures.overlay import save_png
from calib_all_ros.rendering.compilation import COMPILING, announce_compilation
from calib_all_ros.results.run_log import RunLog

logger = logging.getLogger(__name__)


def run_trajectory(options: TrajectoryOptions, log: RunLog) -> dict[str, PathErrors | None]:
    """Draw predicted trajectories, measure them and print how far off they are.

    Args:
        options: What to do.
        log: Goes with the folder.

    Returns:
        The errors by the names of the tables; None where there is nothing to compare with.

    Raises:
        CalibAllError: The input cannot be used, or the output cannot be written.
    """
    tables = [read_table(given, options.columns) for given in options.tables]
    _require_own_names([table.name for table in tables])
    with ExitStack() as stack:
        bars = stack.enter_context(StageBars(quiet=options.quiet or options.json))
        stack.enter_context(announce_compilation(lambda: bars.say(COMPILING)))
        bars("read", 0.0)
        scene = load_scene(options)
        bars("read", 1.0)
        paths = [
            path_of_table(
                table,
                rate_hz=scene.rate_hz,
                first_stamp_ns=scene.stamp_ns,
                kinematics=scene.kinematics,
                eef_link=scene.eef_link,
                joint_offsets=scene.joint_offsets,
            )
            for table in tables
        ]
        paths = [_cut(path, options.steps) for path in paths]
        predicted = scene.seen(paths)
        errors = {
            path.path.name: None
            if scene.annotated is None
            else path_errors(path, scene.annotated, scene.frame)
            for path in predicted
        }
        seen = [*scene.seen(scene.executed(paths)), *predicted]
        picture = draw_paths(scene.image, seen, _caption(options, scene, errors))
        if options.out.suffix.lower() == ".png":
            save_png(options.out, picture)
        else:
            folder = stack.enter_context(whole_or_nothing(options.out))
            save_png(folder / PICTURE_NAME, picture)
            write_path_files(folder, seen, errors)
            log.copy_to(folder)
    _report(options, scene, errors)
    return errors


def _require_own_names(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if name == EXECUTED or name in names[:place]:
            raise AnnotationError(
                f"'{name}' is the name of another trajectory, too: call a table differently, "
                "NAME=FILE"
            )


def _cut(path: ActionPath, steps: int | None) -> ActionPath:
    return replace(path, times_s=path.times_s[:steps], positions=path.positions[:steps])


def _caption(options: TrajectoryOptions, scene: Scene, errors: dict[str, PathErrors | None]) -> str:
    assert options.recording is not None
    parts = [f"{options.recording.name}, pale: the beginning, full: the end"]
    if scene.annotated is not None:
        parts[0] = f"{options.recording.name}, image {scene.frame}; pale: now, full: the end"
    parts += [
        f"{name}: {1e3 * e.mean_m:.1f} mm, {e.mean_px:.1f} px off on average"
        for name, e in errors.items()
        if e is not None
    ]
    return "; ".join(parts)


def _report(options: TrajectoryOptions, scene: Scene, errors: dict[str, PathErrors | None]) -> None:
    for note in scene.notes:
        logger.info(note)
    if options.json:
        table: dict[str, Any] = {n: None if e is None else asdict(e) for n, e in errors.items()}
        print(json.dumps({"errors": table, "notes": scene.notes, "written": str(options.out)}))
    elif not options.quiet:
        print(_as_text(errors, options.out, scene.notes))


def _as_text(errors: dict[str, PathErrors | None], out: Path, notes: tuple[str, ...]) -> str:
    width = max(len("predicted"), *(len(name) for name in errors))
    lines = [f"{'predicted':<{width}}  steps  mean mm  final mm  mean px  final px"]
    for name, e in errors.items():
        if e is None:
            lines.append(f"{name:<{width}}  nothing to compare with")
        else:
            lines.append(
                f"{name:<{width}}  {e.steps:5d}  {1e3 * e.mean_m:7.1f}  {1e3 * e.final_m:8.1f}  "
                f"{e.mean_px:7.1f}  {e.final_px:8.1f}"
            )
    return "\n".join([*lines, f"written: {out}", *(f"- {note}" for note in notes)])
