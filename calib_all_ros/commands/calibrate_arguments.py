# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all calibrate`, `simulate` and `demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from calib_all_ros.commands.arguments import (
    EXIT_CODES,
    OF_RECORDING,
    Commands,
    add_recording,
    add_robot,
    add_second_arm,
    add_settings,
    add_streams,
    add_verbosity,
    size,
)


def add_calibrate(commands: Commands) -> None:
    """Add `calib_all calibrate`."""
    parser = commands.add_parser(
        "calibrate",
        help="calibrate a recording",
        description="Find the camera's pose from a recording, and write it with its verdict, "
        "pictures and log.",
        epilog=EXIT_CODES,
    )
    add_recording(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")

    add_robot(parser.add_argument_group("robot"), OF_RECORDING)
    add_second_arm(parser.add_argument_group("second arm with a description of its own"))
    add_streams(parser.add_argument_group("recording"))

    evidence = parser.add_argument_group("mark and masks")
    evidence.add_argument(
        "--mark",
        type=_pixel,
        metavar="U,V",
        help="pixel of a mark on the end-effector; default: none is needed",
    )
    evidence.add_argument(
        "--eef-link", metavar="LINK", help="link that carries the mark, given or found"
    )
    evidence.add_argument(
        "--mark-frame",
        type=int,
        metavar="N",
        help="number of the image that --mark refers to, from 0 (default: 0)",
    )
    evidence.add_argument(
        "--masks",
        default="auto",
        metavar="auto|images|grounded_sam2|recorded|TOPIC|FOLDER",
        help="robot masks: found from the images themselves (images), made by Grounding DINO and "
        "SAM 2 (grounded_sam2), the better of both where these are installed (auto, the default), "
        "or recorded: on a topic, in a folder, or in the recording's own (recorded)",
    )

    models = parser.add_argument_group("foundation models (see `calib_all doctor`)")
    models.add_argument(
        "--references",
        type=Path,
        metavar="DIR",
        help="reference marks, by which DINOv2 finds the mark where --mark is not given",
    )
    models.add_argument(
        "--tracker",
        choices=("auto", "lucas_kanade", "cotracker", "cotracker_online"),
        help="what follows the mark; default: CoTracker3 where it is installed",
    )
    models.add_argument(
        "--prompt", metavar="WORDS", help='what Grounding DINO looks for (default: "robotic arm")'
    )
    models.add_argument(
        "--click",
        action="append",
        default=[],
        dest="clicks",
        metavar="U,V[@N]",
        help="pixel on the robot, of image N (default: 0), where no box can be found; may be "
        "repeated",
    )
    models.add_argument(
        "--click-beside",
        action="append",
        default=[],
        dest="clicks_beside",
        metavar="U,V[@N]",
        help="pixel beside the robot, alike",
    )
    models.add_argument(
        "--checkpoints", type=Path, metavar="DIR", help="default: $CALIB_ALL_CHECKPOINTS"
    )
    models.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: auto)")

    solve = parser.add_argument_group("solve")
    add_settings(solve, "images that the pose is fitted to")

    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_verbosity(output)


def add_simulate(commands: Commands) -> None:
    """Add `calib_all simulate`."""
    parser = commands.add_parser(
        "simulate",
        help="make a recording with a known camera",
        description="Simulate a robot that moves in front of a camera and write the recording, "
        "with the true pose of the camera.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="new folder of the recording")
    add_robot(parser, "the package's own demo arm")
    _add_simulation(parser)
    parser.add_argument("--bag", action="store_true", help="write a rosbag2 (without the truth)")
    parser.add_argument("--rate", type=float, metavar="HZ", help="images per second")
    parser.add_argument("--size", type=size, metavar="WxH", help="image size in pixels")
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
    add_verbosity(parser)


def add_demo(commands: Commands) -> None:
    """Add `calib_all demo`."""
    parser = commands.add_parser(
        "demo",
        help="simulate a recording and calibrate it",
        description="Simulate a recording of the demo arm, calibrate it, and compare the result "
        "with the known truth.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "out", type=Path, nargs="?", default=Path("demo"), metavar="DIR", help="default: demo"
    )
    _add_simulation(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_verbosity(parser)


def _add_simulation(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--frames", type=int, metavar="N", help="number of images")
    parser.add_argument("--seed", type=int, help="seed of everything random")


def _pixel(text: str) -> tuple[float, float]:
    try:
        u, v = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not U,V, e.g. 312,207.5") from None
    return u, v


def _distortion(text: str) -> tuple[str, tuple[float, ...]]:
    model, _, numbers = text.partition(":")
    try:
        return model, tuple(float(number) for number in numbers.split(",") if number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not MODEL:K1,K2,..., e.g. plumb_bob:-0.3,0,0,0,0"
        ) from None
