# SPDX-License-Identifier: Apache-2.0
"""A camera pose as text to paste: a static_transform_publisher command and a URDF origin."""

from __future__ import annotations

import shlex
import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

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
    with warnings.catch_warnings():
        # Looking straight along the pitch singularity, scipy sets yaw to zero: still exact.
        warnings.simplefilter("ignore", UserWarning)
        rpy = Rotation.from_matrix(T_parent_child[:3, :3]).as_euler("xyz")
    xyz_text = " ".join(repr(float(value)) for value in T_parent_child[:3, 3])
    rpy_text = " ".join(repr(float(value)) for value in rpy)
    return f'<origin xyz="{xyz_text}" rpy="{rpy_text}"/>'
