# SPDX-License-Identifier: Apache-2.0
"""`calib_all calibrate`: read, calibrate, write the folder of results, report."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from calib_all_ros.calibration import Mark
from calib_all_ros.commands.options import CalibrateOptions, CommandError, settings_of
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import Rows, answer, listed, pose_rows, table, verdict_rows
from calib_all_ros.errors import exit_code_of
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.robot.description import Robot
from calib_all_ros.solve_job import CalibrationJob
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import match_joints
from calib_all_ros.solving.pose_errors import PoseErrors, pose_errors

logger = logging.getLogger(__name__)

# The others are in calibration.yaml and report.html.
_SHOWN = (
    "iou_median",
    "contour_median_px",
    "outline_share",
    "edge_share",
    "edge_within_1px_share",
)


def run(options: CalibrateOptions, log: RunLog) -> int:
    """Calibrate a recording, write the results and print the report; return the exit code.

    Raises:
        CalibAllError: The input cannot be used, or the results cannot be written.
    """
    settings = settings_of(options)
    if options.mark is None and options.mark_frame is not None:
        raise CommandError("--mark-frame says more about a mark: give --mark U,V, too")
    # The folder comes first: that it cannot be written must not turn up after the work.
    with (
        whole_or_nothing(options.out, RESULT_PICTURES) as folder,
        StageBars(quiet=options.silent) as bars,
    ):
        job = CalibrationJob.read(options.input_files(), bars)
        solved = job.calibrate(settings, _mark(options, job.robot), options.eef_link)
        calibration = job.save(folder, solved.calibration, solved.evidence)
        errors = _errors(calibration, job.recording, job.robot)
        if errors is not None:
            logger.info("against the truth that the recording carries: %s", errors)
        log.copy_to(folder)
        names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    files = [options.out / name for name in names]
    text = calibration_table(calibration, files, errors)
    answer(options, calibration_document(calibration, files, errors), text)
    return exit_code_of(calibration.verdict.status)


def _mark(options: CalibrateOptions, robot: Robot) -> Mark | None:
    if options.mark is None:
        return None
    if options.eef_link is None:
        raise CommandError(
            "--mark needs --eef-link, the link that carries the mark; the robot has: "
            f"{', '.join(robot.kinematics.link_names)}"
        )
    return Mark(pixel=options.mark, frame=options.mark_frame or 0, link=options.eef_link)


def _errors(calibration: Calibration, recording: Recording, robot: Robot) -> PoseErrors | None:
    """Compare with the pose that the recording carries, if it speaks of the same base."""
    truth = recording.reference_T_camera_base
    if truth is None or recording.base_frame not in (None, robot.kinematics.base_frame):
        return None
    assumed = match_joints(robot.kinematics, recording.joints).assumed
    used = np.array(calibration.provenance.frames_used, dtype=np.intp)
    motion = RobotMotion(
        robot.kinematics, recording.joints, recording.image_stamps_ns[used], assumed
    )
    return pose_errors(calibration.T_camera_base, truth, robot, motion)


def calibration_document(
    calibration: Calibration, files: list[Path], errors: PoseErrors | None
) -> dict[str, Any]:
    """Return everything for JSON.

    Args:
        calibration: The result.
        files: What was written.
        errors: Against the true pose that the recording carries, None where it carries none.
    """
    verdict, provenance = calibration.verdict, calibration.provenance
    return {
        "verdict": verdict.status,
        "reasons": verdict.reasons,
        "causes": verdict.causes,
        "findings": [asdict(finding) for finding in verdict.findings],
        "base_frame": calibration.robot.base_frame,
        "camera_frame": calibration.camera.frame_id,
        "T_base_camera": calibration.T_base_camera,
        "T_camera_base": calibration.T_camera_base,
        "covariance": calibration.covariance and calibration.covariance.matrix,
        "lag_ms": calibration.lag_ms,
        "quality": calibration.quality,
        "errors": errors and asdict(errors),
        "frames_used": provenance.frames_used,
        "evidence": [asdict(choice) for choice in provenance.evidence],
        "stage_times_s": provenance.stage_times_s,
        "files": files,
    }


def calibration_table(
    calibration: Calibration, files: list[Path], errors: PoseErrors | None
) -> str:
    """Return a table of some ten lines: verdict, pose, agreement, times, files."""
    verdict, provenance, quality = calibration.verdict, calibration.provenance, calibration.quality
    rows = verdict_rows(verdict.status, verdict.reasons)
    rows.append(("Camera", f"{calibration.camera.frame_id} in {calibration.robot.base_frame}"))
    rows += pose_rows(calibration.T_base_camera)
    if calibration.lag_ms is not None:
        rows.append(("Lag", f"{calibration.lag_ms:+.1f} ms (images stamped later than taken)"))
    used = len(provenance.frames_used)
    rows.append(("Frames", f"{used} of {len(calibration.frames)} chosen ones used"))
    rows += listed("Evidence", provenance.evidence)
    rows += _certainty(calibration)
    rows += _wrapped("Agreement", [f"{n} {quality[n]:.3g}" for n in _SHOWN if n in quality])
    if errors is not None:
        rows.append(
            (
                "Against truth",
                f"{errors.rotation_deg:.3f} deg, {errors.position_mm:.2f} mm, "
                f"ADD {errors.add_mm:.2f} mm",
            )
        )
    rows += listed("Notes", calibration.notes, "- ")
    times = provenance.stage_times_s
    rows += _wrapped("Time", [f"{stage} {seconds:.1f} s" for stage, seconds in times.items()])
    rows.append(("  in total", f"{sum(times.values()):.1f} s"))
    return table(rows + listed("Files", files))


def _certainty(calibration: Calibration) -> Rows:
    """Return how sure the pose is, as far as that was measured."""
    quality = calibration.quality
    rows = []
    if "expected_position_mm" in quality and calibration.verdict.status != "rejected":
        rows.append(
            (
                "Expected error",
                f"within {quality['expected_position_mm']:.1f} mm and "
                f"{quality['expected_rotation_deg']:.2f} deg in nine of ten cases",
            )
        )
    if "leave_some_out_position_mm" in quality:
        rows.append(
            (
                "Scatter",
                f"{quality['leave_some_out_position_mm']:.2f} mm and "
                f"{quality['leave_some_out_rotation_deg']:.3f} deg when a quarter of the images "
                "is left out",
            )
        )
    if "held_out_outline_share" in quality:
        rows.append(
            (
                "Held out",
                f"{quality['held_out_frames']:.0f} other images agree along "
                f"{100 * quality['held_out_outline_share']:.0f} % of the outline",
            )
        )
    if quality.get("starts_tried"):
        rows.append(
            (
                "Starts",
                f"{quality['starts_agreeing']:.0f} of {quality['starts_tried']:.0f} agree, best "
                f"other pose {100 * quality['rival_share']:.0f} % as good",
            )
        )
    return rows


def _wrapped(label: str, items: list[str], per_line: int = 4) -> Rows:
    return listed(
        label, [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    )
