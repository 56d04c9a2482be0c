# SPDX-License-Identifier: Apache-2.0
"""The command line `calib_all`: its arguments, and what its exit codes mean.

Everything heavy is imported by the command that needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from calib_all_ros import __version__
from calib_all_ros.commands.options import CalibrateOptions
from calib_all_ros.errors import CalibAllError
from calib_all_ros.results.run_log import RunLog

EXIT_OK = 0
EXIT_INTERNAL_ERROR = 1
EXIT_BAD_INPUT = 2
EXIT_REJECTED = 3
EXIT_INTERRUPTED = 130

_EPILOG = (
    "exit codes: 0 accepted or warning, 3 rejected, 2 bad input or usage, 1 internal error, "
    "130 interrupted"
)


class UsageError(CalibAllError):
    """Arguments that do not make sense."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    with RunLog(arguments) as log:
        try:
            options = _parser().parse_args(arguments)
            if options.verbose:
                log.show_on_stderr()
            return _run(options, log)
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


def _run(options: argparse.Namespace, log: RunLog) -> int:
    if options.command == "calibrate":
        from calib_all_ros.commands.calibrate import run_calibrate

        fields = {field.name for field in dataclasses.fields(CalibrateOptions)}
        given = {name: value for name, value in vars(options).items() if name in fields}
        status = run_calibrate(CalibrateOptions(**given), log)
    elif options.command == "simulate":
        from calib_all_ros.commands.simulate import run_simulate

        run_simulate(options)
        return EXIT_OK
    else:
        from calib_all_ros.commands.demo import run_demo

        status = run_demo(options, log)
    return EXIT_REJECTED if status == "rejected" else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="calib_all",
        description="Find the pose of a fixed camera relative to a robot's base, from a recording.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"calib_all {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_calibrate(commands)
    _add_simulate(commands)
    _add_demo(commands)
    return parser


def _add_calibrate(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "calibrate",
        help="calibrate a recording",
        description="Find the camera's pose from a recording, and write it with its verdict, "
        "pictures and log.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "recording",
        type=Path,
        metavar="RECORDING",
        help="rosbag2 (folder, .mcap or .db3), rosbag1 (.bag), recording folder, or .npz",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")

    robot = parser.add_argument_group("robot")
    _add_robot(robot, "the recording's /robot_description")

    recording = parser.add_argument_group("recording")
    recording.add_argument("--image-topic", metavar="TOPIC", help="default: found by type")
    recording.add_argument("--camera-info-topic", metavar="TOPIC", help="default: the image's")
    recording.add_argument(
        "--joint-topic",
        action="append",
        dest="joint_topics",
        metavar="TOPIC",
        help="may be repeated; default: all joint states",
    )
    recording.add_argument(
        "--camera",
        type=Path,
        metavar="FILE",
        help="intrinsics to use instead of the recording's: camera.json or camera_info YAML",
    )
    recording.add_argument(
        "--joint-names",
        type=_names,
        metavar="A,B,...",
        help="joints of an .npz in the order of its columns; default: the first of the URDF",
    )
    recording.add_argument("--start", type=float, metavar="S", help="seconds after the first image")
    recording.add_argument("--end", type=float, metavar="S", help="seconds after the first image")

    evidence = parser.add_argument_group("mark and masks")
    evidence.add_argument(
        "--mark",
        type=_pixel,
        metavar="U,V",
        help="pixel of a mark on the end-effector; default: none is needed",
    )
    evidence.add_argument("--eef-link", metavar="LINK", help="link that carries the mark")
    evidence.add_argument(
        "--mark-frame",
        type=int,
        metavar="N",
        help="number of the image that --mark refers to, from 0 (default: 0)",
    )
    evidence.add_argument(
        "--masks",
        default="auto",
        metavar="auto|TOPIC|FOLDER",
        help="robot masks: found from the images themselves (auto, the default), recorded on a "
        "topic, or in a folder",
    )

    solve = parser.add_argument_group("solve")
    solve.add_argument("--frames", type=int, metavar="N", help="images that the pose is fitted to")
    solve.add_argument("--config", type=Path, metavar="FILE", help="settings, YAML")
    solve.add_argument("--seed", type=int, help="seed of everything random")

    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the result as one JSON object")
    _add_verbosity(output)


def _add_simulate(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "simulate",
        help="make a recording with a known camera",
        description="Simulate a robot that moves in front of a camera and write the recording, "
        "with the true pose of the camera.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="new folder of the recording")
    _add_robot(parser, "the package's own demo arm")
    _add_simulation(parser)
    parser.add_argument("--bag", action="store_true", help="write a rosbag2 (without the truth)")
    parser.add_argument("--rate", type=float, metavar="HZ", help="images per second")
    parser.add_argument("--size", type=_size, metavar="WxH", help="image size in pixels")
    parser.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels")
    parser.add_argument(
        "--distortion",
        type=_distortion,
        metavar="MODEL:K1,K2,...",
        help="lens distortion, e.g. plumb_bob:-0.3,0,0,0,0 or equidistant:0.05,0,0,0",
    )
    parser.add_argument(
        "--lag-ms", type=float, metavar="MS", help="how much too late images are stamped"
    )
    parser.add_argument("--noise", type=float, metavar="SIGMA", help="sensor noise, grey levels")
    _add_verbosity(parser)


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="simulate a recording and calibrate it",
        description="Simulate a recording of the demo arm, calibrate it, and compare the result "
        "with the known truth.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "out", type=Path, nargs="?", default=Path("demo"), metavar="DIR", help="default: demo"
    )
    _add_simulation(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    _add_verbosity(parser)


def _add_robot(parser: argparse._ActionsContainer, default: str) -> None:
    parser.add_argument(
        "--urdf", type=Path, metavar="FILE", help=f"URDF or xacro; default: {default}"
    )
    parser.add_argument("--base-frame", metavar="LINK", help="default: the root of the URDF")
    parser.add_argument(
        "--mesh-path",
        type=Path,
        action="append",
        default=[],
        dest="mesh_paths",
        metavar="DIR",
        help="folder with the packages that the URDF names; may be repeated",
    )


def _add_simulation(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--frames", type=int, metavar="N", help="number of images")
    parser.add_argument("--seed", type=int, help="seed of everything random")


def _add_verbosity(parser: argparse._ActionsContainer) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="print the log as it grows")


def _pixel(text: str) -> tuple[float, float]:
    try:
        u, v = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not U,V, e.g. 312,207.5") from None
    return u, v


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not WxH, e.g. 640x480") from None
    return width, height


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _distortion(text: str) -> tuple[str, tuple[float, ...]]:
    model, _, numbers = text.partition(":")
    try:
        return model, tuple(float(number) for number in numbers.split(",") if number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not MODEL:K1,K2,..., e.g. plumb_bob:-0.3,0,0,0,0"
        ) from None
