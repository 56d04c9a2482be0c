# SPDX-License-Identifier: Apache-2.0
"""Folders of results, which are whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.plan import Reports
from calib_all_ros.dataset.setups import CameraSetup
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report.page import REPORT_NAME
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solve_job import CalibrationJob

SETUP_FILE = "setup.yaml"
_LEFT_BY_KILLED = ".unfinished-*"
# An episode that had a page of its own may get a setup's.
_EARLIER = (*RESULT_PICTURES, "contact_sheet.png", REPORT_NAME)


def solve_into(
    target: Path,
    recording: Recording,
    robot: Robot,
    settings: Settings,
    reports: Reports,
    note: str = "",
) -> Calibration:
    """Calibrate a recording and write its folder of results.

    Args:
        target: The folder.
        recording: An episode, or several as one.
        robot: Its robot.
        settings: Of the solve.
        reports: Whether to write pictures and a page, too.
        note: Goes with the result.

    Raises:
        CalibAllError: The recording cannot be used, or the folder cannot be written.
    """
    job = CalibrationJob(recording, robot)
    run = job.calibrate(settings)
    calibration = run.calibration
    if note:
        calibration = replace(calibration, notes=(note, *calibration.notes))
    with fresh(target) as folder:
        if reports == "none":
            calibration.save(folder)
            return calibration
        return job.save(folder, calibration, run.evidence)


@contextmanager
def fresh(target: Path) -> Iterator[Path]:
    """Do as `whole_or_nothing`, in a folder in which a killed process may have left something."""
    for left in target.glob(_LEFT_BY_KILLED):
        shutil.rmtree(left, ignore_errors=True)
    with whole_or_nothing(target, _EARLIER) as folder:
        yield folder


def describe_setup(
    folder: Path,
    setup: CameraSetup,
    parts: Mapping[EpisodeRef, Recording],
    left_out: Mapping[str, str],
    calibration: Calibration,
) -> None:
    """Write which episodes a setup consists of, and whose image is which of the joint recording.

    Args:
        folder: Where to.
        setup: The setup.
        parts: What was solved together.
        left_out: What was to be, and why it was not.
        calibration: The result.

    Raises:
        ResultError: The file cannot be written.
    """
    first, table = 0, []
    for ref, part in parts.items():
        table.append(
            {"episode": ref.name, "source": ref.source, "first_image": first, "images": len(part)}
        )
        first += len(part)
    document = {
        "setup": setup.name,
        "verdict": calibration.verdict.status,
        "members": [ref.name for ref in setup.members],
        "solved_with": table,
        "left_out": left_out,
    }
    text = yaml_text.dump(document, tables=("solved_with",))
    write_atomically(folder / SETUP_FILE, text.encode())
