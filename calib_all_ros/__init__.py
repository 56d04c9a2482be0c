# SPDX-License-Identifier: Apache-2.0
"""Markerless, training-free eye-to-hand camera calibration from a recording of a moving robot."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calib_all_ros.calibration import CalibrationRun, Mark, calibrate
    from calib_all_ros.errors import CalibAllError
    from calib_all_ros.input_files import RecordingSource
    from calib_all_ros.loading import load_recording
    from calib_all_ros.results.calibration import Calibration
    from calib_all_ros.robot.description import load_robot
    from calib_all_ros.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "CalibAllError",
    "Calibration",
    "CalibrationRun",
    "Mark",
    "RecordingSource",
    "Settings",
    "calibrate",
    "load_recording",
    "load_robot",
]

_HOMES = {
    "CalibAllError": "calib_all_ros.errors",
    "Calibration": "calib_all_ros.results.calibration",
    "CalibrationRun": "calib_all_ros.calibration",
    "Mark": "calib_all_ros.calibration",
    "RecordingSource": "calib_all_ros.input_files",
    "Settings": "calib_all_ros.settings",
    "calibrate": "calib_all_ros.calibration",
    "load_recording": "calib_all_ros.loading",
    "load_robot": "calib_all_ros.robot.description",
}


def __getattr__(name: str) -> Any:
    """Import public names when first used: the command line must answer at once."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
