# SPDX-License-Identifier: Apache-2.0
"""`calib_all check`: measure given extrinsics on a recording."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros import __version__
from calib_all_ros.checking.check import (
    ExtrinsicsCheck,
    Tolerance,
    check_evidence,
    check_extrinsics,
    checked_calibration,
)
from calib_all_ros.commands.calibrated import load_for, placed
from calib_all_ros.commands.options import CommandError, settings_of
from calib_all_ros.commands.progress import StageBars
from calib_all_ros.commands.report import Rows, answer, finite, listed, table, verdict_rows
from calib_all_ros.commands.result_options import CheckOptions
from calib_all_ros.errors import exit_code_of
from calib_all_ros.geometry import se3
from calib_all_ros.pictures.check_pictures import write_check_pictures
from calib_all_ros.pictures.output_folder import RESULT_PICTURES, whole_or_nothing
from calib_all_ros.report.page import write_report
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.extrinsics_file import GivenExtrinsics, load_result, read_extrinsics
from calib_all_ros.results.pose_text import parse_pose
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.solving.pose_errors import Compatibility, PoseDifference

logger = logging.getLogger(__name__)

FILE_NAME = "check.yaml"
LABEL_WIDTH = 16


def run(options: CheckOptions, log: RunLog) -> int:
    """Check extrinsics, write what was asked for and print the report; return the exit code.

    Raises:
        CalibAllError: The input cannot be used, or the files cannot be written.
    """
    given = _given(options)
    settings = settings_of(options)
    with ExitStack() as stack:
        folder = None
        if options.out is not None:
            # The folder comes first: that it cannot be written must not turn up after the work.
            folder = stack.enter_context(whole_or_nothing(options.out, RESULT_PICTURES))
        bars = stack.enter_context(StageBars(quiet=options.silent))
        bars("read", 0.0)
        recording, robot = load_for(options, given)
        recording, T_camera_base, notes = placed(given, options, recording, robot)
        bars("read", 1.0)
        check = check_extrinsics(
            recording,
            robot,
            T_camera_base,
            settings,
            bars,
            tolerance=Tolerance(options.tolerance_mm, options.tolerance_deg),
        )
        notes = (*notes, *check.reference.solution.observations.notes)
        finished = FinishedCheck(check, given.source, notes)
        logger.info("verdict: %s", check.status)
        for reason in check.reasons:
            logger.info("  %s", reason)
        if folder is not None and options.out is not None:
            bars("pictures", 0.0)
            names = _write(folder, finished, log)
            finished = replace(finished, files=tuple(options.out / name for name in names))
    document = {**check_document(finished), "files": finished.files}
    answer(options, document, check_table(finished))
    return exit_code_of(check.status)


def _given(options: CheckOptions) -> GivenExtrinsics:
    if options.calibration is not None:
        if options.transform is not None:
            raise CommandError(
                "--transform goes with --extrinsics or --pose: a result says itself which way it "
                "goes"
            )
        return load_result(options.calibration)
    if options.extrinsics is not None:
        return read_extrinsics(options.extrinsics, options.transform)
    assert options.pose is not None
    return parse_pose(options.pose, options.transform)


def _write(folder: Path, finished: FinishedCheck, log: RunLog) -> list[Path]:
    check = finished.check
    write_check_pictures(folder, check)
    calibration = checked_calibration(check, finished.notes)
    reference = check.reference
    write_report(folder, calibration, reference.recording, reference.robot, check_evidence(check))
    text = yaml_text.dump(check_document(finished), tables=("frames",))
    write_atomically(folder / FILE_NAME, text.encode())
    log.copy_to(folder)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True, eq=False)
class FinishedCheck:
    """What `calib_all check` has to tell.

    Attributes:
        check: What was found.
        source: Where the extrinsics came from.
        notes: What was assumed, and what is worth knowing, one sentence each.
        files: What was written.
    """

    check: ExtrinsicsCheck
    source: str
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def check_document(finished: FinishedCheck) -> dict[str, Any]:
    """Return everything in the order people read it, for YAML and JSON."""
    check = finished.check
    reference = check.reference
    recording, solution = reference.recording, reference.solution
    uncertainty, used = solution.diagnosis.uncertainty, solution.result.used
    return finite(
        {
            "verdict": check.status,
            "reasons": check.reasons,
            "extrinsics": finished.source,
            "base_frame": reference.robot.kinematics.base_frame,
            "camera_frame": recording.camera.frame_id,
            "contour_error_px": check.contour_px,
            "contour_error_of_best_px": check.best_contour_px,
            "outline_share": float(np.median(check.given.outline_share[used])),
            "outline_share_of_best": float(np.median(check.best.outline_share[used])),
            "estimated_error": {
                "meaning": "the given pose of the camera as seen from the one the images ask for",
                **difference_document(check.difference, check.compatibility),
                "robot_surface_mm": check.add_mm,
                "known_to_position_mm": uncertainty and uncertainty.expected_position_mm,
                "known_to_rotation_deg": uncertainty and uncertainty.expected_rotation_deg,
            },
            "given": _pose_document(check.T_camera_base),
            "best": {
                **_pose_document(reference.T_camera_base),
                "verdict": reference.solution.verdict,
                "searched": reference.searched,
                "covariance": uncertainty and uncertainty.covariance,
                "quality": {
                    **reference.solution.result.quality,
                    **reference.solution.diagnosis.quality,
                },
            },
            "lag_ms": {"given": 1e3 * check.given.lag_s, "best": 1e3 * check.best.lag_s},
            "mask_bias_px": {"given": check.given.mask_bias_px, "best": check.best.mask_bias_px},
            "notes": finished.notes,
            "provenance": {
                "recording": recording.source,
                "fingerprint": recording.fingerprint,
                "robot": reference.robot.name,
                "description_hash": reference.robot.description_hash,
                "package_version": __version__,
                "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "settings": reference.settings.to_mapping(),
            },
            "frames": _frames(check),
        }
    )


def check_table(finished: FinishedCheck) -> str:
    """Return a table of some fifteen lines: verdict, error, agreement, files."""
    check = finished.check
    reference = check.reference
    used = reference.solution.result.used
    worst = np.nanmax(np.where(used, check.given.contour_px, np.nan), initial=float("nan"))
    rows = verdict_rows(check.status, check.reasons)
    rows += [
        ("Extrinsics", finished.source),
        (
            "Contour error",
            f"{check.contour_px:.2f} px as given, {check.best_contour_px:.2f} px at best "
            "(medians over the images)",
        ),
        ("  worst image", f"{worst:.2f} px as given"),
    ]
    rows += [("Estimated error", f"{difference_text(check.difference)}")]
    rows += difference_rows(check.difference)
    rows.append(("  on the robot", f"{check.add_mm:.1f} mm (mean over its surface)"))
    uncertainty = reference.solution.diagnosis.uncertainty
    if uncertainty is not None:
        rows.append(
            (
                "  known to",
                f"{uncertainty.expected_position_mm:.1f} mm, "
                f"{uncertainty.expected_rotation_deg:.2f} deg (90 %)",
            )
        )
    rows += compatibility_rows(check.compatibility)
    how = "searched, as calibrate does" if reference.searched else "refined from the given one"
    rows.append(("Best pose", f"{how}; {reference.solution.verdict.status}"))
    rows.append(
        (
            "Lag",
            f"{_signed(1e3 * check.best.lag_s)} ms at the best pose; the given one would ask for "
            f"{_signed(1e3 * check.given.lag_s)} ms",
        )
    )
    rows.append(("Frames", f"{np.count_nonzero(used)} of {len(used)} chosen ones used"))
    rows += listed("Notes", finished.notes, "- ")
    rows += listed("Files", finished.files)
    return table(rows, LABEL_WIDTH)


def difference_document(
    difference: PoseDifference, weighed: Compatibility | None
) -> dict[str, Any]:
    """Return a difference of two poses for YAML and JSON."""
    return {
        "position_mm": difference.position_mm,
        "rotation_deg": difference.rotation_deg,
        "position_along_base_axes_mm": 1e3 * difference.position_base_m,
        "position_right_down_forward_mm": 1e3 * difference.position_camera_m,
        "rotation_about_base_axes_deg": np.degrees(difference.rotation_base_rad),
        "rotation_about_right_down_forward_deg": np.degrees(difference.rotation_camera_rad),
        "compatibility": None if weighed is None else asdict(weighed),
    }


def difference_text(difference: PoseDifference) -> str:
    """Return both sizes of a difference."""
    return f"{difference.position_mm:.1f} mm, {difference.rotation_deg:.2f} deg"


def difference_rows(difference: PoseDifference) -> Rows:
    """Return where a difference points to."""
    base, camera = 1e3 * difference.position_base_m, 1e3 * difference.position_camera_m
    angle = difference.rotation_deg
    axis = difference.rotation_camera_rad / max(float(np.radians(angle)), 1e-12)
    rows = [
        ("  base axes", "x {}, y {}, z {} mm".format(*map(_signed, base))),
        ("  camera axes", "right {}, down {}, forward {} mm".format(*map(_signed, camera))),
    ]
    if angle >= 0.005:
        about = f"right {axis[0]:+.2f}, down {axis[1]:+.2f}, forward {axis[2]:+.2f}"
        rows.append(("  turned", f"by {angle:.2f} deg about {about}"))
    return rows


def _signed(value: float) -> str:
    # Adding zero turns -0.0 into 0.0.
    return f"{round(float(value), 1) + 0.0:+.1f}"


def compatibility_rows(weighed: Compatibility | None) -> Rows:
    """Return how a difference compares with its uncertainty."""
    if weighed is None:
        return []
    return [
        (
            "  Mahalanobis",
            f"{weighed.mahalanobis:.1f} standard deviations, p = {weighed.p_value:.2g}",
        )
    ]


def _pose_document(T_camera_base: NDArray[np.float64]) -> dict[str, Any]:
    T_base_camera = se3.invert(T_camera_base)
    return {
        "T_base_camera": {
            "translation_m": T_base_camera[:3, 3],
            "quaternion_xyzw": se3.quaternion_xyzw(T_base_camera),
            "matrix": T_base_camera,
        },
        "T_camera_base": {"matrix": T_camera_base},
    }


def _frames(check: ExtrinsicsCheck) -> list[dict[str, Any]]:
    observations, used = check.reference.solution.observations, check.reference.solution.result.used
    stamps = observations.motion.stamps_ns
    return [
        {
            "index": int(observations.frames[position]),
            "stamp_ns": int(stamps[position]),
            "contour_px": float(check.given.contour_px[row]),
            "best_contour_px": float(check.best.contour_px[row]),
            "outline_share": float(check.given.outline_share[row]),
            "iou": float(check.given.iou[row]),
            "best_iou": float(check.best.iou[row]),
            "used": bool(used[row]),
        }
        for row, position in enumerate(observations.solve)
    ]
