# SPDX-License-Identifier: Apache-2.0
"""A robot of two simple links with exact masks, for tests of fits to masks."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.kinematics import Joint, Kinematics
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem


@pytest.fixture(scope="session")
def pillar_truth() -> NDArray[np.float64]:
    """The true ``T_camera_base`` of `pillar_problem`."""
    return se3.from_rotvec(np.array([1.9, 0.3, -0.2]), np.array([-0.05, 0.1, 1.3]))


@pytest.fixture(scope="session")
def pillar_problem(pillar_truth: NDArray[np.float64]) -> SilhouetteProblem:
    """A pillar with a long, tapering arm, in two configurations."""
    K = np.array([[300.0, 0, 159.3], [0, 300.0, 120.2], [0, 0, 1]])
    camera = Camera(K, 320, 240, np.zeros(0))
    pillar = trimesh.creation.box([0.2, 0.16, 0.3])
    arm = trimesh.creation.cone(0.1, 0.5, sections=12)
    hinge = Joint(
        "hinge", "revolute", "base", "arm", se3.make(np.eye(3), np.array([0.0, 0.0, 0.15]))
    )
    kinematics = Kinematics(("base", "arm"), [hinge])
    trajectory = JointTrajectory(("hinge",), np.array([0, 10**9]), np.array([[0.5], [-0.9]]))
    motion = RobotMotion(kinematics, trajectory, np.array([0, 10**9]))
    surface = RobotSurface.from_meshes([pillar, arm], kinematics.link_names)
    masks = silhouettes(surface, pillar_truth @ motion.link_poses(), camera)
    return SilhouetteProblem(surface, motion, camera, masks)
