# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all check` and `calib_all compare`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from calib_all_ros.commands.arguments import (
    OF_RECORDING,
    Commands,
    Parser,
    add_masks,
    add_recording,
    add_robot,
    add_second_arm,
    add_settings,
    add_streams,
    add_verbosity,
)


def add_check(commands: Commands) -> None:
    """Add `calib_all check`."""
    parser = commands.add_parser(
        "check",
        help="measure given extrinsics on a recording",
        description="Measure how far given extrinsics are from those that a recording asks for.",
        epilog="exit codes: 0 accepted or warning, 3 rejected, 4 cannot say because the recording "
        "does not allow a judgement, 2 bad input or usage, 1 internal error, 130 interrupted",
    )
    add_recording(parser)
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
    add_verbosity(output)


def add_compare(commands: Commands) -> None:
    """Add `calib_all compare`."""
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
    add_verbosity(output)


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


def _add_checked(parser: Parser) -> None:
    """Add what says how a recording is read to check extrinsics on it."""
    add_robot(parser.add_argument_group("robot"), OF_RECORDING)
    add_second_arm(parser.add_argument_group("second arm with a description of its own"))
    add_streams(parser.add_argument_group("recording"))
    solve = parser.add_argument_group("check")
    add_masks(solve)
    add_settings(solve, "images to compare with")


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number
