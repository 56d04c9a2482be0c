# SPDX-License-Identifier: Apache-2.0
"""A camera pose that is typed or pasted: numbers, or a static_transform_publisher command."""

from __future__ import annotations

import shlex

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.extrinsics_file import Direction, GivenExtrinsics, rigid

SOURCE = "--pose"
PUBLISHER = "static_transform_publisher"
_LENGTHS = ("x", "y", "z")
_QUATERNION = ("qx", "qy", "qz", "qw")
_ANGLES = ("roll", "pitch", "yaw")
_FRAMES = ("frame-id", "child-frame-id")
Parsed = tuple[NDArray[np.float64], str | None, str | None]


def parse_pose(text: str, direction: Direction | None = None) -> GivenExtrinsics:
    """Read a pose from the command line.

    Args:
        text: "x y z qx qy qz qw", separated by blanks or commas; or a static_transform_publisher
            command with its flags, or with its older positional arguments.
        direction: Which way the transform goes. A publisher's command is a TF from the base to the
            camera unless this says that the camera is the parent.

    Raises:
        ResultError: The text is neither, or the direction is needed and missing.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise _unreadable(text) from None
    if PUBLISHER in words:
        words = words[words.index(PUBLISHER) + 1 :]
    elif not any(word.startswith("--") for word in words):
        words = text.replace(",", " ").split()
    # What follows speaks to ROS, not of the pose.
    if "--ros-args" in words:
        words = words[: words.index("--ros-args")]
    flagged = any(word.startswith("--") for word in words)
    T, parent, child = _flags(words, text) if flagged else _positions(words, text)
    T = rigid(T, SOURCE)
    if parent is None and child is None and direction is None:
        raise ResultError(
            f"{SOURCE} needs --transform, too: T_base_camera (maps points in the camera's frame "
            "to the base, as a TF from base to camera does) or T_camera_base (the inverse, what "
            "projection needs)"
        )
    if direction == "T_camera_base":
        return GivenExtrinsics(T, SOURCE, child, parent)
    return GivenExtrinsics(se3.invert(T), SOURCE, parent, child)


def _flags(words: list[str], text: str) -> Parsed:
    values: dict[str, str] = {}
    rest = iter(word for part in words for word in part.split("=", 1))
    for flag in rest:
        name = flag.removeprefix("--")
        if name not in (*_LENGTHS, *_QUATERNION, *_ANGLES, *_FRAMES) or name == flag:
            raise _unreadable(text)
        value = next(rest, None)
        if value is None:
            raise _unreadable(text)
        values[name] = value
    quaternion = [name for name in _QUATERNION if name in values]
    if quaternion and any(name in values for name in _ANGLES):
        raise ResultError(f"{SOURCE} has a quaternion and angles: give one of them")
    try:
        numbers = {name: float(values[name]) for name in values if name not in _FRAMES}
    except ValueError:
        raise _unreadable(text) from None
    translation = [numbers.get(name, 0.0) for name in _LENGTHS]
    if quaternion:
        identity = {"qw": 1.0} if "qw" not in numbers else {}
        T = _from_quaternion(
            [{**identity, **numbers}.get(q, 0.0) for q in _QUATERNION], translation
        )
    else:
        T = _from_angles([numbers.get(name, 0.0) for name in _ANGLES], translation)
    return T, values.get("frame-id"), values.get("child-frame-id")


def _positions(words: list[str], text: str) -> Parsed:
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            break
    frames = words[len(numbers) :]
    if len(frames) not in (0, 2) or len(numbers) not in (6, 7) or not np.isfinite(numbers).all():
        raise _unreadable(text)
    if len(numbers) == 7:
        T = _from_quaternion(numbers[3:], numbers[:3])
    elif frames:
        # The publisher's older form takes yaw first.
        T = _from_angles(numbers[:2:-1], numbers[:3])
    else:
        raise _unreadable(text)
    parent, child = frames or (None, None)
    return T, parent, child


def _from_quaternion(quaternion: list[float], translation: list[float]) -> NDArray[np.float64]:
    if abs(np.linalg.norm(quaternion) - 1.0) > 0.01:
        raise ResultError(
            f"the quaternion of {SOURCE} has the length {np.linalg.norm(quaternion):.3f}, not 1: "
            "check its order (x y z w) and its numbers"
        )
    return se3.from_quaternion_xyzw(quaternion, translation)


def _from_angles(roll_pitch_yaw: list[float], translation: list[float]) -> NDArray[np.float64]:
    T = np.eye(4)
    for axis, angle in zip(np.eye(3), roll_pitch_yaw, strict=True):
        T = se3.from_rotvec(axis * angle, np.zeros(3)) @ T
    return se3.make(T[:3, :3], np.array(translation))


def _unreadable(text: str) -> ResultError:
    return ResultError(
        f"cannot read the pose '{text}': give 'x y z qx qy qz qw', or the command line of a "
        f"{PUBLISHER}"
    )
