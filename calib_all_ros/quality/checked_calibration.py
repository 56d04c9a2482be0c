# SPDX-License-Identifier: Apache-2.0
"""A checked camera pose in the form that the pictures and the report of a calibration take."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np

from calib_all_ros import __version__
from calib_all_ros.evidence.record import Evidence
from calib_all_ros.quality.check import ExtrinsicsCheck
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict


def checked_calibration(check: ExtrinsicsCheck, notes: tuple[str, ...] = ()) -> Calibration:
    """Return the given pose, unchanged, with the check's verdict and figures.

    Where the recording does not allow a judgement the verdict is "rejected": nobody vouches for
    the pose.

    Args:
        check: What was found.
        notes: What is worth knowing, one sentence each.
    """
    reference = check.reference
    recording, kinematics = reference.recording, reference.robot.kinematics
    solution = reference.solution
    used = solution.result.used
    frames = solution.frame_table(check.given.iou, check.given.contour_px)
    status = "rejected" if check.status == "cannot say" else check.status
    quality = {
        "estimated_error_position_mm": check.difference.position_mm,
        "estimated_error_rotation_deg": check.difference.rotation_deg,
        "estimated_error_on_robot_mm": check.add_mm,
        "contour_median_px": check.contour_px,
        "contour_median_of_best_px": check.best_contour_px,
        "iou_median": float(np.median(check.given.iou[used])),
        "outline_share": float(np.median(check.given.outline_share[used])),
    }
    uncertainty = solution.diagnosis.uncertainty
    if uncertainty is not None:
        # The pose may be off by what was measured, and by what the measurement may be off.
        quality["expected_position_mm"] = (
            check.difference.position_mm + uncertainty.expected_position_mm
        )
        quality["expected_rotation_deg"] = (
            check.difference.rotation_deg + uncertainty.expected_rotation_deg
        )
    return Calibration(
        T_camera_base=check.T_camera_base,
        camera=recording.camera,
        robot=RobotRecord(
            reference.robot.name,
            kinematics.base_frame,
            description_hash=reference.robot.description_hash,
        ),
        verdict=Verdict(status, check.reasons, solution.verdict.findings),
        provenance=Provenance(
            recording=recording.source,
            fingerprint=recording.fingerprint,
            package_version=__version__,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            frames_used=tuple(frame.index for frame in frames if frame.used),
            settings=reference.settings.to_mapping(),
        ),
        quality={name: value for name, value in quality.items() if np.isfinite(value)},
        frames=frames,
        notes=notes,
        lag_ms=1e3 * check.best.lag_s,
    )


def check_evidence(check: ExtrinsicsCheck) -> Evidence:
    """Return what was seen in the images of a check."""
    solution = check.reference.solution
    result = solution.result
    return Evidence(solution.observations.view, result.masks, None, "", result.timing)
