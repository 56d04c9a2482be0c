# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all trajectory`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from calib_all_ros.commands.annotate_arguments import (
    add_calibration,
    add_end_effector,
    positive,
)
from calib_all_ros.commands.arguments import (
    OF_RECORDING,
    Commands,
    add_robot,
    add_second_arm,
    add_streams,
    add_verbosity,
    names,
)


def add_trajectory(commands: Commands) -> None:
    """Add `calib_all trajectory`."""
    parser = commands.add_parser(
        "trajectory",
        help="draw predicted actions in the image, beside what the robot did",
        description="Draw trajectories of the end-effector, predicted by policies, in an image of "
        "a calibrated camera, beside the one that the robot executed, and measure how far they "
        "are apart.",
        epilog="A table has one row a step: positions in the base frame (x,y,z in metres) or joint "
        "values (columns called as the joints); time_s, seconds after the image that is drawn on, "
        "or stamp_ns may be among the columns; else rows follow each other at --rate, the first at "
        "the image. exit codes: 0 done, 2 bad input or usage, 1 internal error, 130 interrupted",
    )
    parser.add_argument(
        "recording",
        type=Path,
        metavar="RECORDING|IMAGE",
        help="a recording as for calibrate, or a .png or .jpg of the calibrated camera",
    )
    add_calibration(parser)
    parser.add_argument(
        "--table",
        action="append",
        required=True,
        dest="tables",
        metavar="[NAME=]FILE",
        help="predicted trajectory, .csv, .parquet or .npy; may be repeated",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PNG|DIR", help="a .png file, or a folder"
    )
    parser.add_argument(
        "--frame",
        type=_number,
        default=0,
        metavar="N",
        help="number of the image that is drawn on, from 0 (default: 0)",
    )
    parser.add_argument(
        "--rate",
        type=_rate,
        dest="rate_hz",
        metavar="HZ",
        help="steps per second of tables without times; default: that of the images",
    )
    parser.add_argument(
        "--steps", type=positive, metavar="N", help="draw and compare the first N steps only"
    )
    parser.add_argument(
        "--columns",
        type=names,
        metavar="A,B,...",
        help="names of the columns of an .npy file; default: x,y,z",
    )
    robot = parser.add_argument_group("robot")
    add_robot(robot, OF_RECORDING)
    add_end_effector(robot)
    add_second_arm(parser.add_argument_group("second arm with a description of its own"))
    add_streams(parser.add_argument_group("recording"))
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the errors as one JSON object")
    add_verbosity(output)


def _number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0")
    return number


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number
