# SPDX-License-Identifier: Apache-2.0
"""Camera extrinsics as others write them: matrices, translation and quaternion, hand-eye results.

Nothing is guessed: which way a transform goes, and in which order a quaternion is written, must be
said by the file or by whoever gives it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import FrameTree, StaticTransform, frame_name
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.store import ResultStore

Direction = Literal["T_base_camera", "T_camera_base"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_SPELLINGS: dict[str, Direction] = {
    "T_base_camera": "T_base_camera",
    "T_base_cam": "T_base_camera",
    "T_camera_base": "T_camera_base",
    "T_cam_base": "T_camera_base",
}
_POSES = ("transform", "transformation", "pose", "extrinsics", "extrinsic", "matrix", "T")
_TRANSLATIONS = ("translation", "translation_m", "position", "t")
_ROTATIONS = ("rotation", "orientation", "quaternion", "R")
# Numbers in files are often rounded to a few digits.
_ROUNDING = 1e-3
# No camera sees a robot from there; the unit is wrong.
FARTHEST_M = 100.0


def in_frames(
    given: GivenExtrinsics,
    base_frame: str,
    optical_frame: str,
    static_transforms: Sequence[StaticTransform] = (),
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return extrinsics between the robot's base and the camera's optical frame.

    Args:
        given: The extrinsics; a frame that it does not name is taken for the one wanted.
        base_frame: The robot's base.
        optical_frame: The camera's optical frame.
        static_transforms: What /tf_static connects, for extrinsics of other frames.

    Returns:
        (4, 4) ``T_camera_base``, and what was assumed or converted, one sentence each.

    Raises:
        ResultError: A frame is another one, and nothing connects it with the one wanted.
        FrameTreeError: /tf_static is broken.
    """
    tree = FrameTree(static_transforms)
    notes = []
    T = given.T_camera_base
    if given.base_frame is None:
        notes.append(f"{given.source} names no base frame; taken for '{base_frame}'")
    elif frame_name(given.base_frame) != frame_name(base_frame):
        T = T @ _between(tree, given, given.base_frame, base_frame, "the robot's base", "base")
        notes.append(_converted(given, given.base_frame, base_frame))
    if given.camera_frame is None:
        notes.append(
            f"{given.source} names no camera frame; taken for the optical frame '{optical_frame}' "
            "(z forward, x right), not a camera_link"
        )
    elif frame_name(given.camera_frame) != frame_name(optical_frame):
        what = "the camera's optical frame"
        T = _between(tree, given, optical_frame, given.camera_frame, what, "camera") @ T
        notes.append(_converted(given, given.camera_frame, optical_frame))
    return T, tuple(notes)


def _between(
    tree: FrameTree, given: GivenExtrinsics, first: str, second: str, what: str, option: str
) -> NDArray[np.float64]:
    """Return (4, 4) ``T_first_second`` by the tree; one of the two is what was ``given``."""
    up_first, up_second = (tree.path_to_root(frame_name(frame)) for frame in (first, second))
    roots = [
        path[-1].parent if path else frame_name(frame)
        for path, frame in ((up_first, first), (up_second, second))
    ]
    if roots[0] != roots[1]:
        own = given.base_frame if option == "base" else given.camera_frame
        wanted = first if own == second else second
        raise ResultError(
            f"{given.source} speaks of '{own}', {what} is '{wanted}', and no /tf_static of the "
            f"recording connects the two: give extrinsics of '{wanted}', or --{option}-frame "
            f"{wanted} if '{own}' is only another name for it"
        )
    T_root_first, T_root_second = (
        _T_root([edge.T_parent_child for edge in path]) for path in (up_first, up_second)
    )
    return se3.invert(T_root_first) @ T_root_second


def _T_root(upwards: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    T = np.eye(4)
    for T_parent_child in upwards:
        T = T_parent_child @ T
    return T


def _converted(given: GivenExtrinsics, frame: str, wanted: str) -> str:
    return (
        f"{given.source} speaks of '{frame}'; converted to '{wanted}' by the recording's /tf_static"
    )


@dataclass(frozen=True, eq=False)
class GivenExtrinsics:
    """The pose of a camera relative to a robot's base, as somebody states it.

    Attributes:
        T_camera_base: (4, 4) maps points in the base frame to the camera's.
        source: The file, or "--pose".
        base_frame: Which base frame it speaks of, None where that was not said.
        camera_frame: Which frame of the camera, None where that was not said.
        calibration: All of it, where it is a result of this package.
    """

    T_camera_base: NDArray[np.float64]
    source: str
    base_frame: str | None = None
    camera_frame: str | None = None
    calibration: Calibration | None = None

    @property
    def T_base_camera(self) -> NDArray[np.float64]:
        """(4, 4), maps points in the camera's frame to the base frame."""
        return se3.invert(self.T_camera_base)


def load_result(name_or_path: str) -> GivenExtrinsics:
    """Read a result of this package by its file, its folder, or the name it was saved under.

    Raises:
        ResultError: There is none, or it is broken.
    """
    path = Path(name_or_path)
    by_name = not path.exists() and path.name == name_or_path and not path.suffix
    calibration = ResultStore().load(name_or_path) if by_name else Calibration.load(path)
    return _of_calibration(calibration, name_or_path)


def read_extrinsics(path: Path, direction: Direction | None = None) -> GivenExtrinsics:
    """Read extrinsics from a YAML or JSON file.

    Taken are a 4x4 matrix, or a translation with a quaternion or a 3x3 rotation, at the top or
    under a key that says its direction (``T_base_camera``, ``T_camera_base``); a TransformStamped;
    eye-on-base results of easy_handeye and easy_handeye2; and results of this package.

    Args:
        path: The file.
        direction: Which way the transform goes, where the file does not say.

    Raises:
        ResultError: The file holds no extrinsics, does not say something that is needed, or
            contradicts ``direction``.
    """
    document = _document(path)
    source = str(path)
    if isinstance(document, dict) and "format_version" in document:
        return _of_calibration(Calibration.load(path), source)
    if not isinstance(document, dict):
        return _directed(_pose(document, source), source, direction)
    parameters = document.get("parameters")
    if isinstance(parameters, dict) and "robot_base_frame" in parameters:
        return _hand_eye(document, parameters, source, direction)
    if "child_frame_id" in document:
        return _stamped(document, source, direction)
    named = [key for key in _SPELLINGS if document.get(key) is not None]
    if named:
        return _named(document, named, source, direction)
    pose = next((document[key] for key in _POSES if key in document), document)
    return _directed(_pose(pose, source), source, direction, *_frames(document))


def _of_calibration(calibration: Calibration, source: str) -> GivenExtrinsics:
    return GivenExtrinsics(
        calibration.T_camera_base,
        source,
        calibration.robot.base_frame,
        calibration.camera.frame_id,
        calibration,
    )


def _document(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ResultError(
            f"cannot read extrinsics from {path} ({reason}); give a YAML or JSON file"
        ) from error


def _frames(document: Mapping[str, Any]) -> tuple[str | None, str | None]:
    base = document.get("base_frame") or document.get("robot_base_frame")
    camera = document.get("optical_frame") or document.get("camera_frame")
    return (None if base is None else str(base)), (None if camera is None else str(camera))


def _named(
    document: Mapping[str, Any], named: list[str], source: str, direction: Direction | None
) -> GivenExtrinsics:
    """Return what is written under keys that say their direction; all must agree."""
    given = []
    for key in named:
        stated = _SPELLINGS[key]
        if direction is not None and direction != stated and len(named) == 1:
            raise ResultError(
                f"{source} calls its transform {key}, --transform says {direction}: leave "
                "--transform out, or correct the file"
            )
        given.append(_directed(_pose(document[key], source), source, stated, *_frames(document)))
    for other in given[1:]:
        degrees, metres = se3.difference(given[0].T_camera_base, other.T_camera_base)
        if degrees > 0.1 or metres > 1e-3:
            raise ResultError(
                f"{source} contradicts itself: {' and '.join(named)} are no inverses of each "
                "other; correct the file"
            )
    return given[0]


def _hand_eye(
    document: Mapping[str, Any],
    parameters: Mapping[str, Any],
    source: str,
    direction: Direction | None,
) -> GivenExtrinsics:
    """Return a result of easy_handeye or easy_handeye2."""
    kind = str(parameters.get("calibration_type", ""))
    if kind == "eye_in_hand" or parameters.get("eye_on_hand"):
        raise ResultError(
            f"{source} is of a camera on the hand (eye_in_hand), which moves with the robot: only "
            "fixed cameras (eye_on_base) can be checked"
        )
    if direction == "T_camera_base":
        raise ResultError(
            f"{source} is a hand-eye result, which is T_base_camera; --transform says "
            "T_camera_base: leave --transform out"
        )
    pose = next((document[key] for key in _POSES if key in document), None)
    camera = parameters.get("tracking_base_frame")
    return _directed(
        _pose(pose, source),
        source,
        "T_base_camera",
        str(parameters["robot_base_frame"]),
        None if camera is None else str(camera),
    )


def _stamped(
    document: Mapping[str, Any], source: str, direction: Direction | None
) -> GivenExtrinsics:
    """Return a TransformStamped, whose parent is the base unless the direction says otherwise."""
    header = document.get("header")
    parent = header.get("frame_id") if isinstance(header, dict) else document.get("frame_id")
    parent = None if parent is None else str(parent)
    child = str(document["child_frame_id"])
    pose = _pose(document.get("transform"), source)
    if direction == "T_camera_base":
        return _directed(pose, source, direction, child, parent)
    return _directed(pose, source, "T_base_camera", parent, child)


def _directed(
    T: NDArray[np.float64],
    source: str,
    direction: Direction | None,
    base_frame: str | None = None,
    camera_frame: str | None = None,
) -> GivenExtrinsics:
    if direction is None:
        raise ResultError(
            f"{source} does not say which way its transform goes: add --transform T_base_camera "
            "(maps points in the camera's frame to the base, as a TF from base to camera does) or "
            "--transform T_camera_base (the inverse, what projection needs)"
        )
    T_camera_base = T if direction == "T_camera_base" else se3.invert(T)
    return GivenExtrinsics(T_camera_base, source, base_frame, camera_frame)


def _pose(value: Any, source: str) -> NDArray[np.float64]:
    """Return the (4, 4) transform that is written as a matrix, or in two parts."""
    try:
        T = _pose_of_mapping(value, source) if isinstance(value, dict) else _matrix(value)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ResultError(
            f"{source} holds no extrinsics that can be read: give a 4x4 matrix, or 'translation' "
            "(x, y, z in metres) and 'rotation' (x, y, z, w)"
        ) from None
    return rigid(T, source)


def _pose_of_mapping(value: Mapping[str, Any], source: str) -> NDArray[np.float64]:
    for key in ("matrix", "data"):
        if key in value:
            return _matrix(value[key])
    if {"x", "y", "z", "qx", "qy", "qz", "qw"} <= value.keys():
        quaternion = [float(value[name]) for name in ("qx", "qy", "qz", "qw")]
        return se3.from_quaternion_xyzw(quaternion, _vector(value))
    translation = _vector(_first(value, _TRANSLATIONS))
    for key, order in (("quaternion_xyzw", [0, 1, 2, 3]), ("quaternion_wxyz", [1, 2, 3, 0])):
        if key in value:
            quaternion_array = np.asarray(value[key], dtype=np.float64).reshape(4)[order]
            return se3.from_quaternion_xyzw(quaternion_array, translation)
    rotation = _first(value, _ROTATIONS)
    if isinstance(rotation, dict):
        quaternion = [float(rotation[name]) for name in ("x", "y", "z", "w")]
        return se3.from_quaternion_xyzw(quaternion, translation)
    R = np.asarray(rotation, dtype=np.float64)
    if R.size == 4:
        raise ResultError(
            f"{source} does not say in which order its quaternion is written: name it "
            "quaternion_xyzw or quaternion_wxyz"
        )
    return se3.make(R.reshape(3, 3), translation)


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if name in value:
            return value[name]
    raise KeyError(names[0])


def _vector(value: Any) -> NDArray[np.float64]:
    if isinstance(value, dict):
        value = [value[name] for name in ("x", "y", "z")]
    return np.asarray(value, dtype=np.float64).reshape(3)


def _matrix(value: Any) -> NDArray[np.float64]:
    matrix = np.asarray(value, dtype=np.float64)
    if matrix.size == 12:
        return np.vstack([matrix.reshape(3, 4), [0.0, 0.0, 0.0, 1.0]])
    return matrix.reshape(4, 4)


def rigid(T: NDArray[np.float64], source: str) -> NDArray[np.float64]:
    """Return a (4, 4) rigid transform with its rounding errors removed.

    Raises:
        ResultError: It is none, be it millimetres for metres or a projection matrix.
    """
    R = T[:3, :3]
    if not np.isfinite(T).all() or not np.allclose(T[3], [0, 0, 0, 1], atol=_ROUNDING):
        raise ResultError(f"{source} holds no rigid transform: its last row is not 0 0 0 1")
    if not np.allclose(R @ R.T, np.eye(3), atol=5 * _ROUNDING) or np.linalg.det(R) < 0:
        raise ResultError(f"{source} holds no rigid transform: its rotation is not a rotation")
    distance_m = float(np.linalg.norm(T[:3, 3]))
    if distance_m > FARTHEST_M:
        raise ResultError(
            f"{source} puts the camera {distance_m:.0f} m from the base: give translations in "
            "metres, not in millimetres"
        )
    return se3.from_quaternion_xyzw(se3.quaternion_xyzw(T), T[:3, 3])
