# SPDX-License-Identifier: Apache-2.0
"""The error of everything that concerns the robot's description."""

from calib_all_ros.errors import CalibAllError


class RobotError(CalibAllError):
    """The robot description, one of its meshes, or the use made of them is wrong."""
