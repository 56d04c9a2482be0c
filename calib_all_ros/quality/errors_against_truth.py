# SPDX-License-Identifier: Apache-2.0
"""How far an estimated camera pose is from a known one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.motion import RobotMotion

_POINTS = 2000
_SEED = 0


@dataclass(frozen=True)
class PoseErrors:
    """Errors of a pose.

    Attributes:
        rotation_deg: Angle between the two orientations.
        position_mm: Distance between the two camera positions in the base frame.
        add_mm: Mean distance between the robot's surface points under the two poses (ADD), over
            the frames of the motion.
    """

    rotation_deg: float
    position_mm: float
    add_mm: float


def pose_errors(
    T_estimate: NDArray[np.floating],
    T_truth: NDArray[np.floating],
    robot: Robot,
    motion: RobotMotion,
) -> PoseErrors:
    """Compare two poses of one camera.

    ADD as in Hinterstoisser et al., "Model Based Training, Detection and Pose Estimation of
    Texture-Less 3D Objects in Heavily Cluttered Scenes", ACCV 2012.

    Args:
        T_estimate: (4, 4) ``T_camera_base``.
        T_truth: (4, 4) ``T_camera_base``.
        robot: Its surface is sampled evenly, the same points every time.
        motion: The robot at the frames to compare in.
    """
    points, links = robot.surface.sample(_POINTS, _SEED)
    T_base_link = motion.link_poses()[:, links]
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    in_base = np.einsum("npij,pj->npi", T_base_link, homogeneous)[..., :3]
    between = se3.transform(np.asarray(T_estimate), in_base) - se3.transform(
        np.asarray(T_truth), in_base
    )
    rotation_deg, distance_m = se3.difference(T_estimate, T_truth)
    add_m = float(np.linalg.norm(between, axis=-1).mean())
    return PoseErrors(rotation_deg, 1e3 * distance_m, 1e3 * add_m)
