# SPDX-License-Identifier: Apache-2.0
"""Cameras from `sensor_msgs/CameraInfo`, for the images that go with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry.camera import Camera, CameraError
from calib_all_ros.recording.recording import RecordingError

DEFAULT_OPTICAL_FRAME = "camera_color_optical_frame"
_MODELS = {
    "plumb_bob": "plumb_bob",
    "rational_polynomial": "rational_polynomial",
    "equidistant": "equidistant",
    "fisheye": "equidistant",
}


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


@dataclass(frozen=True, eq=False)
class CameraInfo:
    """The fields of one message, under the same names for ROS 1 and ROS 2.

    Attributes:
        width: Width of the full image in pixels, before binning and region of interest.
        height: Height of the full image in pixels.
        model: `distortion_model`.
        D: (n,) distortion coefficients.
        K: (3, 3) intrinsics of the full, distorted image.
        P: (3, 4) projection of the rectified image.
        binning: (x, y), at least 1.
        roi: (x_offset, y_offset, width, height) in full resolution; width 0 means the full image.
        frame_id: Optical frame.
    """

    width: int
    height: int
    model: str
    D: NDArray[np.float64]
    K: NDArray[np.float64]
    P: NDArray[np.float64]
    binning: tuple[int, int]
    roi: tuple[int, int, int, int]
    frame_id: str

    @classmethod
    def from_message(cls, message: Any) -> CameraInfo:
        """Take a deserialised message of ROS 1 (fields D, K, P) or ROS 2 (d, k, p)."""

        def field(name: str) -> NDArray[np.float64]:
            value = getattr(message, name, None)
            return np.array(getattr(message, name.upper()) if value is None else value, dtype=float)

        roi = message.roi
        return cls(
            width=int(message.width),
            height=int(message.height),
            model=str(message.distortion_model),
            D=field("d"),
            K=field("k").reshape(3, 3),
            P=field("p").reshape(3, 4),
            binning=(max(int(message.binning_x), 1), max(int(message.binning_y), 1)),
            roi=(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
            frame_id=str(message.header.frame_id).lstrip("/"),
        )

    def differs_from(self, other: CameraInfo) -> str | None:
        """Return what changed between two messages in words, or None.

        Differences below a hundredth of a pixel in K and P are rounding.
        """
        if (self.width, self.height) != (other.width, other.height):
            return f"size {other.width}x{other.height} became {self.width}x{self.height}"
        if (self.binning, self.roi) != (other.binning, other.roi):
            return "binning or region of interest changed"
        if self.frame_id != other.frame_id:
            return f"frame_id '{other.frame_id}' became '{self.frame_id}'"
        if np.abs(self.K - other.K).max() > 0.01 or np.abs(self.P - other.P).max() > 0.01:
            return f"fx {other.K[0, 0]:.2f} became {self.K[0, 0]:.2f} px"
        if self.model != other.model or not np.array_equal(self.D, other.D):
            return "the distortion changed"
        return None


def camera_of(info: CameraInfo, *, rectified: bool, where: str) -> Camera:
    """Return the camera of the images that a CameraInfo describes.

    The region of interest moves the principal point, binning scales the image (pixel centres at
    integer coordinates).

    Args:
        info: The message.
        rectified: The images are rectified: P counts, and there is no distortion.
        where: Topic or file, for error messages.

    Raises:
        RecordingError: Not calibrated, or a distortion model that is not supported.
    """
    if rectified:
        K, model, distortion = info.P[:, :3].copy(), "pinhole", np.zeros(0)
        if not K.any() and not info.D.any():
            K = info.K.copy()
    else:
        K = info.K.copy()
        model, distortion = _distortion(info.model, info.D, where)
    if K[0, 0] == 0:
        matrix = "P" if rectified else "K"
        raise RecordingError(
            f"the camera on {where} is uncalibrated ({matrix} is zero): calibrate its intrinsics "
            "with ROS camera_calibration, or give a camera file"
        )
    x_offset, y_offset, roi_width, roi_height = info.roi
    binning_x, binning_y = info.binning
    K[0, 2] = (K[0, 2] - x_offset + 0.5) / binning_x - 0.5
    K[1, 2] = (K[1, 2] - y_offset + 0.5) / binning_y - 0.5
    K[0, :2] = K[0, 0] / binning_x, K[0, 1] / binning_x
    K[1, 1] /= binning_y
    try:
        return Camera(
            K=K,
            width=(roi_width or info.width) // binning_x,
            height=(roi_height or info.height) // binning_y,
            distortion=distortion,
            model=model,
            frame_id=info.frame_id or DEFAULT_OPTICAL_FRAME,
        )
    except CameraError as error:
        raise RecordingError(f"the camera on {where} cannot be used: {error}") from None


def _distortion(model: str, D: NDArray[np.float64], where: str) -> tuple[str, NDArray[np.float64]]:
    known = _MODELS.get(model.strip().lower())
    if known == "equidistant":
        # Without coefficients it is still not a pinhole: the radius is f times the angle.
        return known, D if D.size else np.zeros(4)
    if not D.any():
        return "pinhole", np.zeros(0)
    if known is None:
        raise RecordingError(
            f"the camera on {where} has the distortion model '{model}', which is not supported; "
            f"supported are: {', '.join(_MODELS)}"
        )
    return known, D
