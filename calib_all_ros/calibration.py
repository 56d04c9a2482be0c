# SPDX-License-Identifier: Apache-2.0
"""The whole calibration as one function: recording and robot in, pose and verdict out."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import numpy as np

from calib_all_ros import __version__
from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.marks import MarkEvidence, choose_mark, follow_mark
from calib_all_ros.evidence.masks import may_go_without, require_masks, with_model_masks
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.evidence.sources import EvidenceSources, evidence_sources
from calib_all_ros.models.libraries import failures_of
from calib_all_ros.progress import Progress, silent
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.renderer import find_renderer
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Covariance, EvidenceChoice, Provenance, RobotRecord
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solution import Solution, better, solve
from calib_all_ros.solving.mark import Mark
from calib_all_ros.solving.observations import prepare
from calib_all_ros.solving.pipeline import Start

__all__ = ["CalibrationRun", "Mark", "calibrate"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CalibrationRun:
    """A calibration with all that it was made from.

    Attributes:
        calibration: The result, as it is saved.
        evidence: What was seen in the images: for pictures and reports.
        solution: What the pose was fitted to, linearised: for several cameras together.
    """

    calibration: Calibration
    evidence: Evidence
    solution: Solution


def calibrate(
    recording: Recording,
    robot: Robot,
    *,
    mark: Mark | None = None,
    mark_link: str | None = None,
    settings: Settings | None = None,
    sources: EvidenceSources | None = None,
    on_progress: Progress = silent,
) -> CalibrationRun:
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
    settings = settings or Settings()
    stages = _StageClock(on_progress)
    sources = sources or evidence_sources(settings)
    stages("prepare", 0.0)
    with failures_of("nvdiffrast"):
        renderer = find_renderer(settings.rendering.backend, settings.models.device)
    require_masks(recording, settings, sources)

    # Evidence: the images, recorded masks, a mark and its track.
    marked = choose_mark(recording, robot, mark, mark_link, settings.mark, sources)
    observations = prepare(recording, robot, settings.frames, renderer)
    if marked.mark is not None:
        stages("mark", 0.0)
        marked = follow_mark(marked, recording, observations, settings.mark, sources)

    # Coarse pose, refined pose and diagnosis; without recorded masks from the images alone.
    by_outlines = replace(settings, refinement=replace(settings.refinement, method="contour"))
    wanted = by_outlines if recording.masks is None else settings
    solution = solve(observations, wanted, marked.starts, marked.examined, stages)

    # The same from masks that a model makes, if it can; the better of both.
    masked = EvidenceChoice("masks", "recorded", "the recording brings them")
    if recording.masks is None:
        solution, masked = _with_model_masks(
            recording, robot, solution, marked, settings, sources, stages
        )

    calibration = _result(recording, robot, solution, marked, masked, settings, stages)
    return CalibrationRun(calibration, _evidence(solution, marked), solution)


class _StageClock:
    """Passes progress on and measures how long each stage takes."""

    def __init__(self, on_progress: Progress) -> None:
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
        self._on_progress(stage, share)


def _with_model_masks(
    recording: Recording,
    robot: Robot,
    images: Solution,
    marked: MarkEvidence,
    settings: Settings,
    sources: EvidenceSources,
    on_progress: Progress,
) -> tuple[Solution, EvidenceChoice]:
    """Try the masks of a model beside the images, and keep the better of both."""
    if settings.masks.source == "images":
        return images, EvidenceChoice("masks", "images", "masks.source says so")
    on_progress("masks", 0.0)
    trusted = images.verdict.status != "rejected"
    starts = (*marked.starts, Start(images.result.estimate.T_camera_base, "images"))
    try:
        with_masks, summary = with_model_masks(
            recording, images.observations, images.result.estimate if trusted else None, sources
        )
        observations = prepare(with_masks, robot, settings.frames, images.observations.renderer)
        with failures_of("nvdiffrast") if settings.rendering.backend != "cpu" else nullcontext():
            masks = solve(observations, settings, starts, marked.examined, on_progress)
    except CalibAllError as error:
        if not may_go_without(error, settings):
            raise
        return images, EvidenceChoice("masks", "images", f"Grounded SAM 2 was not used: {error}")
    if settings.refinement.method == "adam":
        why = "refinement.method adam needs masks"
        return masks, EvidenceChoice("masks", "grounded_sam2", f"{why}; {summary}")
    chosen, why = better(images, masks)
    used = "grounded_sam2" if chosen.observations.masks is not None else "images"
    return chosen, EvidenceChoice("masks", used, f"{why}; {summary}")


def _result(
    recording: Recording,
    robot: Robot,
    solution: Solution,
    marked: MarkEvidence,
    masked: EvidenceChoice,
    settings: Settings,
    stages: _StageClock,
) -> Calibration:
    """Return the solution in the form that people and files get."""
    result, diagnosis = solution.result, solution.diagnosis
    estimate, wanted = result.estimate, settings.refinement
    if not np.isfinite(estimate.T_camera_base).all():
        raise CalibAllError(
            f"the solve on {recording.source} diverged: the images do not show this robot moving"
        )
    choices = (*marked.choices, masked)
    for choice in choices:
        logger.info("evidence, %s", choice)
    logger.info("the %s gave the better start", result.start.source)
    logger.info("verdict: %s", solution.verdict.status)
    for reason in solution.verdict.reasons:
        logger.info("  %s", reason)
    quality = {
        "iou_median": float(np.median(result.iou[result.used])),
        "iou_worst": float(np.min(result.iou[result.used])),
        **result.quality,
        **diagnosis.quality,
    }
    contour_px = result.contour_px[result.used & np.isfinite(result.contour_px)]
    if len(contour_px):
        quality["contour_median_px"] = float(np.median(contour_px))
    offsets = None
    if estimate.joint_offsets is not None:
        names = robot.kinematics.joint_names
        offsets = dict(zip(names, map(float, estimate.joint_offsets), strict=True))
    uncertainty, by_outlines = diagnosis.uncertainty, wanted.method == "contour"
    stages("done", 1.0)
    return Calibration(
        T_camera_base=estimate.T_camera_base,
        camera=recording.camera,
        robot=RobotRecord(
            robot.name,
            robot.kinematics.base_frame,
            None if marked.mark is None else marked.mark.link,
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
            evidence=choices,
        ),
        quality=quality,
        frames=solution.frame_table(result.iou, result.contour_px, result.own_lag_s),
        notes=solution.observations.notes,
        covariance=None if uncertainty is None else Covariance(uncertainty.covariance),
        lag_ms=1e3 * estimate.lag_s if wanted.lag and by_outlines else None,
        mask_bias_px=estimate.mask_bias_px if wanted.mask_bias and by_outlines else None,
        point_offset_m=None if marked.outcome is None else marked.outcome.point_in_link,
        focal_scale=estimate.focal_scale if wanted.focal_scale and by_outlines else None,
        joint_offsets=offsets,
        stages={"coarse": result.start.T_camera_base, "refined": estimate.T_camera_base},
    )


def _evidence(solution: Solution, marked: MarkEvidence) -> Evidence:
    result, outcome = solution.result, marked.outcome
    return Evidence(
        view=solution.observations.view,
        masks=result.masks,
        track=None if outcome is None else outcome.track,
        mark_summary="" if outcome is None else outcome.summary,
        timing=result.timing,
        trace=result.trace,
        mark_votes=marked.votes,
    )
