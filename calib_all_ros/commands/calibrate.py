# SPDX-License-Identifier: Apache-2.0
"""`calib_all calibrate`: read, calibrate, write the folder of results, report."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from calib_all_ros.calibration import Mark
from calib_all_ros.commands.options import CalibrateOptions, RecordingOptions
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import FinishedCalibration, as_json, as_table
from calib_all_ros.errors import CalibAllError
from calib_all_ros.input_files import MASK_SOURCES
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.compilation import COMPILING, announce_compilation
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Status
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import MarkSettings, MaskSettings, ModelSettings, Settings
from calib_all_ros.solve_job import CalibrationJob
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import match_joints
from calib_all_ros.solving.pose_errors import PoseErrors, pose_errors

logger = logging.getLogger(__name__)

Group = TypeVar("Group", MarkSettings, MaskSettings, ModelSettings)


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
    settings = _with_evidence(settings_of(options), options)
    _check_mark_arguments(options)
    quiet = options.quiet or options.json
    # The folder comes first: that it cannot be written must not turn up after the work.
    with whole_or_nothing(options.out, RESULT_PICTURES) as folder, StageBars(quiet=quiet) as bars:

        def announce() -> None:
            logger.info(COMPILING)
            bars.say(COMPILING)

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


def settings_of(options: RecordingOptions) -> Settings:
    """Return the settings that the options ask for.

    Raises:
        SettingsError: The file cannot be read, or a value is impossible.
    """
    settings = Settings() if options.config is None else Settings.from_file(options.config)
    if options.frames is not None:
        settings = replace(settings, frames=replace(settings.frames, count=options.frames))
    return settings if options.seed is None else replace(settings, seed=options.seed)


def _with_evidence(settings: Settings, options: CalibrateOptions) -> Settings:
    """Return the settings with what the options say about mark, masks and models."""
    source = options.masks if options.masks in MASK_SOURCES else None
    return replace(
        settings,
        mark=_given(settings.mark, references=options.references, tracker=options.tracker),
        masks=_given(
            settings.masks,
            source=source,
            prompt=options.prompt,
            clicks=options.clicks,
            clicks_beside=options.clicks_beside,
        ),
        models=_given(settings.models, checkpoints=options.checkpoints, device=options.device),
    )


def _given(group: Group, **values: Any) -> Group:
    """Return a group of settings with those values that were given."""
    given: dict[str, Any] = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in values.items()
        if value not in (None, ())
    }
    return replace(group, **given)


def _check_mark_arguments(options: CalibrateOptions) -> None:
    if options.mark is None and options.mark_frame is not None:
        raise CalibrateError("--mark-frame says more about a mark: give --mark U,V, too")


def _calibrate_into(
    folder: Path, options: CalibrateOptions, settings: Settings, bars: StageBars
) -> FinishedCalibration:
    job = CalibrationJob.read(options.input_files(), bars)
    run = job.calibrate(settings, _mark(options, job.robot), options.eef_link)
    calibration = job.save(folder, run.calibration, run.evidence)
    errors = _errors(calibration, job.recording, job.robot)
    if errors is not None:
        logger.info("against the truth that the recording carries: %s", errors)
    return FinishedCalibration(calibration, (), errors)


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
