# SPDX-License-Identifier: Apache-2.0
"""What `calib_all annotate` and `calib_all trajectory` are asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calib_all_ros.commands.options import RecordingOptions


@dataclass(frozen=True, kw_only=True)
class CalibratedOptions(RecordingOptions):
    """What the commands that use a calibration on a recording have in common.

    Attributes:
        calibration: A result of this package: file, folder or name.
        eef_link: The end-effector; None finds it.
        force: Whether to use a rejected calibration, or one of another robot.
    """

    calibration: str
    eef_link: str | None = None
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class AnnotateOptions(CalibratedOptions):
    """The arguments of `calib_all annotate`; one of the first three is given.

    Attributes:
        out: Folder of annotations; None writes none.
        bag: New bag; None writes none.
        lerobot: Folder of a new LeRobot dataset; None writes none.
        gripper_links: Links of the gripper masks; None finds them.
        every: Frames whose number is a multiple of it are annotated.
        only: Parts of the folder and of the dataset; None writes all.
    """

    out: Path | None = None
    bag: Path | None = None
    lerobot: Path | None = None
    gripper_links: tuple[str, ...] | None = None
    every: int = 1
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class TrajectoryOptions(CalibratedOptions):
    """The arguments of `calib_all trajectory`.

    Attributes:
        tables: Predicted trajectories, FILE or NAME=FILE each.
        out: A .png file, or a folder.
        frame: Number of the image that is drawn on, and at which the predictions begin.
        rate_hz: Steps per second of tables without times; None takes the rate of the images.
        steps: How many steps are drawn; None draws all.
        columns: Names for the columns of tables that have none.
    """

    tables: tuple[str, ...]
    out: Path
    frame: int = 0
    rate_hz: float | None = None
    steps: int | None = None
    columns: tuple[str, ...] | None = None
