# SPDX-License-Identifier: Apache-2.0
"""The result of a calibration: the pose of the camera, how far to trust it, where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dacite
import numpy as np
import yaml
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import ResultError, write_atomically
from calib_all_ros.results.paste import static_transform_publisher, urdf_origin
from calib_all_ros.results.records import (
    Covariance,
    FrameQuality,
    Provenance,
    RobotRecord,
    Status,
    Verdict,
)

__all__ = [
    "FILE_NAME",
    "Calibration",
    "Covariance",
    "FrameQuality",
    "Provenance",
    "ResultError",
    "RobotRecord",
    "Status",
    "Verdict",
]

Array = NDArray[np.float64]
RecordType = TypeVar("RecordType", RobotRecord, Verdict, Provenance, FrameQuality)

FILE_NAME = "calibration.yaml"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Calibration:
    """The pose of a fixed camera relative to a robot's base, and what supports it.

    Attributes:
        T_camera_base: (4, 4), maps points in the base frame to the camera's optical frame.
        camera: the camera as recorded; its ``frame_id`` is the optical frame.
        robot: the robot and its base frame.
        verdict: whether to use the pose.
        provenance: where it came from.
        quality: figures whose names carry their units, e.g. ``iou_mean``, ``contour_median_px``.
        frames: quality of each image.
        notes: what is worth knowing and casts no doubt on the pose, one sentence each.
        covariance: of the pose, None where not estimated.
        lag_ms: how much later than the light the images were stamped, None if not estimated.
        mask_bias_px: how much too fat the masks were, None if not estimated.
        point_offset_m: (3,) the mark in the frame of ``robot.eef_link``, None without a mark.
        focal_scale: factor on the focal length, None if not estimated.
        joint_offsets: what to add to the recorded position of each joint, by its name, radians or
            metres; None if not estimated.
        stages: (4, 4) ``T_camera_base`` after each stage, by its name, e.g. "coarse".
    """

    T_camera_base: Array
    camera: Camera
    robot: RobotRecord
    verdict: Verdict
    provenance: Provenance
    quality: dict[str, float] = field(default_factory=dict)
    frames: tuple[FrameQuality, ...] = ()
    notes: tuple[str, ...] = ()
    covariance: Covariance | None = None
    lag_ms: float | None = None
    mask_bias_px: float | None = None
    point_offset_m: Array | None = None
    focal_scale: float | None = None
    joint_offsets: dict[str, float] | None = None
    stages: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "T_camera_base", _rigid(self.T_camera_base, "T_camera_base"))
        stages = {name: _rigid(T, f"the pose of stage '{name}'") for name, T in self.stages.items()}
        object.__setattr__(self, "stages", stages)
        if self.point_offset_m is not None:
            offset = np.asarray(self.point_offset_m, dtype=np.float64)
            if offset.shape != (3,) or not np.isfinite(offset).all():
                raise ResultError("point_offset_m is not three finite numbers")
            object.__setattr__(self, "point_offset_m", offset)

    @property
    def T_base_camera(self) -> Array:
        """(4, 4), maps points in the camera's optical frame to the base frame: the TF."""
        return se3.invert(self.T_camera_base)

    def save(self, path: str | Path) -> Path:
        """Write the result as YAML, atomically, and return the file's path.

        Args:
            path: the file; or a folder (existing, or any path without a suffix), which then gets
                ``calibration.yaml``. Missing folders are made.

        Raises:
            ResultError: the file cannot be written.
        """
        path = _file_of(Path(path))
        text = yaml_text.dump(self._document(), tables=("frames",))
        write_atomically(path, text.encode())
        return path

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what :meth:`save` wrote; ``path`` is the file or its folder.

        Raises:
            ResultError: no such file, not a calibration, of another format version, or broken.
        """
        path = _file_of(Path(path))
        try:
            document = yaml.load(
                path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            )
        except OSError as error:
            raise ResultError(f"cannot read the calibration {path} ({error.strerror})") from error
        except (yaml.YAMLError, ValueError) as error:
            first_line = " ".join(str(error).split())
            raise ResultError(f"{path} is broken, not YAML ({first_line})") from error
        if not isinstance(document, dict) or "format_version" not in document:
            raise ResultError(f"{path} is not a calibration: it has no format_version")
        if document["format_version"] != FORMAT_VERSION:
            raise ResultError(
                f"{path} has format version {document['format_version']!r}, this package reads "
                f"{FORMAT_VERSION}; calibrate again or use the package version that wrote it"
            )
        try:
            return cls._from_document(document)
        except (
            CalibAllError,
            dacite.DaciteError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            reason = f"no '{error.args[0]}'" if isinstance(error, KeyError) else str(error)
            raise ResultError(f"{path} is a broken calibration: {reason}") from error

    def _document(self) -> dict[str, Any]:
        """Return the file's content, in the order people read it."""
        base, optical = self.robot.base_frame, self.camera.frame_id
        return {
            "format_version": FORMAT_VERSION,
            "verdict": self.verdict,
            "T_base_camera": _pose_entry(
                self.T_base_camera,
                f"maps points in {optical} to {base}; the TF {base} -> {optical}",
            ),
            "T_camera_base": _pose_entry(
                self.T_camera_base, f"maps points in {base} to {optical}; what projection needs"
            ),
            "paste": {
                "static_transform_publisher": static_transform_publisher(
                    self.T_base_camera, base, optical
                ),
                "urdf_origin": urdf_origin(self.T_base_camera),
            },
            "camera": {
                "frame_id": optical,
                "width": self.camera.width,
                "height": self.camera.height,
                "model": self.camera.model,
                "K": self.camera.K,
                "D": self.camera.distortion,
            },
            "robot": self.robot,
            "covariance": self.covariance,
            "quality": self.quality,
            "lag_ms": self.lag_ms,
            "mask_bias_px": self.mask_bias_px,
            "point_offset_m": self.point_offset_m,
            "focal_scale": self.focal_scale,
            "joint_offsets": self.joint_offsets,
            "stages": {name: {"T_camera_base": T} for name, T in self.stages.items()},
            "notes": self.notes,
            "provenance": self.provenance,
            "frames": self.frames,
        }

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Calibration:
        """Return the calibration of a file's content; its derived parts must agree with the pose.

        The constructors, dacite and the look-ups raise for whatever is missing or ill-typed.
        """
        camera, covariance = document["camera"], document["covariance"]
        offset = document["point_offset_m"]
        calibration = cls(
            T_camera_base=_array(document["T_camera_base"]["matrix"]),
            camera=Camera(
                K=_array(camera["K"]),
                width=int(camera["width"]),
                height=int(camera["height"]),
                distortion=_array(camera["D"]),
                model=str(camera["model"]),
                frame_id=str(camera["frame_id"]),
            ),
            robot=_record(RobotRecord, document["robot"]),
            verdict=_record(Verdict, document["verdict"]),
            provenance=_record(Provenance, document["provenance"]),
            quality={str(name): float(value) for name, value in document["quality"].items()},
            frames=tuple(_record(FrameQuality, row) for row in document["frames"]),
            notes=tuple(str(note) for note in document["notes"]),
            covariance=covariance
            and Covariance(
                _array(covariance["matrix"]), tuple(covariance["order"]), covariance["frame"]
            ),
            lag_ms=_number_or_none(document["lag_ms"]),
            mask_bias_px=_number_or_none(document["mask_bias_px"]),
            point_offset_m=None if offset is None else _array(offset),
            focal_scale=_number_or_none(document["focal_scale"]),
            # Results of before joints' offsets were estimated do not have them.
            joint_offsets=_numbers_or_none(document.get("joint_offsets")),
            stages={
                str(name): _array(stage["T_camera_base"])
                for name, stage in document["stages"].items()
            },
        )
        stored = _array(document["T_base_camera"]["matrix"])
        if stored.shape != (4, 4) or not np.allclose(stored, calibration.T_base_camera, atol=1e-6):
            raise ResultError("T_base_camera is not the inverse of T_camera_base")
        return calibration


def _file_of(path: Path) -> Path:
    return path / FILE_NAME if path.is_dir() or not path.suffix else path


def _pose_entry(T: Array, meaning: str) -> dict[str, Any]:
    return {
        "meaning": meaning,
        "translation_m": T[:3, 3],
        "quaternion_xyzw": se3.quaternion_xyzw(T),
        "matrix": T,
    }


def _record(kind: type[RecordType], content: dict[str, Any]) -> RecordType:
    return dacite.from_dict(kind, content, dacite.Config(type_hooks={float: float}, cast=[tuple]))


def _array(value: Any) -> Array:
    return np.asarray(value, dtype=np.float64)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


def _numbers_or_none(values: Any) -> dict[str, float] | None:
    return None if values is None else {str(name): float(v) for name, v in values.items()}


def _rigid(matrix: NDArray[np.floating], what: str) -> Array:
    """Return ``matrix`` as float64 after checking that it is a rigid transform."""
    T: Array = np.asarray(matrix, dtype=np.float64)
    if T.shape != (4, 4) or not np.isfinite(T).all():
        raise ResultError(f"{what} is not a finite 4x4 matrix")
    R = T[:3, :3]
    if (
        not np.allclose(R @ R.T, np.eye(3), atol=1e-6)
        or np.linalg.det(R) < 0
        or not np.array_equal(T[3], [0.0, 0.0, 0.0, 1.0])
    ):
        raise ResultError(f"{what} is not a rigid transform (rotation, translation, 0 0 0 1)")
    return T
