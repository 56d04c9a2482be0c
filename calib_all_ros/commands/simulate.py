# SPDX-License-Identifier: Apache-2.0
"""`calib_all simulate`: make a recording with a known camera."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from calib_all_ros.commands.progress import StageBars
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationError, SimulationSettings


def run_simulate(options: argparse.Namespace) -> None:
    """Simulate a recording and write it whole or not at all.

    Args:
        options: What `cli` has parsed for this command.

    Raises:
        CalibAllError: The settings do not fit together or to the robot, or the folder exists
            already or cannot be written.
    """
    with StageBars(quiet=options.quiet) as bars:
        write_simulation(
            options.out,
            simulation_settings(options),
            bars,
            urdf=options.urdf,
            base_frame=options.base_frame,
            mesh_paths=options.mesh_paths,
            as_bag=options.bag,
        )
    if not options.quiet:
        print(options.out)


def write_simulation(
    out: Path, settings: SimulationSettings, bars: StageBars, **arguments: Any
) -> None:
    """Simulate into a new folder, whole or not at all; arguments as for `simulate_to`.

    Raises:
        SimulationError: There is something at ``out`` already.
        ResultError: ``out`` cannot be written.
    """
    out = out.expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SimulationError(f"{out} exists already: name a new folder")
    with whole_or_nothing(out.parent) as folder:
        simulate_to(
            folder / out.name,
            settings=settings,
            on_progress=lambda done, total: bars("simulate", done / total),
            **arguments,
        )


def simulation_settings(options: argparse.Namespace) -> SimulationSettings:
    """Return the defaults, less what was given on the command line.

    Raises:
        SimulationError: An impossible value.
    """
    given = {name: value for name, value in vars(options).items() if value is not None}
    values: dict[str, Any] = {
        field: given[name]
        for name, field in (
            ("frames", "frames"),
            ("seed", "seed"),
            ("rate", "rate_hz"),
            ("focal", "focal_px"),
            ("noise", "noise_sigma"),
        )
        if name in given
    }
    if "size" in given:
        values["width"], values["height"] = given["size"]
    if "distortion" in given:
        values["distortion_model"], values["distortion"] = given["distortion"]
    if "lag_ms" in given:
        values["lag_s"] = given["lag_ms"] / 1e3
    return SimulationSettings(**values)
