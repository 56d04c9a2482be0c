# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all dataset`."""

from __future__ import annotations

import argparse
from pathlib import Path

from calib_all_ros.commands.arguments import (
    OF_RECORDING,
    Commands,
    add_robot,
    add_settings,
    add_verbosity,
    names,
)

EXIT_CODES = (
    "exit codes: 0 every episode has a verdict (rejected ones too, unless --strict), 3 some "
    "episodes failed (or, with --strict, were rejected), 2 bad input or usage, 1 internal error, "
    "130 interrupted; what is done is kept, the same command goes on with the rest"
)


def add_dataset(commands: Commands) -> None:
    """Add `calib_all dataset`."""
    parser = commands.add_parser(
        "dataset",
        help="calibrate all episodes and cameras of a dataset",
        description="Calibrate every episode and camera of a LeRobot dataset or of a folder of "
        "recordings. Episodes between which the camera stood still are found and solved together. "
        "Ends with table.csv, table.parquet and index.html in the folder of results. Killed and "
        "started again, it goes on where it was.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="LeRobot dataset (v2.1 or v3.0), or folder with bags, recording folders or .npz",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of results; on a cluster, one that all nodes see under this path",
    )
    add_robot(parser.add_argument_group("robot"), OF_RECORDING)
    _add_episodes(parser.add_argument_group("episodes"))
    _add_setups(parser.add_argument_group("camera setups"))
    solve = parser.add_argument_group("solve")
    add_settings(solve, "images that the pose of a single episode is fitted to")
    _add_machines(parser.add_argument_group("machines"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--reports",
        choices=("all", "none"),
        default="all",
        help="pictures and report.html of every solve (all, the default), or results only (none), "
        "which saves a second or two of each solve",
    )
    output.add_argument(
        "--write-lerobot",
        type=Path,
        metavar="DIR",
        help="write a LeRobot dataset anew, with poses, intrinsics and verdicts as features",
    )
    again = output.add_mutually_exclusive_group()
    again.add_argument("--redo", action="store_true", help="do everything again")
    again.add_argument(
        "--keep",
        action="store_true",
        help="go on with other settings than before; what is done stays as it is",
    )
    output.add_argument(
        "--retry",
        action="store_true",
        help="begin jobs again that were given up because they ended the whole process",
    )
    output.add_argument(
        "--strict", action="store_true", help="exit with 3 also if episodes were rejected"
    )
    output.add_argument("--json", action="store_true", help="print a summary as one JSON object")
    add_verbosity(output)


def _add_episodes(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--only-camera",
        action="append",
        default=[],
        dest="cameras",
        metavar="NAME",
        help="image topic or feature, or a pattern ('*wrist*'); may be repeated; default: all",
    )
    group.add_argument(
        "--only-episode",
        action="append",
        default=[],
        dest="episodes",
        metavar="NAME",
        help="name or number of an episode, or a pattern; may be repeated; default: all",
    )
    group.add_argument(
        "--joint-topic",
        action="append",
        dest="joint_topics",
        metavar="TOPIC",
        help="of bags; may be repeated; default: all joint states",
    )
    group.add_argument(
        "--joint-names",
        type=names,
        metavar="A,B,...",
        help="joints of an .npz or a LeRobot dataset in the order of their columns",
    )
    group.add_argument(
        "--camera",
        type=Path,
        metavar="FILE",
        help="intrinsics to use instead of the recordings': camera.json or camera_info YAML",
    )
    group.add_argument(
        "--intrinsics",
        type=_named_file,
        action="append",
        default=[],
        metavar="CAMERA=FILE",
        help="the same for one camera; may be repeated",
    )
    group.add_argument(
        "--masks",
        default="auto",
        metavar="auto|recorded",
        help="robot masks: made from the images (auto, the default) or the recordings' own",
    )


def _add_setups(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--joint-episodes",
        type=_positive,
        default=8,
        metavar="N",
        help="so many episodes of a setup at most are solved together, the others are compared "
        "with the pose (default: %(default)s; 1 solves every episode alone)",
    )
    group.add_argument(
        "--joint-frames",
        type=_positive,
        default=3,
        metavar="N",
        help="fit a setup to N times the images of an episode (default: %(default)s)",
    )
    group.add_argument(
        "--tolerance-mm",
        type=float,
        default=5.0,
        metavar="MM",
        help="by how much an episode's own pose may differ from its setup's (default: %(default)g)",
    )
    group.add_argument(
        "--tolerance-deg", type=float, default=0.5, metavar="DEG", help="default: %(default)g"
    )


def _add_machines(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--ray",
        action="store_true",
        help="run on Ray, on the cores of this machine; default: in this process, one by one",
    )
    group.add_argument(
        "--address", metavar="HOST:PORT|auto", help="run on the Ray cluster there (implies --ray)"
    )
    group.add_argument(
        "--workers", type=_positive, metavar="N", help="cores of this machine (default: all)"
    )
    group.add_argument(
        "--memory",
        type=float,
        default=0.0,
        dest="memory_mb",
        metavar="MB",
        help="which each job is given on Ray (default: Ray watches the machine's memory)",
    )
    group.add_argument(
        "--time-limit",
        type=float,
        default=0.0,
        dest="time_limit_s",
        metavar="S",
        help="give a job up so long after it was handed to Ray (default: never)",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def _named_file(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not name or not equals or not file:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not CAMERA=FILE, e.g. observation.images.top=top.yaml"
        )
    return name, Path(file)
