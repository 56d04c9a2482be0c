# SPDX-License-Identifier: Apache-2.0
"""Calibrations as features and metadata of a dataset.

Every frame gets the pose, the intrinsics, the verdict and the expected error of each calibrated
camera; the metadata of each episode say the same in full precision, with reasons and provenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calib_all_ros.geometry.camera import COEFFICIENT_COUNTS
from calib_all_ros.lerobot.added_features import (
    CALIBRATION,
    AddedFeature,
    EpisodeColumn,
    FeatureSource,
    Values,
    calibration_key,
    camera_name,
    matrix_names,
)
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.writing import OnFile, write_features
from calib_all_ros.results.calibration import Calibration

VERDICTS = {"not calibrated": -1, "rejected": 0, "warning": 1, "accepted": 2}
"""Codes of the feature ``verdict``."""

# The entries of the feature ``quality``, and what stands for one that is not known.
_QUALITY = {"expected_position_m": -1.0, "expected_rotation_rad": -1.0, "lag_s": 0.0}
# What a feature says once for all episodes.
_COMMON = ("distortion_model", "optical_frame", "base_frame")
_USUAL_COUNT = {"plumb_bob": 5, "rational_polynomial": 8}

Results = Mapping[tuple[int, str], Calibration]
Record = dict[str, Any]
# What the metadata of an episode say of a calibration, and of which kind each entry is.
_MATRIX = "list<list<double>>"
_KINDS = {
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


def write_calibrations(
    dataset: LerobotDataset,
    out: Path | str,
    results: Results,
    *,
    on_progress: OnFile | None = None,
) -> Path:
    """Write a dataset in which each frame knows where its cameras are.

    For each camera ``C`` (short for its feature, see `camera_name`) there are

    ===============================  =======  ====  ==========================================
    ``calibration.C.T_base_camera``  float32  [16]  (4, 4) row by row, maps points of the optical
                                                    frame to the base, metres
    ``calibration.C.K``              float32  [9]   (3, 3) row by row, intrinsics in pixels
    ``calibration.C.distortion``     float32  [D]   lens distortion
    ``calibration.C.verdict``        int64    [1]   see `VERDICTS`
    ``calibration.C.quality``        float32  [3]   expected error of position (m) and rotation
                                                    (rad), time lag of the images (s)
    ===============================  =======  ====  ==========================================

    and columns ``calibration/C/...`` in the metadata of the episodes. Where an episode was not
    calibrated, its verdict is -1 and matrices are all zeros, which is no pose; an expected error
    that is not known is -1, a time lag that was not estimated 0.

    Args:
        dataset: The original, which stays as it is.
        out: Folder of the new dataset; it must not exist, or be empty.
        results: Calibrations by episode and feature of the camera; each is asked for once.
        on_progress: Called with the number of data files written, and of all.

    Returns:
        The new folder.

    Raises:
        LerobotError: A result is of no episode or camera of the dataset, cameras have different
            lens models in different episodes, or as `write_features`.
        ModelUnavailableError: pyarrow is not installed.
    """
    sources, columns = _calibration_additions(dataset, results)
    return write_features(dataset, out, sources, columns=columns, on_progress=on_progress)


def _calibration_additions(
    dataset: LerobotDataset, results: Results
) -> tuple[list[FeatureSource], list[EpisodeColumn]]:
    records: dict[str, dict[int, Record]] = {}
    for episode, camera in results:
        dataset.row(episode)
        dataset.check_camera(camera)
        record = _record(results[episode, camera])
        records.setdefault(camera, {})[episode] = record
    if not records:
        raise LerobotError(
            f"no calibrations were given for {dataset.path}: there is nothing to add"
        )
    cameras = [camera for camera in dataset.cameras if camera in records]
    return [_source(dataset, camera, records[camera]) for camera in cameras], [
        EpisodeColumn(
            f"{CALIBRATION}/{camera_name(camera)}/{name}",
            kind,
            {episode: record[name] for episode, record in records[camera].items()},
        )
        for camera in cameras
        for name, kind in _KINDS.items()
    ]


def _source(dataset: LerobotDataset, camera: str, records: Mapping[int, Record]) -> FeatureSource:
    common = {name: _only(name, dataset, camera, records) for name in _COMMON}
    model = common["distortion_model"]
    # Coefficients that are not written are zeros; there has to be a number that the model knows.
    longest = max(_USUAL_COUNT.get(model, 0), *(len(r["distortion"]) for r in records.values()))
    count = min(n for n in COEFFICIENT_COUNTS[model] if n >= longest)
    key = partial(calibration_key, camera)
    base = {"maps": "optical frame to base frame, metres", "base_frame": common["base_frame"]}
    pixels = {"unit": "pixels, centres at integers"}
    lens = {"distortion_model": model, "optical_frame": common["optical_frame"]}
    error = {"expected": "nine in ten poses are no further off"}
    features = (
        AddedFeature(key("T_base_camera"), "float32", (16,), matrix_names("T", 4), base),
        AddedFeature(key("K"), "float32", (9,), matrix_names("K", 3), pixels),
        AddedFeature(key("distortion"), "float32", (count,), None, lens),
        AddedFeature(key("verdict"), "int64", (1,), None, {"codes": VERDICTS}),
        AddedFeature(key("quality"), "float32", (3,), tuple(_QUALITY), error),
    )

    def values(episode: Episode) -> Values | None:
        record = records.get(episode.index)
        if record is None:
            return None
        distortion = record["distortion"]
        row = {
            key("T_base_camera"): np.ravel(record["T_base_camera"]),
            key("K"): np.ravel(record["K"]),
            key("distortion"): [*distortion, *[0.0] * (count - len(distortion))],
            key("verdict"): VERDICTS[record["status"]],
            key("quality"): [
                unknown if record[name] is None else record[name]
                for name, unknown in _QUALITY.items()
            ],
        }
        return {name: [value] * episode.length for name, value in row.items()}

    return FeatureSource(features, values)


def _only(name: str, dataset: LerobotDataset, camera: str, records: Mapping[int, Record]) -> str:
    found = sorted({str(record[name]) for record in records.values()})
    if len(found) != 1:
        raise LerobotError(
            f"the calibrations of {camera} in {dataset.path} differ in their {name} "
            f"({', '.join(found)}): a feature can describe but one, calibrate them alike"
        )
    return found[0]


def _record(result: Calibration) -> Record:
    """Return the entries of a calibration, in metres and radians; None for those it has not."""
    position_mm = result.quality.get("expected_position_mm")
    rotation_deg = result.quality.get("expected_rotation_deg")
    camera, covariance = result.camera, result.covariance
    scale = result.focal_scale or 1.0
    return {
        "status": result.verdict.status,
        "reasons": list(result.verdict.reasons),
        "T_base_camera": result.T_base_camera.tolist(),
        "covariance": None if covariance is None else covariance.matrix.tolist(),
        "expected_position_m": None if position_mm is None else 1e-3 * position_mm,
        "expected_rotation_rad": None if rotation_deg is None else float(np.radians(rotation_deg)),
        "lag_s": None if result.lag_ms is None else 1e-3 * result.lag_ms,
        "K": (camera.K * [[scale, 1.0, 1.0], [1.0, scale, 1.0], [1.0, 1.0, 1.0]]).tolist(),
        "distortion": camera.distortion.tolist(),
        "distortion_model": "plumb_bob" if camera.model == "pinhole" else camera.model,
        "optical_frame": camera.frame_id,
        "base_frame": result.robot.base_frame,
        "robot": result.robot.name,
        "description_hash": result.robot.description_hash,
        "fingerprint": result.provenance.fingerprint,
        "package_version": result.provenance.package_version,
        "created": result.provenance.created,
    }
