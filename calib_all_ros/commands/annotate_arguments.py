# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all annotate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from calib_all_ros.commands.arguments import (
    OF_RECORDING,
    Commands,
    add_recording,
    add_robot,
    add_second_arm,
    add_streams,
    add_verbosity,
    names,
)

PARTS = "depth (depth_png and depth_npy), masks, gripper, coco, trajectory, video"


def add_annotate(commands: Commands) -> None:
    """Add `calib_all annotate`."""
    parser = commands.add_parser(
        "annotate",
        help="label every frame of a recording by its calibration",
        description="Write what a calibrated camera sees of the robot in every frame: its depth, "
        "masks of its links and of the gripper, and the end-effector's pose and place in the "
        "image. Frames without joint states are left out, and said.",
        epilog="exit codes: 0 done, 2 bad input or usage (also a rejected calibration without "
        "--force), 1 internal error, 130 interrupted",
    )
    add_recording(parser)
    add_calibration(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="new folder of annotations")
    parser.add_argument(
        "--bag",
        type=Path,
        metavar="OUT",
        help="new bag: the recorded one's messages as they are, and the annotations beside them",
    )
    parser.add_argument(
        "--lerobot",
        type=Path,
        metavar="OUT",
        help="new LeRobot dataset: the recorded one (DATASET#episode=N,camera=KEY) with the "
        "annotations of this episode as features; or, where RECORDING is a whole dataset and the "
        "calibration a folder of `calib_all dataset`, of every episode and camera with a result",
    )
    chosen = parser.add_argument_group("what is annotated")
    chosen.add_argument(
        "--every", type=positive, default=1, metavar="N", help="every Nth image only"
    )
    chosen.add_argument("--only", type=names, metavar="PART,...", help=f"parts: {PARTS}")
    robot = parser.add_argument_group("robot")
    add_robot(robot, OF_RECORDING)
    add_second_arm(parser.add_argument_group("second arm with a description of its own"))
    add_end_effector(robot)
    robot.add_argument(
        "--gripper-links",
        type=names,
        metavar="A,B,...",
        help="links of the gripper masks; default: the link that carries the fingers, and what "
        "hangs on it",
    )
    add_streams(parser.add_argument_group("recording"))
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print a summary as one JSON object")
    add_verbosity(output)


def add_calibration(parser: argparse._ActionsContainer) -> None:
    """Add the calibration, which has to be given."""
    parser.add_argument(
        "--calibration",
        required=True,
        metavar="FILE|FOLDER|NAME",
        help="a result of calib_all: calibration.yaml, its folder, or the name of a saved result",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="use the calibration though it was rejected, or speaks of another robot",
    )


def add_end_effector(group: argparse._ActionsContainer) -> None:
    """Add the link whose origin is followed."""
    group.add_argument(
        "--eef-link",
        metavar="LINK",
        help="end-effector; default: the tool frame of the gripper, or the link that carries the "
        "fingers",
    )


def positive(text: str) -> int:
    """Read an integer above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return number
