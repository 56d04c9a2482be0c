# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import trimesh

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.rendering.raw_view import raw_silhouette
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.simulation.settings import SimulationSettings
from calib_all_ros.simulation.simulator import simulate
from calib_all_ros.solving.motion import RobotMotion


@pytest.mark.parametrize(
    ("model", "distortion"),
    [
        ("plumb_bob", ()),
        ("plumb_bob", (-0.3, 0.1, 0.001, -0.002, 0.0)),
        ("rational_polynomial", (0.5, 0.1, 0.0, 0.0, 0.02, 0.8, 0.2, 0.05)),
        ("equidistant", (0.05, -0.01, 0.0, 0.0)),
    ],
)
def test_covers_what_a_ray_tracer_sees(
    demo_robot: Robot, model: str, distortion: tuple[float, ...]
) -> None:
    # A wide angle, so that the robot reaches where a rectified image would not.
    settings = SimulationSettings(
        frames=4, rate_hz=2.0, width=320, height=240, focal_px=130.0, seed=3,
        distortion_model=model, distortion=distortion,
    )  # fmt: skip
    seen = simulate(demo_robot, settings)
    joints = JointTrajectory(seen.joint_names, seen.joint_stamps_ns, seen.joint_positions)
    motion = RobotMotion(demo_robot.kinematics, joints, seen.image_stamps_ns)
    T_camera_link = seen.T_camera_base @ motion.link_poses()
    for poses, mask in zip(T_camera_link, seen.masks, strict=True):
        drawn = raw_silhouette(demo_robot.surface, poses, seen.camera)
        assert drawn.shape == mask.shape
        assert (drawn & mask).sum() / (drawn | mask).sum() > 0.97


@pytest.mark.parametrize(
    ("model", "distortion"),
    [("plumb_bob", (-0.3, 0.1, 0.0, 0.0, 0.0)), ("equidistant", (0.05, -0.01, 0.0, 0.0))],
)
def test_reaches_into_the_corners_of_a_distorted_image(
    model: str, distortion: tuple[float, ...]
) -> None:
    K = np.array([[200.0, 0.0, 160.0], [0.0, 200.0, 120.0], [0.0, 0.0, 1.0]])
    camera = Camera(K, 320, 240, np.array(distortion), model)
    wall = trimesh.creation.box(extents=(100.0, 100.0, 0.1))
    surface = RobotSurface.from_meshes([wall], ["wall"])
    before_the_camera = se3.make(np.eye(3), np.array([0.0, 0.0, 1.0]))
    assert raw_silhouette(surface, before_the_camera[None], camera).all()
