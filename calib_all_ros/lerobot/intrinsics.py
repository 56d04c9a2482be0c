# SPDX-License-Identifier: Apache-2.0
"""Intrinsics that a dataset itself holds: those that this package wrote, or of a camera's info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera, CameraError
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.naming import calibration_key
from calib_all_ros.lerobot.tables import read_columns

INFO_KEY = "intrinsics"
"""Entry of a camera's ``info`` in meta/info.json; the content is that of a camera.json."""


def dataset_camera(dataset: LerobotDataset, episode: Episode, key: str) -> Camera | None:
    """Return the intrinsics of a camera in an episode, None where the dataset has none.

    An earlier calibration of this package counts more than what the camera's info says, because
    it is of this very episode.

    Raises:
        LerobotError: They are there, but not usable.
    """
    feature = dataset.features[key]
    where = f"{key} in {dataset.path}"
    try:
        written = _written(dataset, episode, key)
        if written is not None:
            return written
        entry = feature.info.get(INFO_KEY)
        return None if entry is None else _of_info(entry, feature.size)
    except (CameraError, KeyError, TypeError, ValueError) as error:
        raise LerobotError(
            f"the intrinsics of {where} cannot be used ({error}): give a camera file"
        ) from None


def _written(dataset: LerobotDataset, episode: Episode, key: str) -> Camera | None:
    K_key, lens_key = calibration_key(key, "K"), calibration_key(key, "distortion")
    if K_key not in dataset.features or lens_key not in dataset.features:
        return None
    columns = read_columns(episode.data, episode.index, [K_key, lens_key])
    K: NDArray[np.float64] = columns[K_key][0].astype(np.float64).reshape(3, 3)
    # Zeros stand for an episode that was not calibrated.
    if not K.any():
        return None
    info = dataset.features[lens_key].info
    width, height = dataset.features[key].size
    return Camera(
        K,
        width,
        height,
        columns[lens_key][0].astype(np.float64),
        str(info["distortion_model"]),
        str(info["optical_frame"]),
    )


def _of_info(entry: Mapping[str, Any], size: tuple[int, int]) -> Camera:
    width, height = int(entry.get("width", size[0])), int(entry.get("height", size[1]))
    model = str(entry.get("distortion_model", "plumb_bob"))
    frame = entry.get("optical_frame") or "camera_optical_frame"
    distortion = np.array(entry.get("distortion") or [], dtype=np.float64)
    return Camera(
        np.array(entry["K"], dtype=np.float64).reshape(3, 3),
        width,
        height,
        distortion,
        model,
        str(frame),
    )
