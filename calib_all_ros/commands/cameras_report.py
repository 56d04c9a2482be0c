# SPDX-License-Identifier: Apache-2.0
"""Several calibrated cameras for people, as a table, and for machines, as one JSON object."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from calib_all_ros.commands.json_text import finite
from calib_all_ros.geometry import se3
from calib_all_ros.results.cameras_file import FILE_NAME, CamerasResult, RelativePoseRecord
from calib_all_ros.results.records import Covariance

_LABEL_WIDTH = 14


def as_json(result: CamerasResult, out: Path) -> str:
    """Return what ``cameras.yaml`` holds as one JSON object on one line, and where it is."""
    document = {**result.document(), "file": str(out / FILE_NAME)}
    return json.dumps(finite(document), allow_nan=False)


def as_table(result: CamerasResult, out: Path) -> str:
    """Return a table: verdict, each camera, what they share, relative poses, what to paste."""
    rows = [("Verdict", result.verdict.status.upper())]
    rows += [("", f"- {reason}") for reason in result.verdict.reasons]
    for camera in result.cameras:
        rows.append(("Camera", f"{camera.name}: {camera.verdict.upper()} ({camera.image_topic})"))
        rows += _pose_rows(camera.T_base_camera, camera.covariance)
        if camera.lag_ms is not None:
            rows.append(("  lag", f"{camera.lag_ms:+.1f} ms"))
    joint = result.joint
    if joint is not None:
        rows.append(("Together", ", ".join(joint.cameras)))
        if joint.shared is not None:
            agreement = f"p = {joint.shared.p_value:.2g}: how often chance alone sets the cameras"
            rows.append(
                ("  agreement", f"{agreement}' own results as far apart in what they share")
            )
        if joint.joint_offsets is not None:
            offsets = (f"{name} {value:+.5f}" for name, value in joint.joint_offsets.items())
            rows.append(("  offsets", ", ".join(offsets)))
    for pair in result.relative_poses:
        rows += _pair_rows(pair)
    rows += [("Notes" if i == 0 else "", f"- {note}") for i, note in enumerate(result.notes)]
    rows += [
        ("Static TF" if i == 0 else "", line) for i, line in enumerate(result.static_transforms())
    ]
    rows.append(("Files", str(out / FILE_NAME)))
    rows += [("", str(out / camera.folder)) for camera in result.cameras]
    return "\n".join(f"{label:<{_LABEL_WIDTH}} {text}".rstrip() for label, text in rows)


def _pair_rows(pair: RelativePoseRecord) -> list[tuple[str, str]]:
    head = ("Relative", f"{pair.b} as seen from {pair.a} ({pair.b_frame} in {pair.a_frame})")
    return [head, *_pose_rows(pair.T_a_b, pair.covariance)]


def _pose_rows(T: np.ndarray, covariance: Covariance | None) -> list[tuple[str, str]]:
    position, quaternion = T[:3, 3], se3.quaternion_xyzw(T)
    rows = [
        ("  position", "  ".join(f"{value:+.5f}" for value in position) + "  m"),
        ("  quaternion", "  ".join(f"{value:+.6f}" for value in quaternion) + "  (x, y, z, w)"),
    ]
    if covariance is not None:
        sigma = np.sqrt(np.diag(covariance.matrix))
        position_mm = " ".join(f"{1e3 * value:.2f}" for value in sigma[:3])
        rotation_deg = " ".join(f"{value:.3f}" for value in np.degrees(sigma[3:]))
        rows.append(("  sigma", f"{position_mm} mm, {rotation_deg} deg"))
    return rows
