# SPDX-License-Identifier: Apache-2.0
"""What the metadata of an episode say of a calibration: the result without its table of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.results.calibration import Calibration

_MATRIX = "list<list<double>>"

KINDS = {
    "status": "string",
    "reasons": "list<string>",
    "T_base_camera": _MATRIX,
    "covariance": _MATRIX,
    "expected_position_m": "double",
    "expected_rotation_rad": "double",
    "lag_s": "double",
    "K": _MATRIX,
    "distortion": "list<double>",
    "distortion_model": "string",
    "optical_frame": "string",
    "base_frame": "string",
    "robot": "string",
    "description_hash": "string",
    "fingerprint": "string",
    "package_version": "string",
    "created": "string",
}
"""Names of a record's entries, and of which kind each is."""

Record = dict[str, Any]


def calibration_record(result: Calibration) -> Record:
    """Return the entries of a calibration, None for those that it does not have.

    Poses, covariance and the expected error are those of `Calibration`, in metres and radians; K
    has the focal scale that the calibration found.
    """
    position_mm = result.quality.get("expected_position_mm")
    rotation_deg = result.quality.get("expected_rotation_deg")
    covariance = result.covariance
    return {
        "status": result.verdict.status,
        "reasons": list(result.verdict.reasons),
        "T_base_camera": result.T_base_camera.tolist(),
        "covariance": None if covariance is None else covariance.matrix.tolist(),
        "expected_position_m": None if position_mm is None else 1e-3 * position_mm,
        "expected_rotation_rad": None if rotation_deg is None else float(np.radians(rotation_deg)),
        "lag_s": None if result.lag_ms is None else 1e-3 * result.lag_ms,
        "K": _K(result).tolist(),
        "distortion": result.camera.distortion.tolist(),
        "distortion_model": "plumb_bob"
        if result.camera.model == "pinhole"
        else result.camera.model,
        "optical_frame": result.camera.frame_id,
        "base_frame": result.robot.base_frame,
        "robot": result.robot.name,
        "description_hash": result.robot.description_hash,
        "fingerprint": result.provenance.fingerprint,
        "package_version": result.provenance.package_version,
        "created": result.provenance.created,
    }


def _K(result: Calibration) -> NDArray[np.float64]:
    K: NDArray[np.float64] = result.camera.K.copy()
    K[0, 0] *= result.focal_scale or 1.0
    K[1, 1] *= result.focal_scale or 1.0
    return K
