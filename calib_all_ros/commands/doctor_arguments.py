# SPDX-License-Identifier: Apache-2.0
"""The arguments of `calib_all doctor`."""

from __future__ import annotations

from pathlib import Path

from calib_all_ros.commands.arguments import Commands


def add_doctor(commands: Commands) -> None:
    """Add `calib_all doctor`."""
    parser = commands.add_parser(
        "doctor",
        help="say what is installed, and what to do for what is not",
        description="Look at this installation: libraries, models, checkpoints, GPUs and ROS 2. "
        "For each thing that is missing, say the next thing to do. Nothing is downloaded.",
        epilog="exit codes: 0 calibrations run here, whatever else is missing; 3 they do not, "
        "because a library of the core is missing or broken; 2 bad usage, 1 internal error, "
        "130 interrupted",
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help="folder of checkpoints; default: $CALIB_ALL_CHECKPOINTS, or "
        "calib_all_ros/checkpoints in the user's data folder (~/.local/share)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare the SHA-256 of the checkpoints with those published",
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the log as it grows")
