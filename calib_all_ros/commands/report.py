# SPDX-License-Identifier: Apache-2.0
"""A finished calibration for people, as a short table, and for machines, as one JSON object."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from calib_all_ros.commands.json_text import finite
from calib_all_ros.geometry import se3
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.solving.pose_errors import PoseErrors

_LABEL_WIDTH = 14
# The others are in calibration.yaml and report.html.
_SHOWN = (
    "iou_median",
    "contour_median_px",
    "outline_share",
    "edge_share",
    "edge_within_1px_share",
)


@dataclass(frozen=True, eq=False)
class FinishedCalibration:
    """What a command has to tell.

    Attributes:
        calibration: The result.
        files: What was written.
        errors: Against the true pose that the recording carries, None where it carries none.
    """

    calibration: Calibration
    files: tuple[Path, ...]
    errors: PoseErrors | None


def as_json(finished: FinishedCalibration) -> str:
    """Return everything as one JSON object on one line; figures that are not finite are null."""
    calibration = finished.calibration
    document = {
        "verdict": calibration.verdict.status,
        "reasons": list(calibration.verdict.reasons),
        "causes": list(calibration.verdict.causes),
        "findings": [asdict(finding) for finding in calibration.verdict.findings],
        "base_frame": calibration.robot.base_frame,
        "camera_frame": calibration.camera.frame_id,
        "T_base_camera": calibration.T_base_camera.tolist(),
        "T_camera_base": calibration.T_camera_base.tolist(),
        "covariance": None
        if calibration.covariance is None
        else calibration.covariance.matrix.tolist(),
        "lag_ms": calibration.lag_ms,
        "quality": dict(calibration.quality),
        "errors": None if finished.errors is None else asdict(finished.errors),
        "frames_used": list(calibration.provenance.frames_used),
        "evidence": [asdict(choice) for choice in calibration.provenance.evidence],
        "stage_times_s": dict(calibration.provenance.stage_times_s),
        "files": [str(path) for path in finished.files],
    }
    return json.dumps(finite(document), allow_nan=False)


def as_table(finished: FinishedCalibration) -> str:
    """Return a table of some ten lines: verdict, pose, agreement, times, files."""
    calibration = finished.calibration
    verdict, robot, camera = calibration.verdict, calibration.robot, calibration.camera
    position = calibration.T_base_camera[:3, 3]
    quaternion = se3.quaternion_xyzw(calibration.T_base_camera)
    rows = [("Verdict", verdict.status.upper())]
    rows += [("", f"- {reason}") for reason in verdict.reasons]
    rows += [
        ("Camera", f"{camera.frame_id} in {robot.base_frame}"),
        ("  position", "  ".join(f"{value:+.5f}" for value in position) + "  m"),
        ("  quaternion", "  ".join(f"{value:+.6f}" for value in quaternion) + "  (x, y, z, w)"),
    ]
    if calibration.lag_ms is not None:
        rows.append(("Lag", f"{calibration.lag_ms:+.1f} ms (images stamped later than taken)"))
    used, chosen = calibration.provenance.frames_used, calibration.frames
    rows.append(("Frames", f"{len(used)} of {len(chosen)} chosen ones used"))
    evidence = calibration.provenance.evidence
    rows += [("" if i else "Evidence", str(choice)) for i, choice in enumerate(evidence)]
    rows += _certainty(calibration)
    shown = {name: calibration.quality[name] for name in _SHOWN if name in calibration.quality}
    rows += _wrapped("Agreement", [f"{name} {value:.3g}" for name, value in shown.items()])
    if finished.errors is not None:
        errors = finished.errors
        rows.append(
            (
                "Against truth",
                f"{errors.rotation_deg:.3f} deg, {errors.position_mm:.2f} mm, "
                f"ADD {errors.add_mm:.2f} mm",
            )
        )
    notes = calibration.notes
    rows += [("Notes" if i == 0 else "", f"- {note}") for i, note in enumerate(notes)]
    times = calibration.provenance.stage_times_s
    rows += _wrapped("Time", [f"{stage} {seconds:.1f} s" for stage, seconds in times.items()])
    rows.append(("  in total", f"{sum(times.values()):.1f} s"))
    labels = ["Files"] + [""] * len(finished.files)
    rows += [(label, str(path)) for label, path in zip(labels, finished.files, strict=False)]
    return "\n".join(f"{label:<{_LABEL_WIDTH}} {text}".rstrip() for label, text in rows)


def _certainty(calibration: Calibration) -> list[tuple[str, str]]:
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


def _wrapped(label: str, items: list[str], per_line: int = 4) -> list[tuple[str, str]]:
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return [(label if i == 0 else "", line) for i, line in enumerate(lines)]
