# SPDX-License-Identifier: Apache-2.0
"""The whole calibration as one function: recording and robot in, pose and verdict out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone

import numpy as np

from calib_all_ros import __version__
from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.comparison import Solution
from calib_all_ros.evidence.gathering import Gathered, gather
from calib_all_ros.evidence.sources import EvidenceSources, evidence_sources
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Covariance, FrameQuality, Provenance, RobotRecord
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.evidence import Evidence
from calib_all_ros.solving.mark_route import Mark
from calib_all_ros.solving.route import refined_parameters

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


def calibrate(
    recording: Recording,
    robot: Robot,
    *,
    mark: Mark | None = None,
    mark_link: str | None = None,
    settings: Settings | None = None,
    sources: EvidenceSources | None = None,
    on_progress: Progress | None = None,
) -> Calibration:
    """Find the pose of the camera of a recording relative to the robot's base.

    With masks in the recording the robot's silhouette is fitted to them; without, to what moves
    in the images, and, where foundation models are installed, to the masks that they make of these
    images: the better result counts. A mark, given or found by a model, is tracked and gives one
    more start; the search without a mark runs all the same and the better start wins. So poor
    evidence does no harm.

    Args:
        recording: Images, camera and joint states; the camera must not move.
        robot: The robot.
        mark: A point on a link, seen in one image.
        mark_link: Link that carries the mark where none is given but one is found; None takes the
            link that the reference marks name.
        settings: The defaults where None.
        sources: The models; those that the settings ask for where None.
        on_progress: Called with the name of the stage and its finished share.

    Raises:
        CalibAllError: The input cannot be used; the message says why. A pose that cannot be
            vouched for is not an error but a rejected verdict.
    """
    calibration, _ = calibrate_with_evidence(
        recording,
        robot,
        mark=mark,
        mark_link=mark_link,
        settings=settings,
        sources=sources,
        on_progress=on_progress,
    )
    return calibration


def calibrate_with_evidence(
    recording: Recording,
    robot: Robot,
    *,
    mark: Mark | None = None,
    mark_link: str | None = None,
    settings: Settings | None = None,
    sources: EvidenceSources | None = None,
    on_progress: Progress | None = None,
) -> tuple[Calibration, Evidence]:
    """Do what :func:`calibrate` does, and return also what was seen in the images."""
    calibration, evidence, _ = calibrate_with_solution(
        recording,
        robot,
        mark=mark,
        mark_link=mark_link,
        settings=settings,
        sources=sources,
        on_progress=on_progress,
    )
    return calibration, evidence


def calibrate_with_solution(
    recording: Recording,
    robot: Robot,
    *,
    mark: Mark | None = None,
    mark_link: str | None = None,
    settings: Settings | None = None,
    sources: EvidenceSources | None = None,
    on_progress: Progress | None = None,
) -> tuple[Calibration, Evidence, Solution]:
    """Do what :func:`calibrate` does, and return also what the pose was fitted to, linearised."""
    settings = settings or Settings()
    stages = _Stages(on_progress)
    sources = sources or evidence_sources(settings)
    gathered = gather(recording, robot, mark, mark_link, settings, sources, stages)
    for choice in gathered.choices:
        logger.info("evidence, %s", choice)
    calibration = _assemble(recording, robot, gathered, settings, stages)
    logger.info("verdict: %s", calibration.verdict.status)
    for reason in calibration.verdict.reasons:
        logger.info("  %s", reason)
    result, outcome = gathered.solution.result, gathered.outcome
    evidence = Evidence(
        gathered.solution.observations.view,
        result.masks,
        None if outcome is None else outcome.track,
        "" if outcome is None else outcome.summary,
        result.timing,
        result.trace,
        gathered.marking.votes,
    )
    return calibration, evidence, gathered.solution


def _assemble(
    recording: Recording,
    robot: Robot,
    gathered: Gathered,
    settings: Settings,
    stages: _Stages,
) -> Calibration:
    solution, mark, outcome = gathered.solution, gathered.marking.mark, gathered.outcome
    result, diagnosis = solution.result, solution.diagnosis
    uncertainty = diagnosis.uncertainty
    estimate = result.estimate
    if not np.isfinite(estimate.T_camera_base).all():
        raise CalibAllError(
            f"the solve on {recording.source} diverged: the images do not show this robot moving"
        )
    quality = {
        "iou_median": float(np.median(result.iou[result.used])),
        "iou_worst": float(np.min(result.iou[result.used])),
        **result.quality,
        **diagnosis.quality,
    }
    contour_px = result.contour_px[result.used & np.isfinite(result.contour_px)]
    if len(contour_px):
        quality["contour_median_px"] = float(np.median(contour_px))
    refinement = refined_parameters(settings)
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
        verdict=solution.verdict,
        provenance=Provenance(
            recording=recording.source,
            fingerprint=recording.fingerprint,
            package_version=__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            frames_used=tuple(int(n) for n in solution.frame_numbers[result.used]),
            settings=settings.to_mapping(),
            stage_times_s=dict(stages.times_s),
            evidence=gathered.choices,
        ),
        quality=quality,
        frames=_frame_table(solution),
        notes=solution.observations.notes,
        covariance=None if uncertainty is None else Covariance(uncertainty.covariance),
        lag_ms=1e3 * estimate.lag_s if refinement.lag else None,
        mask_bias_px=estimate.mask_bias_px if refinement.mask_bias else None,
        point_offset_m=None if outcome is None else outcome.point_in_link,
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


def _frame_table(solution: Solution) -> tuple[FrameQuality, ...]:
    result, observations = solution.result, solution.observations
    stamps = observations.motion.stamps_ns[observations.solve]
    rows = []
    for i, number in enumerate(solution.frame_numbers):
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
