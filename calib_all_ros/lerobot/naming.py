# SPDX-License-Identifier: Apache-2.0
"""Names of the features that this package adds to a dataset."""

from __future__ import annotations

CALIBRATION = "calibration"
ANNOTATION = "annotation"
_PREFIXES = ("observation.", "images.", "image.")


def camera_name(key: str) -> str:
    """Return the short name of a camera's feature: "top" of "observation.images.top".

    LeRobot takes every feature with "image" in its name for pictures when it adds up statistics,
    and one with "observation" in front for input of a policy. So neither word may stay.
    """
    name = key
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.replace("image", "camera").replace("observation", "")


def calibration_key(key: str, quantity: str) -> str:
    """Return the feature that holds a quantity of the calibration of a camera."""
    return f"{CALIBRATION}.{camera_name(key)}.{quantity}"


def annotation_key(key: str, quantity: str) -> str:
    """Return the feature that holds an annotation of the images of a camera."""
    return f"{ANNOTATION}.{camera_name(key)}.{quantity}"


def matrix_names(symbol: str, size: int) -> tuple[str, ...]:
    """Return names of the entries of a square matrix, row by row: ``T_00``, ``T_01``, ..."""
    return tuple(f"{symbol}_{row}{column}" for row in range(size) for column in range(size))
