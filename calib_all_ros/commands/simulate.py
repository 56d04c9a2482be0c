# SPDX-License-Identifier: Apache-2.0
"""`calib_all simulate` and `demo`: make a recording with a known camera, and calibrate it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calib_all_ros.commands import calibrate
from calib_all_ros.commands.options import (
    CalibrateOptions,
    DemoOptions,
    SimulateOptions,
    given_settings,
)
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.errors import EXIT_OK
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationError, SimulationSettings


def run(options: SimulateOptions | DemoOptions, log: RunLog) -> int:
    """Simulate a recording, calibrate it for the demo, and return the exit code.

    Raises:
        CalibAllError: The settings do not fit together or to the robot, or the folder exists
            already or cannot be written; as of `calib_all calibrate`.
    """
    if isinstance(options, SimulateOptions):
        _write(
            options.out,
            _settings(options),
            options.quiet,
            urdf=options.urdf,
            base_frame=options.base_frame,
            mesh_paths=options.mesh_paths,
            as_bag=options.bag,
        )
        if not options.quiet:
            print(options.out)
        return EXIT_OK
    recording = options.out / "recording"
    _write(recording, SimulationSettings(**given_settings(options)), options.silent)
    return calibrate.run(
        CalibrateOptions(
            recording=recording,
            out=options.out / "result",
            seed=options.seed,
            json=options.json,
            quiet=options.quiet,
        ),
        log,
    )


def _write(out: Path, settings: SimulationSettings, quiet: bool, **arguments: Any) -> None:
    """Simulate into a new folder, whole or not at all; arguments as for `simulate_to`."""
    out = out.expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SimulationError(f"{out} exists already: name a new folder")
    with StageBars(quiet=quiet) as bars, whole_or_nothing(out.parent) as folder:
        simulate_to(
            folder / out.name,
            settings=settings,
            on_progress=lambda done, total: bars("simulate", done / total),
            **arguments,
        )


def _settings(options: SimulateOptions) -> SimulationSettings:
    values = given_settings(options)
    if options.size is not None:
        values["width"], values["height"] = options.size
    if options.distortion is not None:
        values["distortion_model"], values["distortion"] = options.distortion
    if options.lag_ms is not None:
        values["lag_s"] = options.lag_ms / 1e3
    return SimulationSettings(**values)
