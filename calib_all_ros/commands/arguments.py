# SPDX-License-Identifier: Apache-2.0
"""What the arguments of several commands have in common.

As everything that `calib_all --help` needs, this imports nothing heavy.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

from calib_all_ros.errors import CalibAllError

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"

EXIT_CODES = (
    "exit codes: 0 accepted or warning, 3 rejected, 2 bad input or usage, 1 internal error, "
    "130 interrupted"
)
OF_RECORDING = "the recording's /robot_description"


class UsageError(CalibAllError):
    """Arguments that do not make sense."""


class Parser(argparse.ArgumentParser):
    """Raises what is wrong with the arguments instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def add_recording(parser: Parser) -> None:
    """Add the recording, an argument that has to be given."""
    parser.add_argument(
        "recording",
        type=Path,
        metavar="RECORDING",
        help="rosbag2 (folder, .mcap or .db3), rosbag1 (.bag), recording folder, .npz, or an "
        "episode of a LeRobot dataset (DATASET#episode=N,camera=KEY)",
    )


def add_streams(recording: argparse._ActionsContainer) -> None:
    """Add which topics of a recording are read, and from when to when."""
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
        type=names,
        metavar="A,B,...",
        help="joints of an .npz (default: the first of the URDF) or of a LeRobot dataset (default: "
        "by their names there) in the order of the columns, _ for a column that is no joint",
    )
    recording.add_argument(
        "--start", type=float, dest="start_s", metavar="S", help="seconds after the first image"
    )
    recording.add_argument(
        "--end", type=float, dest="end_s", metavar="S", help="seconds after the first image"
    )


def add_robot(parser: argparse._ActionsContainer, default: str | None) -> None:
    """Add the robot's description.

    Args:
        parser: Gets the arguments.
        default: What is taken where no description is given; None where it has to be.
    """
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


def add_second_arm(group: argparse._ActionsContainer) -> None:
    """Add a second arm, described by a URDF of its own, beside the first."""
    group.add_argument(
        "--second-urdf",
        type=Path,
        metavar="FILE",
        help="URDF or xacro of a second arm; needs --second-base",
    )
    group.add_argument(
        "--second-base",
        type=_pose,
        metavar="X,Y,Z,QX,QY,QZ,QW|X,Y,Z,R,P,Y",
        help="pose of its root link in the base of the first arm (--base-frame), metres and "
        "quaternion or radians",
    )
    group.add_argument(
        "--prefix",
        default="",
        metavar="TEXT",
        help="what the recording puts before the joint names of the first arm (default: nothing)",
    )
    group.add_argument(
        "--second-prefix",
        default="second_",
        metavar="TEXT",
        help="the same of the second arm (default: second_)",
    )
    group.add_argument(
        "--second-joint-topic",
        action="append",
        dest="second_joint_topics",
        metavar="TOPIC",
        help="joint states of the second arm, where both arms call their joints alike and only "
        "the topics differ; --joint-topic is then the first one's",
    )


def add_masks(group: argparse._ActionsContainer) -> None:
    """Add where the masks come from."""
    group.add_argument(
        "--masks",
        default="auto",
        metavar="auto|TOPIC|FOLDER",
        help="robot masks: found from the images themselves (auto, the default), recorded on a "
        "topic, or in a folder",
    )


def add_settings(group: argparse._ActionsContainer, frames: str) -> None:
    """Add the settings of the solver.

    Args:
        group: Gets the arguments.
        frames: What the images are for whose number can be given.
    """
    group.add_argument("--frames", type=int, metavar="N", help=frames)
    group.add_argument("--config", type=Path, metavar="FILE", help="settings, YAML")
    group.add_argument("--seed", type=int, help="seed of everything random")


def add_verbosity(parser: argparse._ActionsContainer) -> None:
    """Add how much is printed."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    group.add_argument("-v", "--verbose", action="store_true", help="print the log as it grows")


def size(text: str) -> tuple[int, int]:
    """Read the width and height of an image, pixels."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not WxH, e.g. 640x480") from None
    return width, height


def names(text: str) -> tuple[str, ...]:
    """Read names between commas."""
    return tuple(name.strip() for name in text.split(","))


def _pose(text: str) -> tuple[float, ...]:
    """Read a position and a quaternion, or roll, pitch and yaw."""
    if text.count(",") == 5:
        return numbers(6, "X,Y,Z,R,P,Y")(text)
    return numbers(7, "X,Y,Z,QX,QY,QZ,QW")(text)


def numbers(count: int, form: str) -> Callable[[str], tuple[float, ...]]:
    """Return what reads so many finite numbers between commas.

    Args:
        count: How many.
        form: What they are, for the message: "X,Y,Z".
    """

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count or not all(map(math.isfinite, values)):
            raise argparse.ArgumentTypeError(f"'{text}' is not {form}, {count} numbers")
        return values

    return parse


def with_lists_attached(arguments: list[str]) -> list[str]:
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
