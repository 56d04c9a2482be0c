# SPDX-License-Identifier: Apache-2.0
"""The command line `calib_all`: runs a command, and says by its exit code what came of it.

Everything heavy is imported by the command that needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from calib_all_ros import __version__
from calib_all_ros.commands.annotate_arguments import add_annotate
from calib_all_ros.commands.arguments import EXIT_CODES, Parser, with_lists_attached
from calib_all_ros.commands.calibrate_arguments import add_calibrate, add_demo, add_simulate
from calib_all_ros.commands.cameras_arguments import add_cameras
from calib_all_ros.commands.check_arguments import add_check, add_compare
from calib_all_ros.commands.dataset_arguments import add_dataset
from calib_all_ros.commands.doctor_arguments import add_doctor
from calib_all_ros.commands.mark_arguments import add_mark
from calib_all_ros.commands.plan_arguments import add_plan
from calib_all_ros.commands.running import run
from calib_all_ros.commands.trajectory_arguments import add_trajectory
from calib_all_ros.errors import CalibAllError
from calib_all_ros.exit_codes import EXIT_BAD_INPUT, EXIT_INTERNAL_ERROR, EXIT_INTERRUPTED
from calib_all_ros.results.run_log import RunLog


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    with RunLog(arguments) as log:
        try:
            parsed = _parser().parse_args(with_lists_attached(arguments))
            if parsed.verbose:
                log.show_on_stderr()
            return run(parsed, log)
        except CalibAllError as error:
            return _fail(str(error), EXIT_BAD_INPUT, as_json)
        except KeyboardInterrupt:
            return _fail("interrupted, nothing was written", EXIT_INTERRUPTED, as_json)
        except Exception as error:  # whatever else is raised is a bug, not a message for users
            path = log.keep(error)
            sentence = f"internal error, {type(error).__name__}: {error}; please report it with"
            return _fail(f"{sentence} {path}", EXIT_INTERNAL_ERROR, as_json)


def _fail(sentence: str, exit_code: int, as_json: bool) -> int:
    print(f"calib_all: error: {sentence}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": sentence, "exit_code": exit_code}))
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="calib_all",
        description="Find the pose of a fixed camera relative to a robot's base, from a recording.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"calib_all {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        add_calibrate,
        add_cameras,
        add_simulate,
        add_demo,
        add_plan,
        add_check,
        add_compare,
        add_annotate,
        add_trajectory,
        add_dataset,
        add_mark,
        add_doctor,
    ):
        add(commands)
    return parser
