# SPDX-License-Identifier: Apache-2.0
"""Calibrations as features and metadata of a dataset.

Every frame gets the pose, the intrinsics, the verdict and the expected error of each calibrated
camera; the metadata of each episode say the same in full precision, with reasons and provenance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from calib_all_ros.geometry.camera import COEFFICIENT_COUNTS
from calib_all_ros.lerobot.added_features import AddedFeature, FeatureSource, Values
from calib_all_ros.lerobot.calibration_records import KINDS, Record, calibration_record
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.metadata_files import EpisodeColumn
from calib_all_ros.lerobot.naming import CALIBRATION, calibration_key, camera_name, matrix_names
from calib_all_ros.results.calibration import Calibration

VERDICTS = {"not calibrated": -1, "rejected": 0, "warning": 1, "accepted": 2}
"""Codes of the feature ``verdict``."""

_QUALITY = ("expected_position_m", "expected_rotation_rad", "lag_s")
# What a feature says once for all episodes.
_COMMON = ("distortion_model", "optical_frame", "base_frame")
_USUAL_COUNT = {"plumb_bob": 5, "rational_polynomial": 8}

Results = Mapping[tuple[int, str], Calibration]


def calibration_additions(
    dataset: LerobotDataset, results: Results
) -> tuple[list[FeatureSource], list[EpisodeColumn]]:
    """Return the features and the columns of the metadata that hold calibrations.

    Args:
        dataset: The dataset.
        results: Calibrations by episode and feature of the camera. Each is asked for once and
            not kept, so that a mapping that reads files on access needs little memory.

    Raises:
        LerobotError: A result is of no episode or camera of the dataset, or a camera has several
            lens models, optical frames or base frames.
    """
    records: dict[str, dict[int, Record]] = {}
    for episode, camera in results:
        dataset.row(episode)
        if camera not in dataset.cameras:
            known = ", ".join(dataset.cameras) or "none"
            raise LerobotError(f"{dataset.path} has no camera {camera}; its cameras are: {known}")
        record = calibration_record(results[episode, camera])
        records.setdefault(camera, {})[episode] = record
    if not records:
        raise LerobotError(
            f"no calibrations were given for {dataset.path}: there is nothing to add"
        )
    cameras = [camera for camera in dataset.cameras if camera in records]
    sources = [_source(dataset, camera, records[camera]) for camera in cameras]
    columns = [column for camera in cameras for column in _columns(camera, records[camera])]
    return sources, columns


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
        AddedFeature(key("quality"), "float32", (3,), _QUALITY, error),
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
                _or(record["expected_position_m"], -1.0),
                _or(record["expected_rotation_rad"], -1.0),
                _or(record["lag_s"], 0.0),
            ],
        }
        return {name: [value] * episode.length for name, value in row.items()}

    return FeatureSource(features, values)


def _columns(camera: str, records: Mapping[int, Record]) -> list[EpisodeColumn]:
    prefix = f"{CALIBRATION}/{camera_name(camera)}"

    def value_of(name: str) -> Callable[[int], Any]:
        return lambda episode: records[episode][name] if episode in records else None

    return [EpisodeColumn(f"{prefix}/{name}", kind, value_of(name)) for name, kind in KINDS.items()]


def _only(name: str, dataset: LerobotDataset, camera: str, records: Mapping[int, Record]) -> str:
    found = sorted({str(record[name]) for record in records.values()})
    if len(found) != 1:
        raise LerobotError(
            f"the calibrations of {camera} in {dataset.path} differ in their {name} "
            f"({', '.join(found)}): a feature can describe but one, calibrate them alike"
        )
    return found[0]


def _or(figure: float | None, otherwise: float) -> float:
    return otherwise if figure is None else figure
