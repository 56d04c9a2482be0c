# SPDX-License-Identifier: Apache-2.0
"""`calib_all demo`: simulate a recording, calibrate it, compare with the truth."""

from __future__ import annotations

import argparse

from calib_all_ros.commands.calibrate import run_calibrate
from calib_all_ros.commands.options import CalibrateOptions
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.simulate import simulation_settings, write_simulation
from calib_all_ros.results.records import Status
from calib_all_ros.results.run_log import RunLog

RECORDING_FOLDER = "recording"
RESULT_FOLDER = "result"


def run_demo(options: argparse.Namespace, log: RunLog) -> Status:
    """Write DIR/recording and DIR/result, and print the report.

    Args:
        options: What `cli` has parsed for this command.
        log: Goes with the results.

    Returns:
        The status of the verdict.

    Raises:
        CalibAllError: As of `calib_all simulate` and `calib_all calibrate`.
    """
    recording = options.out / RECORDING_FOLDER
    with StageBars(quiet=options.quiet or options.json) as bars:
        write_simulation(recording, simulation_settings(options), bars)
    return run_calibrate(
        CalibrateOptions(
            recording=recording,
            out=options.out / RESULT_FOLDER,
            seed=options.seed,
            json=options.json,
            quiet=options.quiet,
        ),
        log,
    )
