# SPDX-License-Identifier: Apache-2.0
"""The whole calibration as one function: recording and robot in, pose and verdict out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from calib_all_ros import __version__
from calib_all_ros.errors import CalibAllError
from calib_all_ros.quality.diagnosis import Diagnosis, diagnose
from calib_all_ros.quality.verdict import verdict_of
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Covariance, FrameQuality, Provenance, RobotRecord
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.evidence import Evidence
from calib_all_ros.solving.image_route import solve_from_images
from calib_all_ros.solving.mark_route import Mark, MarkOutcome, check_mark, start_from_mark
from calib_all_ros.solving.mask_route import solve_from_masks
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.route import RouteResult

__all__ = ["Evidence", "Mark", "calibrate", "calibrate_with_evidence"]

Progress = Callable[[str, float], None]
logger = logging.getLogger(__name__)


class _Stages:
    """Passes progress on and measures how long each stage takes."""

    def __init__(self, on_progress: Progress | None) -> None:
        self._on_progress = on_progress
        self._since = time.perf_counter()
        self._current: str | None = None
        self.times_s: dict[str, float] = {}

    def __call__(self, stage: str, share: float) -> None:
        now = time.perf_counter()
        if self._current is not None:
            self.times_s[self._current] = self.times_s.get(self._current, 0.0) + now - self._since
        self._since = now
        self._current = stage
        if self._on_progress:
            self._on_progress(stage, share)


@dataclass(frozen=True)
class _Parts:
    """All that a result is put together from."""

    observations: Observations
    result: RouteResult
    mark: MarkOutcome | None
    diagnosis: Diagnosis

    @property
    def frame_numbers(self) -> NDArray[np.intp]:
        return self.observations.frames[self.observations.solve]


def calibrate(
    recording: Recording,
    robot: Robot,
    *,
    mark: Mark | None = None,
    settings: Settings | None = None,
    on_progress: Progress | None = None,
) -> Calibration:
    """Find the pose of the camera of a recording relative to the robot's base.

    With masks in the recording the robot's silhouette is fitted to them; without, to what moves
    in the images. A mark is tracked and gives one more start; the search without a mark runs all
    the same and the better start wins, so that a poor track does no harm.

    Args:
        recording: Images, camera and joint states; the camera must not move.
        robot: The robot.
        mark: A point on a link, seen in one image.
        settings: The defaults where None.
        on_progress: Called with the name of the stage and its finished share.

    Raises:
        CalibAllError: The input cannot be used; the message says why. A pose that cannot be
            vouched for is not an error but a rejected verdict.
    """
    calibration, _ = calibrate_with_evidence(
        recording, robot, mark=mark, settings=settings, on_progress=on_progress
    )
    return calibration


def calibrate_with_evidence(
    recording: Recording,
    robot: Robot,
    *,
    mark: Mark | None = None,
    settings: Settings | None = None,
    on_progress: Progress | None = None,
) -> tuple[Calibration, Evidence]:
    """Do what :func:`calibrate` does, and return also what was seen in the images."""
    settings = settings or Settings()
    stages = _Stages(on_progress)
    stages("prepare", 0.0)
    if mark is not None:
        check_mark(mark, recording, robot)
    observations = prepare(recording, robot, settings.frames)
    logger.info(
        "using %d images for the pose: %s",
        len(observations.solve),
        observations.frames[observations.solve].tolist(),
    )
    outcome = None
    if mark is not None:
        stages("mark", 0.0)
        outcome = start_from_mark(mark, recording, observations, settings.mark)
        logger.info("mark: %s", outcome.summary)
    starts = () if outcome is None or outcome.start is None else (outcome.start,)
    solve = solve_from_images if observations.masks is None else solve_from_masks
    logger.info("evidence: %s", "images" if observations.masks is None else "recorded masks")
    result = solve(observations, settings, starts, stages)
    logger.info("the %s gave the better start", result.start.source)
    stages("verdict", 0.0)
    diagnosis = diagnose(observations, result, settings, outcome)
    parts = _Parts(observations, result, outcome, diagnosis)
    calibration = _assemble(recording, robot, mark, settings, parts, stages)
    logger.info("verdict: %s", calibration.verdict.status)
    for reason in calibration.verdict.reasons:
        logger.info("  %s", reason)
    evidence = Evidence(
        observations.view,
        result.masks,
        None if outcome is None else outcome.track,
        "" if outcome is None else outcome.summary,
        result.timing,
        result.trace,
    )
    return calibration, evidence


def _assemble(
    recording: Recording,
    robot: Robot,
    mark: Mark | None,
    settings: Settings,
    parts: _Parts,
    stages: _Stages,
) -> Calibration:
    result, uncertainty = parts.result, parts.diagnosis.uncertainty
    estimate = result.estimate
    if not np.isfinite(estimate.T_camera_base).all():
        raise CalibAllError(
            f"the solve on {recording.source} diverged: the images do not show this robot moving"
        )
    verdict = verdict_of(parts.diagnosis.findings, parts.observations.warnings)
    quality = {
        "iou_median": float(np.median(result.iou[result.used])),
        "iou_worst": float(np.min(result.iou[result.used])),
        **result.quality,
        **parts.diagnosis.quality,
    }
    contour_px = result.contour_px[result.used & np.isfinite(result.contour_px)]
    if len(contour_px):
        quality["contour_median_px"] = float(np.median(contour_px))
    refinement = settings.refinement
    mark_used = parts.mark is not None and parts.mark.start is not None
    stages("done", 1.0)
    return Calibration(
        T_camera_base=estimate.T_camera_base,
        camera=recording.camera,
        robot=RobotRecord(
            robot.name,
            robot.kinematics.base_frame,
            None if mark is None else mark.link,
            robot.description_hash,
        ),
        verdict=verdict,
        provenance=Provenance(
            recording=recording.source,
            fingerprint=recording.fingerprint,
            package_version=__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            frames_used=tuple(int(n) for n in parts.frame_numbers[result.used]),
            settings=settings.to_mapping(),
            stage_times_s=dict(stages.times_s),
        ),
        quality=quality,
        frames=_frame_table(parts),
        notes=parts.observations.notes,
        covariance=None if uncertainty is None else Covariance(uncertainty.covariance),
        lag_ms=1e3 * estimate.lag_s if refinement.lag else None,
        mask_bias_px=estimate.mask_bias_px if refinement.mask_bias else None,
        point_offset_m=parts.mark.point_in_link if mark_used and parts.mark else None,
        focal_scale=estimate.focal_scale if refinement.focal_scale else None,
        joint_offsets=_joint_offsets(estimate, robot),
        stages={
            "coarse": result.start.T_camera_base,
            "refined": estimate.T_camera_base,
        },
    )


def _joint_offsets(estimate: Estimate, robot: Robot) -> dict[str, float] | None:
    if estimate.joint_offsets is None:
        return None
    names = robot.kinematics.joint_names
    return {name: float(offset) for name, offset in zip(names, estimate.joint_offsets, strict=True)}


def _frame_table(parts: _Parts) -> tuple[FrameQuality, ...]:
    result, observations = parts.result, parts.observations
    stamps = observations.motion.stamps_ns[observations.solve]
    rows = []
    for i, number in enumerate(parts.frame_numbers):
        own_lag = result.own_lag_s[i] + result.estimate.lag_s
        rows.append(
            FrameQuality(
                index=int(number),
                stamp_ns=int(stamps[i]),
                iou=float(result.iou[i]),
                contour_px=float(result.contour_px[i]) if result.contour_px[i] >= 0 else None,
                lag_ms=1e3 * float(own_lag) if np.isfinite(own_lag) else None,
                used=bool(result.used[i]),
            )
        )
    return tuple(rows)
