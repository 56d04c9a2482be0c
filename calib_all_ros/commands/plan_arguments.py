# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all plan`."""

from __future__ import annotations

import argparse
from pathlib import Path

from calib_all_ros.commands.arguments import (
    Commands,
    add_robot,
    add_verbosity,
    names,
    numbers,
    size,
)


def add_plan(commands: Commands) -> None:
    """Add `calib_all plan`."""
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
    add_robot(robot, None)
    robot.add_argument(
        "--joints",
        type=names,
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
        type=numbers(6, "XMIN,XMAX,YMIN,YMAX,ZMIN,ZMAX"),
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
    add_verbosity(output)


def _add_plan_camera(camera: argparse._ActionsContainer) -> None:
    camera.add_argument(
        "--camera", type=Path, metavar="FILE", help="intrinsics: camera.json or camera_info YAML"
    )
    camera.add_argument(
        "--resolution", type=size, metavar="WxH", help="image size in pixels, with --hfov"
    )
    camera.add_argument("--hfov", type=float, metavar="DEG", help="horizontal field of view")
    camera.add_argument(
        "--camera-position",
        type=numbers(3, "X,Y,Z"),
        metavar="X,Y,Z",
        help="about where the camera is, metres in the base frame",
    )
    camera.add_argument(
        "--look-at",
        type=numbers(3, "X,Y,Z"),
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
        type=numbers(2, "M,DEG"),
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
