# SPDX-License-Identifier: Apache-2.0
"""From files to a folder of results: reading, calibrating and saving, in one place.

Command line, calibrator node, datasets and sets of cameras all do it by this.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from calib_all_ros.calibration import CalibrationRun, Mark, calibrate
from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.marks import SEARCHED_FRAME
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.input_files import InputFiles, RecordingSource, shared_fields
from calib_all_ros.loading import load_recording
from calib_all_ros.pictures.heat_map import HEAT_MAP_NAME, draw_votes
from calib_all_ros.pictures.overlay import save_png
from calib_all_ros.pictures.results import write_pictures
from calib_all_ros.pictures.track_video import write_track
from calib_all_ros.progress import Progress, silent
from calib_all_ros.recording.recording import Recording
from calib_all_ros.report.page import write_report
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot, load_robot, read_description
from calib_all_ros.second_arm import joined_description, joint_prefixes
from calib_all_ros.settings import Settings

logger = logging.getLogger(__name__)


def load_images(files: InputFiles) -> Recording:
    """Read the recording, its robot left aside.

    Raises:
        CalibAllError: It cannot be read, or the robot description is not there.
    """
    # A wrong path to the description shows before a large bag is read.
    urdf = joined_description(files, None)
    if urdf is not None:
        urdf = read_description(urdf, mesh_paths=files.mesh_paths)
    joint_topics = files.joint_topics
    if joint_topics is not None:
        joint_topics = (*joint_topics, *(files.second_joint_topics or ()))
    source = shared_fields(RecordingSource, files)
    source |= {"urdf": urdf, "joint_topics": joint_topics}
    return load_recording(
        RecordingSource(files.recording, joint_prefixes=joint_prefixes(files), **source)
    )


def load_inputs(files: InputFiles) -> tuple[Recording, Robot]:
    """Read the recording and the robot, and log what the user should know of them.

    Raises:
        CalibAllError: One of them cannot be read, or there is no robot description.
    """
    recording = load_images(files)
    description = joined_description(files, recording.urdf)
    if description is None:
        raise CalibAllError(
            f"{files.recording} holds no robot description: give one (--urdf FILE, or the node's "
            "parameter urdf)"
        )
    robot = load_robot(description, base_frame=files.base_frame, mesh_paths=files.mesh_paths)
    # A recording of another robot names a base that this one lacks; that its joints do not match
    # says more than that.
    base = recording.base_frame
    others = [link for link in robot.kinematics.link_names if link != robot.kinematics.base_frame]
    if files.base_frame is None and base in others:
        robot = load_robot(description, base_frame=base, mesh_paths=files.mesh_paths)
    for warning in recording.warnings:
        logger.warning(warning)
    for note in (*recording.notes, *robot.notes):
        logger.info(note)
    return recording, robot


class CalibrationJob:
    """A recording and its robot on the way to a folder of results.

    Attributes:
        recording: The recording.
        robot: Its robot.
    """

    def __init__(
        self,
        recording: Recording,
        robot: Robot,
        on_progress: Progress = silent,
        read_s: float = 0.0,
    ) -> None:
        """Take what was read, in ``read_s`` seconds.

        Args:
            recording: The recording.
            robot: Its robot.
            on_progress: Called with the name of a stage and its finished share.
            read_s: Goes to the stage times.
        """
        self.recording = recording
        self.robot = robot
        self._on_progress = on_progress
        self._read_s = read_s

    @classmethod
    def read(cls, files: InputFiles, on_progress: Progress = silent) -> CalibrationJob:
        """Read recording and robot.

        Raises:
            CalibAllError: One of them cannot be read, or there is no robot description.
        """
        began = time.perf_counter()
        on_progress("read", 0.0)
        recording, robot = load_inputs(files)
        on_progress("read", 1.0)
        return cls(recording, robot, on_progress, time.perf_counter() - began)

    def calibrate(
        self, settings: Settings, mark: Mark | None = None, mark_link: str | None = None
    ) -> CalibrationRun:
        """Do what :func:`calib_all_ros.calibration.calibrate` does.

        Raises:
            CalibAllError: The input cannot be used.
        """
        return calibrate(
            self.recording,
            self.robot,
            mark=mark,
            mark_link=mark_link,
            settings=settings,
            on_progress=self._on_progress,
        )

    def save(
        self, folder: Path, calibration: Calibration, evidence: Evidence | None = None
    ) -> Calibration:
        """Write pictures, ``report.html`` and ``calibration.yaml``; return what that file holds.

        Args:
            folder: Where to write.
            calibration: The result.
            evidence: What was seen in the images; without it the report has fewer plots.

        Raises:
            ResultError: A file cannot be written.
        """
        recording, robot, report = self.recording, self.robot, self._on_progress
        began = time.perf_counter()
        write_pictures(folder, calibration, recording, robot, report)
        if evidence is not None:
            write_track(folder, calibration, evidence, recording, robot)
            _write_mark_search(folder, calibration, evidence, recording)
        stages = calibration.provenance.stage_times_s
        times = {"read": self._read_s, **stages, "pictures": time.perf_counter() - began}
        calibration = _with_stage_times(calibration, times)
        began = time.perf_counter()
        report("report", 0.0)
        write_report(folder, calibration, recording, robot, evidence)
        times["report"] = time.perf_counter() - began
        calibration = _with_stage_times(calibration, times)
        calibration.save(folder)
        report("report", 1.0)
        return calibration


def _write_mark_search(
    folder: Path, calibration: Calibration, evidence: Evidence, recording: Recording
) -> None:
    """Show where the mark was looked for, also where it was not surely found."""
    if not evidence.mark_votes:
        return
    places = [vote.match.best.pixel for vote in evidence.mark_votes if vote.agrees]
    pixel = np.median(places, axis=0) if places else None
    said = [choice.why for choice in calibration.provenance.evidence if choice.part == "mark"]
    picture = draw_votes(
        recording.images[SEARCHED_FRAME], evidence.mark_votes, "; ".join(said), pixel
    )
    save_png(folder / HEAT_MAP_NAME, picture)


def _with_stage_times(calibration: Calibration, times: dict[str, float]) -> Calibration:
    return replace(calibration, provenance=replace(calibration.provenance, stage_times_s=times))
