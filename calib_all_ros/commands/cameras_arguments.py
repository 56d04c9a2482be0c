# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all cameras`."""

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
    add_verbosity,
    names,
)


def add_cameras(commands: Commands) -> None:
    """Add `calib_all cameras`."""
    parser = commands.add_parser(
        "cameras",
        help="calibrate several cameras of one recording together",
        description="Find the poses of several cameras of one recording, each by itself and then "
        "all together, and their poses relative to each other. One folder of results for each "
        "camera, and cameras.yaml.",
        epilog=f"{EXIT_CODES}; the verdict is that of the worst camera",
    )
    add_recording(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")

    add_robot(parser.add_argument_group("robot"), OF_RECORDING)
    add_second_arm(parser.add_argument_group("second arm with a description of its own"))
    _add_streams(parser.add_argument_group("cameras and recording"))

    solve = parser.add_argument_group("solve")
    solve.add_argument(
        "--clock",
        action="append",
        default=[],
        dest="clocks",
        metavar="auto|one|own|A,B,...",
        help="cameras that stamp by one clock, and so share one time lag: all (one), none (own), "
        "the named ones (may be repeated), or those whose lags agree (auto, the default)",
    )
    add_settings(solve, "images that each pose is fitted to")

    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_verbosity(output)


def _add_streams(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--image-topic",
        action="append",
        default=[],
        dest="image_topics",
        metavar="TOPIC",
        help="images of a camera, once for each; default: all with a camera info (of a LeRobot "
        "dataset: image features)",
    )
    group.add_argument(
        "--camera-info-topic",
        action="append",
        default=[],
        dest="camera_info_topics",
        metavar="TOPIC",
        help="once for each --image-topic, in that order; default: the image's",
    )
    group.add_argument(
        "--camera",
        action="append",
        type=Path,
        default=[],
        dest="camera_files",
        metavar="FILE",
        help="intrinsics to use instead of the recording's, once for each --image-topic",
    )
    group.add_argument(
        "--masks",
        action="append",
        default=[],
        dest="camera_masks",
        metavar="auto|images|grounded_sam2|TOPIC|FOLDER",
        help="as for `calib_all calibrate`: once, or once for each --image-topic",
    )
    group.add_argument(
        "--joint-topic",
        action="append",
        dest="joint_topics",
        metavar="TOPIC",
        help="may be repeated; default: all joint states",
    )
    group.add_argument(
        "--joint-names",
        type=names,
        metavar="A,B,...",
        help="joints of a LeRobot dataset in the order of its columns",
    )
    group.add_argument(
        "--start", type=float, dest="start_s", metavar="S", help="seconds after the first image"
    )
    group.add_argument(
        "--end", type=float, dest="end_s", metavar="S", help="seconds after the first image"
    )
