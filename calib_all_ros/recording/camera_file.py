# SPDX-License-Identifier: Apache-2.0
"""Camera intrinsics in files: camera.json of a recording folder, and camera_info YAML of ROS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.recording.camera_info import CameraInfo, camera_of
from calib_all_ros.recording.recording import RecordingError


@dataclass(frozen=True, eq=False)
class CameraFile:
    """What a camera file says.

    Attributes:
        camera: Intrinsics.
        names_frame: Whether the file names the optical frame; if not, a default stands in.
        base_frame: The robot's base frame, if named.
        T_camera_base: (4, 4) true pose, if known.
    """

    camera: Camera
    names_frame: bool
    base_frame: str | None
    T_camera_base: NDArray[np.float64] | None


def read_document(path: Path) -> Any:
    """Return the content of a JSON or YAML file.

    Raises:
        RecordingError: The file is not there or is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # Joint states are long lists of numbers: JSON and libyaml read them, PyYAML's own loader
        # would take minutes.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, loader)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RecordingError(f"{path} cannot be read: {reason}; give valid JSON or YAML") from error


def read_camera_file(path: Path) -> CameraFile:
    """Read a camera.json or the YAML of ROS `camera_calibration_parsers`.

    Raises:
        RecordingError: A key is missing, or the values are not those of a calibrated camera.
    """
    document = read_document(path)
    if not isinstance(document, dict):
        raise RecordingError(f"{path} is no camera description: give K, width and height in it")
    try:
        info = _camera_info(document)
        frame = document.get("optical_frame") or document.get("frame_id") or ""
        pose = document.get("T_cam_base", document.get("T_camera_base"))
        return CameraFile(
            camera=camera_of(info, rectified=False, where=str(path)),
            names_frame=bool(frame),
            base_frame=document.get("base_frame"),
            T_camera_base=None if pose is None else np.array(pose, dtype=float).reshape(4, 4),
        )
    except KeyError as error:
        raise RecordingError(
            f"{path} has no {error}; it needs K (or camera_matrix), width (or image_width) and "
            f"height (or image_height), it has: {', '.join(map(str, document))}"
        ) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"{path} is no camera description: {error}") from None


def _camera_info(document: dict[str, Any]) -> CameraInfo:
    def first(*names: str) -> Any:
        for name in names:
            if name in document:
                value = document[name]
                return value["data"] if isinstance(value, dict) else value
        raise KeyError(names[0])

    K = np.array(first("K", "k", "camera_matrix"), dtype=float).reshape(3, 3)
    keys = ("distortion", "D", "d", "distortion_coefficients")
    D = first(*keys) if any(key in document for key in keys) else []
    frame = document.get("optical_frame") or document.get("frame_id") or ""
    return CameraInfo(
        width=int(first("width", "image_width")),
        height=int(first("height", "image_height")),
        model=str(document.get("distortion_model", document.get("camera_model", "plumb_bob"))),
        D=np.array(D if D is not None else [], dtype=float).reshape(-1),
        K=K,
        P=np.zeros((3, 4)),
        binning=(1, 1),
        roi=(0, 0, 0, 0),
        frame_id=str(frame),
    )


def camera_document(
    camera: Camera, base_frame: str | None = None, T_camera_base: ArrayLike | None = None
) -> dict[str, Any]:
    """Return the content of the camera.json that describes a camera."""
    pinhole = camera.model == "pinhole"
    return {
        "K": camera.K.tolist(),
        "width": camera.width,
        "height": camera.height,
        "distortion_model": "plumb_bob" if pinhole else camera.model,
        "distortion": [0.0] * 5 if pinhole else camera.distortion.tolist(),
        "optical_frame": camera.frame_id,
        "base_frame": base_frame,
        "T_cam_base": None if T_camera_base is None else np.asarray(T_camera_base).tolist(),
    }
