# SPDX-License-Identifier: Apache-2.0
"""What `calib_all dataset` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calib_all_ros.input_files import InputSelection


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(InputSelection):
    """The arguments of `calib_all dataset`; the image topic and the times are not among them.

    Attributes:
        source: LeRobot dataset, or folder of recordings.
        out: Folder of results.
        cameras: Names of cameras or patterns of them.
        episodes: Names of episodes or patterns of them.
        intrinsics: Files of intrinsics by camera.
        joint_episodes: So many episodes of a setup at most are solved together.
        joint_frames: The joint solve is fitted to so many times the images of a single one.
        tolerance_mm: By how much an episode's own pose may differ from its setup's.
        tolerance_deg: The same of the rotation.
        reports: Which solves write pictures and a page.
        write_lerobot: New LeRobot dataset with the results as features; None writes none.
        redo: Do again what is done.
        retry: Begin jobs again that ended the process too often.
        keep: Keep what was done with other settings.
        strict: Exit with 3 for rejected episodes, too.
        ray: Run on Ray.
        address: Ray cluster to join.
        workers: Cores of this machine to use on Ray.
        memory_mb: Memory that a job is given on Ray.
        time_limit_s: After which a job on Ray is given up, 0 for never.
        frames: Images that a pose is fitted to.
        config: File of settings.
        seed: Seed of everything random.
        json: Print JSON instead of a table.
        quiet: Print errors only.
    """

    source: Path
    out: Path
    cameras: tuple[str, ...] = ()
    episodes: tuple[str, ...] = ()
    intrinsics: tuple[tuple[str, Path], ...] = ()
    joint_episodes: int = 8
    joint_frames: int = 3
    tolerance_mm: float = 5.0
    tolerance_deg: float = 0.5
    reports: Literal["all", "none"] = "all"
    write_lerobot: Path | None = None
    redo: bool = False
    retry: bool = False
    keep: bool = False
    strict: bool = False
    ray: bool = False
    address: str | None = None
    workers: int | None = None
    memory_mb: float = 0.0
    time_limit_s: float = 0.0
    frames: int | None = None
    config: Path | None = None
    seed: int | None = None
    json: bool = False
    quiet: bool = False
