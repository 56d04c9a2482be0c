# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all mark add`, `list` and `find`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from calib_all_ros.commands.arguments import (
    Commands,
    Parser,
    add_streams,
    add_verbosity,
    numbers,
)

_SOURCE = "a picture (PNG, JPEG ...) or a recording as calib_all calibrate reads it"


def add_mark(commands: Commands) -> None:
    """Add `calib_all mark` and what it can do."""
    parser = commands.add_parser(
        "mark",
        help="keep reference marks, and find them in images",
        description="Keep reference marks (a picture and where in it the mark is), and find the "
        "place that they point at in images of this or another robot, with DINOv2.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_add(actions)
    _add_list(actions)
    _add_find(actions)


def _add_add(actions: Commands) -> None:
    parser = actions.add_parser(
        "add",
        help="add a reference mark",
        description="Add a reference mark: the picture is copied, what is said of it is written "
        "beside it. All references of a folder must be of the same place on a robot.",
    )
    parser.add_argument("source", type=Path, metavar="PICTURE", help=_SOURCE)
    parser.add_argument(
        "--pixel",
        type=numbers(2, "U,V"),
        required=True,
        metavar="U,V",
        help="where the mark is in the picture; pixel centres are at integer coordinates",
    )
    parser.add_argument(
        "--link", required=True, metavar="LINK", help="link of that robot that carries the mark"
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="anything to remember")
    parser.add_argument("--name", metavar="NAME", help="default: the picture's name")
    _add_references(parser)
    _add_recording(parser)
    _add_output(parser)


def _add_list(actions: Commands) -> None:
    parser = actions.add_parser(
        "list", help="list the reference marks", description="List the reference marks."
    )
    _add_references(parser)
    _add_output(parser)


def _add_find(actions: Commands) -> None:
    parser = actions.add_parser(
        "find",
        help="find the mark in an image",
        description="Find in an image what the reference marks point at, and write a heat map.",
        epilog="exit codes: 0 found, 2 not surely found (the heat map is written) or bad input, "
        "1 internal error, 130 interrupted",
    )
    parser.add_argument("source", type=Path, metavar="IMAGE_OR_RECORDING", help=_SOURCE)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for mark_heat_map.png (default: the current one)",
    )
    _add_references(parser)
    parser.add_argument("--link", metavar="LINK", help="take only reference marks on this link")
    limits = parser.add_argument_group("when a match counts")
    limits.add_argument(
        "--similarity",
        type=_share,
        metavar="S",
        help="least cosine similarity, 0 to 1 (default: 0.5)",
    )
    limits.add_argument(
        "--margin",
        type=_share,
        metavar="M",
        help="by how much any other place must be less similar, 0 to 1 (default: 0.05)",
    )
    models = parser.add_argument_group("models")
    models.add_argument(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help="folder with the checkpoint of DINOv2; default: $CALIB_ALL_CHECKPOINTS, else "
        "~/.local/share/calib_all_ros/checkpoints",
    )
    models.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|cuda:N", help="default: auto"
    )
    _add_recording(parser)
    _add_output(parser)


def _add_references(parser: Parser) -> None:
    parser.add_argument(
        "--references",
        type=Path,
        metavar="DIR",
        help="folder of reference marks; default: $CALIB_ALL_MARKS, else "
        "~/.local/share/calib_all_ros/marks",
    )


def _add_recording(parser: Parser) -> None:
    group = parser.add_argument_group("recording, where one is given")
    group.add_argument(
        "--frame",
        type=_frame,
        metavar="N",
        help="number of the image, from 0 (default: the first)",
    )
    add_streams(group)


def _add_output(parser: Parser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print one JSON object")
    add_verbosity(output)


def _frame(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not the number of an image, 0 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 <= number <= 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return number
