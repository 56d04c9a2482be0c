# SPDX-License-Identifier: Apache-2.0
"""`calib_all cameras`: calibrate several cameras of one recording, by themselves and together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from calib_all_ros import __version__
from calib_all_ros.camera_set import CameraSet, SeparateResult, refine_cameras
from calib_all_ros.commands.calibrate import settings_of
from calib_all_ros.commands.cameras_inputs import (
    CameraInput,
    CamerasError,
    camera_inputs,
    clock_groups,
)
from calib_all_ros.commands.cameras_options import CamerasOptions
from calib_all_ros.commands.cameras_report import as_json, as_table
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.rendering.compilation import COMPILING, announce_compilation
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.cameras_file import CameraRecord, CamerasResult
from calib_all_ros.results.records import Status, Verdict
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.settings import Settings
from calib_all_ros.solve_job import CalibrationJob

logger = logging.getLogger(__name__)


class _Camera:
    """One camera on its way from the recording to its folder of results."""

    def __init__(self, given: CameraInput, bars: StageBars, place: str) -> None:
        """Read its part of the recording."""
        self.given = given
        self._bars, self._place = bars, place
        self._evidence: Evidence | None = None
        with _naming(given):
            self.job = CalibrationJob.read(given.files, self._report)

    def calibrate(self, settings: Settings) -> SeparateResult:
        """Calibrate it by itself."""
        with _naming(self.given):
            run = self.job.calibrate(settings)
        self._evidence = run.evidence
        return SeparateResult(self.given.name, run.calibration, run.solution)

    def save(self, folder: Path, calibration: Calibration) -> Calibration:
        """Write a calibration of this camera, and return what was written."""
        return self.job.save(folder, calibration, self._evidence)

    def _report(self, stage: str, share: float) -> None:
        self._bars(f"{self._place} {stage}", share)


@contextmanager
def _naming(given: CameraInput) -> Iterator[None]:
    """Say in an error which camera it is about."""
    try:
        yield
    except CalibAllError as error:
        raise CamerasError(f"camera {given.name}: {error}") from error


def run_cameras(options: CamerasOptions, log: RunLog) -> Status:
    """Calibrate the cameras, write the results and print the report.

    Args:
        options: What to do.
        log: Goes with the results.

    Returns:
        The status of the verdict on all of them.

    Raises:
        CalibAllError: The input cannot be used, no camera can be calibrated, or the results cannot
            be written.
    """
    settings = settings_of(options)
    inputs = camera_inputs(options)
    clocks = clock_groups(options.clocks, inputs)
    quiet = options.quiet or options.json
    earlier = tuple(f"{each.name}/{pattern}" for each in inputs for pattern in RESULT_PICTURES)
    # The folder comes first: that it cannot be written must not turn up after the work.
    with whole_or_nothing(options.out, earlier) as folder, StageBars(quiet=quiet) as bars:

        def announce() -> None:
            logger.info(COMPILING)
            bars.say(COMPILING)

        with announce_compilation(announce):
            # All that cannot be read shows before the first solve.
            cameras = [
                _Camera(given, bars, f"{number}/{len(inputs)}")
                for number, given in enumerate(inputs, start=1)
            ]
            solved, separate, failures = _calibrated(cameras, settings)
            together = _with_failures(refine_cameras(separate, clocks), failures)
            result = _write(folder, solved, together)
        log.copy_to(folder)
    if options.json:
        print(as_json(result, options.out))
    elif not options.quiet:
        print(as_table(result, options.out))
    return result.verdict.status


def _calibrated(
    cameras: Sequence[_Camera], settings: Settings
) -> tuple[list[_Camera], list[SeparateResult], list[CamerasError]]:
    """Calibrate each camera by itself: those that could be, their results, and the errors.

    Raises:
        CamerasError: That of the first camera, where none can be calibrated.
    """
    solved: list[_Camera] = []
    separate: list[SeparateResult] = []
    failures: list[CamerasError] = []
    for camera in cameras:
        try:
            separate.append(camera.calibrate(_with_masks(settings, camera.given)))
            solved.append(camera)
        except CamerasError as error:
            # What the other cameras give is not lost with it.
            logger.warning(error)
            failures.append(error)
    if not separate:
        raise failures[0]
    return solved, separate, failures


def _with_failures(together: CameraSet, failures: Sequence[CamerasError]) -> CameraSet:
    """Say which cameras have no result; without one they count as rejected."""
    if not failures:
        return together
    sentences = tuple(str(error) for error in failures)
    return replace(
        together,
        verdict=Verdict("rejected", (*sentences, *together.verdict.reasons)),
        notes=(*together.notes, *(f"{sentence}; it has no folder" for sentence in sentences)),
    )


def _with_masks(settings: Settings, given: CameraInput) -> Settings:
    if given.mask_source is None:
        return settings
    return replace(settings, masks=replace(settings.masks, source=given.mask_source))


def _write(folder: Path, cameras: Sequence[_Camera], together: CameraSet) -> CamerasResult:
    records = []
    for each in cameras:
        name = each.given.name
        calibration = each.save(folder / name, together.calibrations[name])
        records.append(
            CameraRecord(
                name=name,
                image_topic=each.given.topic,
                folder=name,
                verdict=calibration.verdict.status,
                frame=calibration.camera.frame_id,
                T_base_camera=calibration.T_base_camera,
                covariance=calibration.covariance,
                lag_ms=calibration.lag_ms,
            )
        )
    first = cameras[0]
    result = CamerasResult(
        recording=first.job.recording.source,
        base_frame=first.job.robot.kinematics.base_frame,
        verdict=together.verdict,
        cameras=tuple(records),
        joint=together.joint,
        relative_poses=together.relative_poses,
        notes=together.notes,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        package_version=__version__,
    )
    result.save(folder)
    return result
