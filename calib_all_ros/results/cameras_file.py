# SPDX-License-Identifier: Apache-2.0
"""``cameras.yaml``: several cameras that were calibrated together, and their relative poses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically
from calib_all_ros.results.paste import static_transform_publisher
from calib_all_ros.results.records import Covariance, Status, Verdict

FILE_NAME = "cameras.yaml"
FORMAT_VERSION = 1

Array = NDArray[np.float64]


class _Comparison(Protocol):
    """What a comparison of equal values found."""

    @property
    def chi_squared(self) -> float: ...
    @property
    def degrees_of_freedom(self) -> int: ...
    @property
    def p_value(self) -> float: ...


@dataclass(frozen=True)
class SharedValue:
    """Whether the cameras, each by itself, agree about something.

    Attributes:
        chi_squared: Squared length of the differences in standard deviations.
        degrees_of_freedom: How many differences there are.
        p_value: How often chance alone makes them differ at least as much.
    """

    chi_squared: float
    degrees_of_freedom: int
    p_value: float

    @classmethod
    def of(cls, comparison: _Comparison) -> SharedValue:
        """Keep what a comparison found."""
        return cls(comparison.chi_squared, comparison.degrees_of_freedom, comparison.p_value)


@dataclass(frozen=True)
class JointRecord:
    """What cameras that were refined together share.

    Attributes:
        cameras: Their names.
        clocks: Names of the cameras on each clock; those on one clock share their lag.
        joint_offsets: What to add to the recorded positions of the joints, radians or metres; None
            where that was not estimated, or is not shared.
        lags: Whether the lags of all cameras agree, None where fewer than two were estimated.
        offsets: Whether their joint offsets agree, None where they were not estimated.
        shared: Whether all agrees that is shared: the cameras by themselves against all together;
            None where nothing is.
    """

    cameras: tuple[str, ...]
    clocks: tuple[tuple[str, ...], ...]
    joint_offsets: dict[str, float] | None
    lags: SharedValue | None
    offsets: SharedValue | None
    shared: SharedValue | None


@dataclass(frozen=True, eq=False)
class RelativePoseRecord:
    """Where camera b is as seen from camera a.

    Attributes:
        a: Name of camera a.
        b: Name of camera b.
        a_frame: Optical frame of camera a.
        b_frame: Optical frame of camera b.
        T_a_b: (4, 4) maps points in camera b's optical frame to camera a's.
        covariance: Of its error; its frame is stated there.
    """

    a: str
    b: str
    a_frame: str
    b_frame: str
    T_a_b: Array
    covariance: Covariance


@dataclass(frozen=True, eq=False)
class CameraRecord:
    """One of the cameras; the rest is in its own folder.

    Attributes:
        name: Its name.
        image_topic: Where its images were recorded; "" where the recording has but one camera.
        folder: Folder of its calibration, relative to ``cameras.yaml``.
        verdict: The status of its calibration.
        frame: Its optical frame.
        T_base_camera: (4, 4) maps points in the optical frame to the robot's base.
        covariance: Of the pose, None where not estimated.
        lag_ms: How much later than the light its images were stamped, None if not estimated.
    """

    name: str
    image_topic: str
    folder: str
    verdict: Status
    frame: str
    T_base_camera: Array
    covariance: Covariance | None
    lag_ms: float | None


@dataclass(frozen=True, eq=False)
class CamerasResult:
    """Several cameras of one recording.

    Attributes:
        recording: Path, as the user gave it.
        base_frame: The robot's base.
        verdict: On all of them together.
        cameras: Each of them.
        joint: What they share; None where they were not refined together.
        relative_poses: Of each pair that was refined together.
        notes: What was done and what was not, one sentence each.
        created: Date and time, ISO 8601 with time zone.
        package_version: Of calib_all_ros.
    """

    recording: str
    base_frame: str
    verdict: Verdict
    cameras: tuple[CameraRecord, ...]
    joint: JointRecord | None
    relative_poses: tuple[RelativePoseRecord, ...]
    notes: tuple[str, ...]
    created: str
    package_version: str

    def static_transforms(self) -> list[str]:
        """Return the commands that publish the usable cameras' poses on /tf_static."""
        return [
            static_transform_publisher(camera.T_base_camera, self.base_frame, camera.frame)
            for camera in self.cameras
            if camera.verdict != "rejected"
        ]

    def save(self, folder: Path) -> Path:
        """Write ``cameras.yaml`` into a folder, atomically, and return its path.

        Raises:
            ResultError: It cannot be written.
        """
        path = folder / FILE_NAME
        write_atomically(path, yaml_text.dump(self.document()).encode())
        return path

    def document(self) -> dict[str, Any]:
        """Return the file's content, in the order people read it."""
        return {
            "format_version": FORMAT_VERSION,
            "verdict": {"status": self.verdict.status, "reasons": self.verdict.reasons},
            "base_frame": self.base_frame,
            "cameras": {
                camera.name: {
                    "image_topic": camera.image_topic,
                    "folder": camera.folder,
                    "verdict": camera.verdict,
                    "frame_id": camera.frame,
                    "T_base_camera": _pose(
                        camera.T_base_camera,
                        f"maps points in {camera.frame} to {self.base_frame}",
                    ),
                    "covariance": camera.covariance,
                    "lag_ms": camera.lag_ms,
                }
                for camera in self.cameras
            },
            "joint_refinement": None if self.joint is None else asdict(self.joint),
            "relative_poses": [
                {
                    "a": pair.a,
                    "b": pair.b,
                    "T_a_b": _pose(
                        pair.T_a_b,
                        f"maps points in {pair.b_frame} (of {pair.b}) to {pair.a_frame} "
                        f"(of {pair.a})",
                    ),
                    "covariance": pair.covariance,
                }
                for pair in self.relative_poses
            ],
            "paste": {"static_transform_publisher": self.static_transforms()},
            "notes": self.notes,
            "provenance": {
                "recording": self.recording,
                "created": self.created,
                "package_version": self.package_version,
            },
        }


def _pose(T: Array, meaning: str) -> dict[str, Any]:
    return {
        "meaning": meaning,
        "translation_m": T[:3, 3],
        "quaternion_xyzw": se3.quaternion_xyzw(T),
        "matrix": T,
    }
