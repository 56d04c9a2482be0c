# SPDX-License-Identifier: Apache-2.0
"""A second arm that is asked for beside the first: its description, its pose, its joints' names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3
from calib_all_ros.input_files import InputSelection
from calib_all_ros.robot.joining import join_descriptions

_LENGTH_TOLERANCE = 0.01


class SecondArmError(CalibAllError):
    """What is said of a second arm does not go together."""


def check_second_arm(files: InputSelection) -> None:
    """Make sure that what is said of a second arm is complete.

    Raises:
        SecondArmError: It is not.
    """
    if files.second_urdf is None:
        if files.second_base is not None or files.second_joint_topics:
            raise SecondArmError(
                "a second arm needs its robot description, too: give --second-urdf FILE"
            )
        if files.prefix:
            raise SecondArmError(
                "--prefix tells two arms apart, and there is but one: give --second-urdf FILE, too"
            )
    elif files.second_base is None:
        raise SecondArmError(
            "--second-urdf needs --second-base, the pose of the second arm's root in the first "
            "one's base"
        )
    elif files.second_joint_topics and not files.joint_topics:
        raise SecondArmError(
            "--second-joint-topic needs --joint-topic, the joint states of the first arm"
        )


def joined_description(files: InputSelection, recorded: str | None) -> Path | str | None:
    """Return the robot description that is meant: both arms', where there are two.

    Args:
        files: What is asked for.
        recorded: XML text that the recording holds, which is the first arm's.

    Raises:
        SecondArmError: What is said of the second arm is not complete.
        RobotError: A description cannot be used.
    """
    check_second_arm(files)
    first = files.urdf or recorded
    if files.second_urdf is None or first is None:
        return first
    assert files.second_base is not None
    return join_descriptions(
        first,
        files.second_urdf,
        pose_of(files.second_base),
        prefix=files.prefix,
        second_prefix=files.second_prefix,
        base_frame=files.base_frame,
        mesh_paths=files.mesh_paths,
    )


def joint_prefixes(files: InputSelection) -> dict[str, str]:
    """Return what goes before the names of the joints on each topic, by the topic."""
    if not files.second_joint_topics:
        return {}
    first = dict.fromkeys(files.joint_topics or (), files.prefix)
    return {**first, **dict.fromkeys(files.second_joint_topics, files.second_prefix)}


def pose_of(numbers: Sequence[float]) -> NDArray[np.float64]:
    """Return the (4, 4) transform of a position and a quaternion, or roll, pitch and yaw.

    Args:
        numbers: x, y, z in metres, then x, y, z, w; or angles about fixed axes in radians.

    Raises:
        SecondArmError: They are not six or seven, or the quaternion has no unit length.
    """
    position, rotation = np.array(numbers[:3]), np.array(numbers[3:])
    if len(rotation) == 4:
        length = float(np.linalg.norm(rotation))
        if abs(length - 1.0) > _LENGTH_TOLERANCE:
            raise SecondArmError(
                f"the quaternion of --second-base has the length {length:.3f}, not 1: check its "
                "order (x y z w) and its numbers"
            )
        return se3.from_quaternion_xyzw(rotation, position)
    if len(rotation) != 3:
        raise SecondArmError(
            f"--second-base has {len(numbers)} numbers: give X,Y,Z,QX,QY,QZ,QW or "
            "X,Y,Z,ROLL,PITCH,YAW"
        )
    T = np.eye(4)
    for axis, angle in zip(np.eye(3), rotation, strict=True):
        T = se3.from_rotvec(axis * angle, np.zeros(3)) @ T
    return se3.make(T[:3, :3], position)
