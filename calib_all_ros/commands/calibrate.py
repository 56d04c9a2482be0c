# SPDX-License-Identifier: Apache-2.0
"""`calib_all calibrate`: read, calibrate, write the folder of results, report."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from calib_all_ros.calibration import Mark, calibrate
from calib_all_ros.commands.options import CalibrateOptions
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import FinishedCalibration, as_json, as_table
from calib_all_ros.commands.run_log import RunLog
from calib_all_ros.errors import CalibAllError
from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.pictures.results import write_pictures
from calib_all_ros.quality.errors_against_truth import PoseErrors, pose_errors
from calib_all_ros.recording.loading import load_recording
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.compilation import announce_compilation
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Status
from calib_all_ros.robot.description import Robot, load_robot, read_description
from calib_all_ros.settings import Settings
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import match_joints

# Numbered by frame, so those of an earlier run would stay among the new ones.
_PICTURES = "overlay_*.png"
_COMPILING = "compiling kernels, in the first run only (about 20 s)"
logger = logging.getLogger(__name__)


class CalibrateError(CalibAllError):
    """Arguments of `calib_all calibrate` that do not go together."""


def run_calibrate(options: CalibrateOptions, log: RunLog) -> Status:
    """Calibrate a recording, write the results and print the report.

    Args:
        options: What to do.
        log: Goes with the results.

    Returns:
        The status of the verdict.

    Raises:
        CalibAllError: The input cannot be used, or the results cannot be written.
    """
    settings = _settings(options)
    _check_mark_arguments(options)
    quiet = options.quiet or options.json
    # The folder comes first: that it cannot be written must not turn up after the work.
    with whole_or_nothing(options.out, _PICTURES) as folder, StageBars(quiet=quiet) as bars:

        def announce() -> None:
            logger.info(_COMPILING)
            bars.say(_COMPILING)

        with announce_compilation(announce):
            finished = _calibrate_into(folder, options, settings, bars)
        log.copy_to(folder)
        files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    finished = replace(finished, files=tuple(options.out / name for name in files))
    if options.json:
        print(as_json(finished))
    elif not options.quiet:
        print(as_table(finished))
    return finished.calibration.verdict.status


def _settings(options: CalibrateOptions) -> Settings:
    settings = Settings() if options.config is None else Settings.from_file(options.config)
    if options.frames is not None:
        settings = replace(settings, frames=replace(settings.frames, count=options.frames))
    if options.seed is not None:
        settings = replace(settings, seed=options.seed)
    return settings


def _check_mark_arguments(options: CalibrateOptions) -> None:
    if options.mark is None:
        for name, value in (("eef-link", options.eef_link), ("mark-frame", options.mark_frame)):
            if value is not None:
                raise CalibrateError(f"--{name} says more about a mark: give --mark U,V, too")


def _calibrate_into(
    folder: Path, options: CalibrateOptions, settings: Settings, bars: StageBars
) -> FinishedCalibration:
    began = time.perf_counter()
    bars("read", 0.0)
    recording, robot = _load(options)
    mark = _mark(options, robot)
    for warning in (*recording.warnings, *robot.warnings):
        logger.warning(warning)
    read = time.perf_counter()
    bars("read", 1.0)
    calibration = calibrate(recording, robot, mark=mark, settings=settings, on_progress=bars)
    solved = time.perf_counter()
    write_pictures(folder, calibration, recording, robot, bars)
    drawn = time.perf_counter()
    stages = calibration.provenance.stage_times_s
    times = {"read": read - began, **stages, "pictures": drawn - solved}
    calibration = replace(
        calibration, provenance=replace(calibration.provenance, stage_times_s=times)
    )
    calibration.save(folder)
    errors = _errors(calibration, recording, robot)
    if errors is not None:
        logger.info("against the truth that the recording carries: %s", errors)
    return FinishedCalibration(calibration, (), errors)


def _load(options: CalibrateOptions) -> tuple[Recording, Robot]:
    # A wrong path to the description shows before a large bag is read.
    urdf = None
    if options.urdf is not None:
        urdf = read_description(options.urdf, mesh_paths=options.mesh_paths)
    recording = load_recording(
        options.recording,
        image_topic=options.image_topic,
        camera_info_topic=options.camera_info_topic,
        joint_topics=options.joint_topics,
        masks=options.masks,
        camera=options.camera,
        urdf=urdf,
        joint_names=options.joint_names,
        start_s=options.start,
        end_s=options.end,
    )
    description = options.urdf or recording.urdf
    if description is None:
        raise CalibrateError(
            f"{options.recording} holds no robot description: give one with --urdf FILE"
        )
    robot = load_robot(description, base_frame=options.base_frame, mesh_paths=options.mesh_paths)
    # A recording of another robot names a base that this one lacks; that its joints do not match
    # says more than that.
    base = recording.base_frame
    others = [link for link in robot.kinematics.link_names if link != robot.kinematics.base_frame]
    if options.base_frame is None and base in others:
        robot = load_robot(description, base_frame=base, mesh_paths=options.mesh_paths)
    return recording, robot


def _mark(options: CalibrateOptions, robot: Robot) -> Mark | None:
    if options.mark is None:
        return None
    if options.eef_link is None:
        raise CalibrateError(
            "--mark needs --eef-link, the link that carries the mark; the robot has: "
            f"{', '.join(robot.kinematics.link_names)}"
        )
    return Mark(pixel=options.mark, frame=options.mark_frame or 0, link=options.eef_link)


def _errors(calibration: Calibration, recording: Recording, robot: Robot) -> PoseErrors | None:
    """Compare with the pose that the recording carries, if it speaks of the same base."""
    truth = recording.reference_T_camera_base
    if truth is None or recording.base_frame not in (None, robot.kinematics.base_frame):
        return None
    assumed = match_joints(robot.kinematics, recording.joints.names).assumed
    used = np.array(calibration.provenance.frames_used, dtype=np.intp)
    motion = RobotMotion(
        robot.kinematics, recording.joints, recording.image_stamps_ns[used], assumed
    )
    return pose_errors(calibration.T_camera_base, truth, robot, motion)
