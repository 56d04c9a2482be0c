# SPDX-License-Identifier: Apache-2.0
"""A camera pose as text to paste: a static_transform_publisher command and a URDF origin."""

from __future__ import annotations

import shlex

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3


def static_transform_publisher(T_parent_child: NDArray[np.float64], parent: str, child: str) -> str:
    """Return the ROS 2 shell command that publishes (4, 4) ``T_parent_child`` on /tf_static."""
    values = (*T_parent_child[:3, 3], *se3.quaternion_xyzw(T_parent_child))
    flags = ("--x", "--y", "--z", "--qx", "--qy", "--qz", "--qw")
    numbers = " ".join(
        f"{flag} {float(value)!r}" for flag, value in zip(flags, values, strict=True)
    )
    return (
        f"ros2 run tf2_ros static_transform_publisher {numbers} "
        f"--frame-id {shlex.quote(parent)} --child-frame-id {shlex.quote(child)}"
    )


def urdf_origin(T_parent_child: NDArray[np.float64]) -> str:
    """Return the ``<origin>`` of a fixed joint: metres, and roll-pitch-yaw about fixed axes."""
    R = T_parent_child[:3, :3]
    cos_pitch = np.hypot(R[0, 0], R[1, 0])
    if cos_pitch > 1e-9:
        roll, yaw = np.arctan2(R[2, 1], R[2, 2]), np.arctan2(R[1, 0], R[0, 0])
    else:
        # Roll and yaw turn about the same axis: one of them is enough.
        roll, yaw = np.arctan2(-R[1, 2], R[1, 1]), 0.0
    rpy = (roll, np.arctan2(-R[2, 0], cos_pitch), yaw)
    xyz_text = " ".join(repr(float(value)) for value in T_parent_child[:3, 3])
    rpy_text = " ".join(repr(float(value)) for value in rpy)
    return f'<origin xyz="{xyz_text}" rpy="{rpy_text}"/>'
