# SPDX-License-Identifier: Apache-2.0
"""The command line `calib_all`: its arguments, and what its exit codes mean.

Everything heavy is imported by the command that needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from calib_all_ros import __version__
from calib_all_ros.commands.options import (
    CalibrateOptions,
    CheckOptions,
    CompareOptions,
    PlanOptions,
)
from calib_all_ros.errors import CalibAllError
from calib_all_ros.results.run_log import RunLog

EXIT_OK = 0
EXIT_INTERNAL_ERROR = 1
EXIT_BAD_INPUT = 2
EXIT_REJECTED = 3
EXIT_CANNOT_SAY = 4
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
            options = _parser().parse_args(_with_lists_attached(arguments))
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
    elif options.command == "plan":
        from calib_all_ros.commands.plan import run_plan

        fields = {field.name for field in dataclasses.fields(PlanOptions)}
        given = {name: value for name, value in vars(options).items() if name in fields}
        run_plan(PlanOptions(**given))
        return EXIT_OK
    elif options.command == "check":
        from calib_all_ros.commands.check import run_check

        fields = {field.name for field in dataclasses.fields(CheckOptions)}
        given = {name: value for name, value in vars(options).items() if name in fields}
        outcome = run_check(CheckOptions(**given), log)
        return {"rejected": EXIT_REJECTED, "cannot say": EXIT_CANNOT_SAY}.get(outcome, EXIT_OK)
    elif options.command == "compare":
        from calib_all_ros.commands.compare import run_compare

        fields = {field.name for field in dataclasses.fields(CompareOptions)}
        given = {name: value for name, value in vars(options).items() if name in fields}
        return EXIT_OK if run_compare(CompareOptions(**given)) else EXIT_REJECTED
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
    _add_plan(commands)
    _add_check(commands)
    _add_compare(commands)
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

    _add_streams(parser.add_argument_group("recording"))

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


def _add_plan(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "plan",
        help="propose joint configurations to record",
        description="Propose joint configurations that make the camera's pose well observable, in "
        "the file that the recorder's stop-and-go mode reads. Only the robot itself, the ground "
        "and the camera are looked at: moving the arm there without a collision is up to you.",
        epilog="exit codes: 0 written, 2 bad input or usage, 1 internal error, 130 interrupted",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="configurations: YAML, or one list a line in a .txt",
    )
    robot = parser.add_argument_group("robot")
    _add_robot(robot, None)
    robot.add_argument(
        "--joints",
        type=_names,
        metavar="A,B,...",
        help="joints that move; default: those of the arm, not of grippers",
    )
    robot.add_argument(
        "--home",
        "--start-configuration",
        type=_configuration,
        default=(),
        metavar="A,B,...",
        help="where the arm starts and joints that do not move stay: one value for each joint, "
        "or JOINT=VALUE,...; default: the middle of the limits",
    )
    robot.add_argument(
        "--joint-limits-margin",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="share of each joint's range kept free at either end (default: 0.05)",
    )
    _add_plan_camera(parser.add_argument_group("camera"))
    room = parser.add_argument_group("room, metres in the base frame")
    room.add_argument(
        "--ground",
        type=float,
        metavar="Z",
        help="height of the table or floor that links stay above (default: 0)",
    )
    room.add_argument("--no-ground", action="store_true", help="there is no ground")
    room.add_argument(
        "--workspace",
        type=_numbers(6, "XMIN,XMAX,YMIN,YMAX,ZMIN,ZMAX"),
        metavar="XMIN,XMAX,...",
        help="bounds of the moving links: XMIN,XMAX,YMIN,YMAX,ZMIN,ZMAX",
    )
    output = parser.add_argument_group("plan")
    output.add_argument("--count", type=int, default=12, metavar="N", help="(default: 12)")
    output.add_argument("--seed", type=int, default=0, help="seed of everything random")
    output.add_argument(
        "--pictures", type=Path, metavar="DIR", help="folder for a picture of the configurations"
    )
    output.add_argument("--json", action="store_true", help="print the plan as one JSON object")
    _add_verbosity(output)


def _add_plan_camera(camera: argparse._ActionsContainer) -> None:
    camera.add_argument(
        "--camera", type=Path, metavar="FILE", help="intrinsics: camera.json or camera_info YAML"
    )
    camera.add_argument(
        "--resolution", type=_size, metavar="WxH", help="image size in pixels, with --hfov"
    )
    camera.add_argument("--hfov", type=float, metavar="DEG", help="horizontal field of view")
    camera.add_argument(
        "--camera-position",
        type=_numbers(3, "X,Y,Z"),
        metavar="X,Y,Z",
        help="about where the camera is, metres in the base frame",
    )
    camera.add_argument(
        "--look-at",
        type=_numbers(3, "X,Y,Z"),
        metavar="X,Y,Z",
        help="about what it looks at (default: the middle of the robot)",
    )
    camera.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="an earlier result, which gives camera and pose",
    )
    camera.add_argument(
        "--pose-uncertainty",
        type=_numbers(2, "M,DEG"),
        metavar="M,DEG",
        help="standard deviations of the rough pose (default: 0.15,10; an earlier result: 0.05,3)",
    )
    camera.add_argument(
        "--in-view",
        type=float,
        default=0.6,
        metavar="SHARE",
        help="least share of the moving links inside the image (default: 0.6)",
    )


def _add_check(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "check",
        help="measure given extrinsics on a recording",
        description="Measure how far given extrinsics are from those that a recording asks for.",
        epilog="exit codes: 0 accepted or warning, 3 rejected, 4 cannot say because the recording "
        "does not allow a judgement, 2 bad input or usage, 1 internal error, 130 interrupted",
    )
    parser.add_argument(
        "recording",
        type=Path,
        metavar="RECORDING",
        help="rosbag2 (folder, .mcap or .db3), rosbag1 (.bag), recording folder, or .npz",
    )
    extrinsics = parser.add_argument_group("extrinsics")
    given = extrinsics.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--calibration",
        metavar="FILE|NAME",
        help="a result of calib_all: calibration.yaml, its folder, or the name of a saved result",
    )
    given.add_argument(
        "--extrinsics",
        type=Path,
        metavar="FILE",
        help="YAML or JSON with a 4x4 matrix, translation and rotation, a TransformStamped, or a "
        "result of easy_handeye (.calib)",
    )
    given.add_argument(
        "--pose",
        metavar="TEXT",
        help="'x y z qx qy qz qw' or the command line of a static_transform_publisher",
    )
    _add_frames(extrinsics)
    extrinsics.add_argument(
        "--tolerance-mm",
        type=_positive,
        default=5.0,
        metavar="MM",
        help="error of the position that is acceptable (default: 5)",
    )
    extrinsics.add_argument(
        "--tolerance-deg",
        type=_positive,
        default=0.5,
        metavar="DEG",
        help="error of the rotation that is acceptable (default: 0.5)",
    )
    _add_checked(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for pictures, report and check.yaml"
    )
    output.add_argument("--json", action="store_true", help="print the check as one JSON object")
    _add_verbosity(output)


def _add_compare(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two results",
        description="Say how two camera poses differ, whether their uncertainties explain it, and "
        "with a recording which of them is the better one.",
        epilog="exit codes: 0 compatible or not known, 3 incompatible, 2 bad input or usage, "
        "1 internal error, 130 interrupted",
    )
    for name, metavar in (("first", "A"), ("second", "B")):
        parser.add_argument(
            name,
            metavar=metavar,
            help="calibration.yaml, its folder, the name of a saved result, or extrinsics in a "
            "file as calib_all check reads them",
        )
    parser.add_argument(
        "--recording", type=Path, metavar="RECORDING", help="check both on this recording"
    )
    _add_frames(parser)
    _add_checked(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--json", action="store_true", help="print the comparison as one JSON object"
    )
    _add_verbosity(output)


def _add_frames(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--transform",
        choices=("T_base_camera", "T_camera_base"),
        help="which way a transform goes that does not say: T_base_camera maps points in the "
        "camera's frame to the base (a TF from base to camera), T_camera_base is its inverse",
    )
    parser.add_argument(
        "--camera-frame",
        metavar="FRAME",
        help="the camera's frame that the extrinsics speak of, where they do not say or call it "
        "otherwise; default: the optical frame",
    )


def _add_checked(parser: _Parser) -> None:
    """Add what says how a recording is read to check extrinsics on it."""
    _add_robot(parser.add_argument_group("robot"), "the recording's /robot_description")
    _add_streams(parser.add_argument_group("recording"))
    solve = parser.add_argument_group("check")
    solve.add_argument(
        "--masks",
        default="auto",
        metavar="auto|TOPIC|FOLDER",
        help="robot masks: found from the images themselves (auto, the default), recorded on a "
        "topic, or in a folder",
    )
    solve.add_argument("--frames", type=int, metavar="N", help="images to compare with")
    solve.add_argument("--config", type=Path, metavar="FILE", help="settings, YAML")
    solve.add_argument("--seed", type=int, help="seed of everything random")


def _add_streams(recording: argparse._ActionsContainer) -> None:
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


def _add_robot(parser: argparse._ActionsContainer, default: str | None) -> None:
    what = "URDF or xacro" if default is None else f"URDF or xacro; default: {default}"
    parser.add_argument("--urdf", type=Path, metavar="FILE", required=default is None, help=what)
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


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number


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


def _numbers(count: int, form: str) -> Callable[[str], tuple[float, ...]]:
    def parse(text: str) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in text.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            raise argparse.ArgumentTypeError(f"'{text}' is not {form}, {count} numbers")
        return numbers

    return parse


def _configuration(text: str) -> tuple[tuple[str, float], ...]:
    values = []
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        try:
            values.append((name.strip(), float(number)))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"'{text}' is no configuration, e.g. 0,-0.8,1.57 or joint_2=-0.8,joint_4=1.57"
            ) from None
    return tuple(values)


def _with_lists_attached(arguments: list[str]) -> list[str]:
    """Return the arguments with ``--option -1,2`` as ``--option=-1,2``.

    argparse takes a list of numbers that begins with a minus sign for an option.
    """
    attached: list[str] = []
    for argument in arguments:
        is_list = re.fullmatch(r"-[\d.][\d.eE+-]*(,[\d.eE+-]+)+", argument)
        if is_list and attached and re.fullmatch(r"--[a-z][a-z-]*", attached[-1]):
            attached[-1] += f"={argument}"
        else:
            attached.append(argument)
    return attached
