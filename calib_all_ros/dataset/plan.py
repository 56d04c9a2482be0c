# SPDX-License-Identifier: Apache-2.0
"""Plan of a dataset: what all its jobs have in common, and where their results go."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib_all_ros import __version__
from calib_all_ros.checking.check import Tolerance
from calib_all_ros.dataset.episodes import DatasetSelection
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.settings import Settings

Reports = Literal["all", "none"]
EPISODES, SETUPS, SURVEYS = "episodes", "setups", ".survey"


@dataclass(frozen=True)
class DatasetPlan:
    """What all jobs of a dataset have in common.

    Attributes:
        out: Folder of results, absolute; every process must see it.
        selection: What is read of every episode.
        settings: Of every solve.
        reports: "all": every solve writes pictures and a page; "none": results only.
        joint_episodes: So many episodes of a setup at most are solved together; the others are
            compared with the pose. 1 solves each episode alone.
        joint_frames: The joint solve is fitted to so many times the images of a single one.
        tolerance_mm: By how much an episode's own pose may differ from its setup's.
        tolerance_deg: The same of the rotation.
        package_version: Of the package that the jobs are meant for.
    """

    out: Path
    selection: DatasetSelection
    settings: Settings
    reports: Reports = "all"
    joint_episodes: int = 8
    joint_frames: int = 3
    tolerance_mm: float = 5.0
    tolerance_deg: float = 0.5
    package_version: str = __version__

    def check_version(self) -> None:
        """Raise DatasetError where another version of the package is installed.

        A node of a cluster may have one.
        """
        if self.package_version != __version__:
            raise DatasetError(
                f"the node {platform.node()} has calib_all_ros {__version__}, not "
                f"{self.package_version}: install one version on all nodes"
            )

    @property
    def tolerance(self) -> Tolerance:
        """By how much an episode's own pose may differ from its setup's."""
        return Tolerance(self.tolerance_mm, self.tolerance_deg)
