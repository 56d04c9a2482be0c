# SPDX-License-Identifier: Apache-2.0
"""Outcomes of jobs: small records that are sent between processes and kept in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.results.calibration import Calibration

FAILED = "failed"
STATUSES = ("accepted", "warning", "rejected", FAILED)


@dataclass(frozen=True)
class Pose:
    """A pose with its uncertainty as plain numbers.

    Attributes:
        T_camera_base: (16,) row by row.
        covariance: (36,) as in `results.records.Covariance`, empty where not known.
    """

    T_camera_base: tuple[float, ...]
    covariance: tuple[float, ...] = ()

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(4, 4) ``T_camera_base``."""
        return np.array(self.T_camera_base).reshape(4, 4)

    @property
    def position_m(self) -> tuple[float, ...]:
        """(3,) of the camera in the base frame."""
        return tuple(self.T_base_camera[:3, 3].tolist())

    @property
    def T_base_camera(self) -> NDArray[np.float64]:
        """(4, 4)."""
        return se3.invert(self.matrix)


@dataclass(frozen=True)
class Row:
    """One episode and camera in the table.

    Attributes:
        episode: Name of the episode and camera.
        source: What `calib_all calibrate` takes for RECORDING.
        camera: Topic or feature, "" where there is but one.
        verdict: "accepted", "warning", "rejected", or "failed" where there is no pose.
        causes: What is probably wrong.
        reasons: One sentence each; of a failure what went wrong and what to do.
        setup: Name of the camera setup, "" where the episode was solved alone.
        solved_with: Episodes of the setup, this one included; 1 where it was solved alone.
        expected_position_mm: Which error nine of ten such poses stay below.
        expected_rotation_deg: The same of the rotation.
        lag_ms: How much later than the light the images were stamped.
        contour_px: Median distance of drawn and seen outline in this episode.
        frames: Images of this episode that were looked at.
        seconds: CPU time, with the episode's share of its setup's.
        pose: Of the camera; None where there is none.
        base_frame: Of the pose.
        camera_frame: Of the pose.
        result: Folder of the result, relative to the dataset's.
        report: The page that says most, relative to the dataset's folder; "" without one.
        package_version: Of the package that did it.
    """

    episode: str
    source: str
    camera: str
    verdict: str
    causes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    setup: str = ""
    solved_with: int = 1
    expected_position_mm: float | None = None
    expected_rotation_deg: float | None = None
    lag_ms: float | None = None
    contour_px: float | None = None
    frames: int = 0
    seconds: float = 0.0
    pose: Pose | None = None
    base_frame: str = ""
    camera_frame: str = ""
    result: str = ""
    report: str = ""
    package_version: str = ""


@dataclass(frozen=True)
class SetupSolved:
    """What came of solving a setup.

    Attributes:
        verdict: Of the joint pose.
        reasons: Of the verdict.
        solved_with: Names of the episodes whose images it was fitted to.
        pose: The result.
        seconds: CPU time.
    """

    verdict: str
    reasons: tuple[str, ...]
    solved_with: tuple[str, ...]
    pose: Pose
    seconds: float


def pose_of(calibration: Calibration) -> Pose:
    """Return the pose of a result."""
    covariance = calibration.covariance
    numbers = () if covariance is None else covariance.matrix.ravel().tolist()
    return Pose(tuple(calibration.T_camera_base.ravel().tolist()), tuple(numbers))


def row_of(calibration: Calibration, **about: Any) -> Row:
    """Return the row of a result.

    Args:
        calibration: The result.
        about: The fields of `Row` that a result does not hold.
    """
    quality = calibration.quality
    rejected = calibration.verdict.status == "rejected"
    return Row(
        verdict=calibration.verdict.status,
        causes=calibration.verdict.causes,
        reasons=calibration.verdict.reasons,
        # The expected error of a pose that is not to be used is none.
        expected_position_mm=None if rejected else _finite(quality.get("expected_position_mm")),
        expected_rotation_deg=None if rejected else _finite(quality.get("expected_rotation_deg")),
        lag_ms=_finite(calibration.lag_ms),
        contour_px=_finite(quality.get("contour_median_px")),
        frames=len(calibration.frames),
        pose=pose_of(calibration),
        base_frame=calibration.robot.base_frame,
        camera_frame=calibration.camera.frame_id,
        package_version=calibration.provenance.package_version,
        **about,
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
