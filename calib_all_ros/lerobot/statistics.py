# SPDX-License-Identifier: Apache-2.0
"""Statistics of added features, laid out as LeRobot computes those of its own.

Both versions keep minimum, maximum, mean, standard deviation and count; version 3.0 also quantiles.
Pictures are counted by channel, from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.lerobot.added_features import AddedFeature
from calib_all_ros.lerobot.dataset import V30
from calib_all_ros.lerobot.errors import LerobotError

Array = NDArray[np.float64]
Statistics = dict[str, Array]

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
# LeRobot, too, looks at some images of an episode only.
_MOST_IMAGES = 20


def episode_statistics(
    feature: AddedFeature, values: Sequence[Any], version: str
) -> Statistics | None:
    """Return the statistics of a feature in one episode.

    Args:
        feature: The feature.
        values: (N,) its values, see `AddedFeature.column`.
        version: "v2.1" or "v3.0".

    Returns:
        Arrays by name; None for strings.
    """
    if feature.is_image:
        step = -(-len(values) // _MOST_IMAGES)
        return _of_images(feature, values[:: max(step, 1)], version)
    if not feature.is_number:
        return None
    numbers = np.asarray(values, dtype=np.float64).reshape(len(values), *feature.shape)
    return _summary(numbers, len(numbers), version)


def aggregate(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of episodes together, as LeRobot adds them up.

    Quantiles cannot be added up: of the lower ones the lowest is kept, of the upper ones the
    highest.
    """
    counts = np.array([part["count"][0] for part in parts])
    weights = counts / counts.sum()
    means = np.stack([part["mean"] for part in parts])
    mean = np.tensordot(weights, means, axes=1)
    squares = np.stack([part["std"] for part in parts]) ** 2 + (means - mean) ** 2
    whole = {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(np.tensordot(weights, squares, axes=1)),
        "count": counts.sum(keepdims=True),
    }
    for name, share in QUANTILES.items():
        if name in parts[0]:
            bound = np.min if share <= 0.5 else np.max
            whole[name] = bound([part[name] for part in parts], axis=0)
    return whole


def as_document(statistics: Mapping[str, Array]) -> dict[str, Any]:
    """Return statistics as JSON has them: lists, the count an integer."""
    return {
        name: value.astype(np.int64).tolist() if name == "count" else value.tolist()
        for name, value in statistics.items()
    }


def aggregate_all(parts: Mapping[int, Mapping[str, Statistics]]) -> dict[str, Statistics]:
    """Return the statistics of the whole dataset, by feature, from those of its episodes."""
    keys = dict.fromkeys(key for by_key in parts.values() for key in by_key)
    return {key: aggregate([by_key[key] for by_key in parts.values()]) for key in keys}


def _of_images(feature: AddedFeature, files: Sequence[bytes], version: str) -> Statistics:
    scale = 1.0 if feature.info.get("is_depth_map") else 255.0
    pixels = []
    for content in files:
        decoded: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None or decoded.size != np.prod(feature.shape):
            raise LerobotError(f"a picture of {feature.key} is no PNG of the shape {feature.shape}")
        # OpenCV has the channels in the order blue, green, red.
        pixels.append(decoded.reshape(-1, feature.shape[-1])[:, ::-1] / scale)
    summary = _summary(np.concatenate(pixels), len(files), version)
    return {
        name: value if name == "count" else value.reshape(-1, 1, 1)
        for name, value in summary.items()
    }


def _summary(values: Array, count: int, version: str) -> Statistics:
    lowest, highest = values.min(axis=0), values.max(axis=0)
    quantiles = QUANTILES if version == V30 else {}
    counted = np.array([float(count)])
    if np.array_equal(lowest, highest):
        # As it is with a calibration; a dataset has many episodes, whose statistics are all held.
        same = dict.fromkeys(("min", "max", "mean", *quantiles), lowest)
        return {**same, "std": np.zeros_like(lowest), "count": counted}
    shares = np.quantile(values, list(quantiles.values()), axis=0) if quantiles else ()
    return {
        "min": lowest,
        "max": highest,
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": counted,
        **dict(zip(quantiles, shares, strict=True)),
    }
