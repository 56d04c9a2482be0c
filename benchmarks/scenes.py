# SPDX-License-Identifier: Apache-2.0
"""Random scenes with a known camera, their masks made by ray casting.

The ray caster shares nothing with the rasteriser of the solver, so that agreement of the two is
part of what is measured.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.simulation.motion import random_motion
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.solving.motion import NS_PER_S, RobotMotion

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
_PANDA = SHARED_DATA / "robots" / "panda" / "panda.urdf"

JOINT_RATE_HZ = 100
DURATION_S = 6.0
NEAREST_M, FARTHEST_M = 0.9, 1.8
LOWEST_RAD, HIGHEST_RAD = np.radians(-5.0), np.radians(60.0)
LARGEST_ROLL_RAD = np.radians(15.0)
VISIBLE_SHARE = 0.9
_VISIBILITY_POINTS = 500


@dataclass(frozen=True)
class Scene:
    """A robot in N configurations before a camera whose pose is known.

    Attributes:
        robot: The robot.
        motion: Its configurations.
        camera: A pinhole camera.
        T_camera_base: (4, 4) true pose.
        masks: (N, H, W) true where the ray through a pixel's centre hits the robot.
    """

    robot: Robot
    motion: RobotMotion
    camera: Camera
    T_camera_base: NDArray[np.float64]
    masks: NDArray[np.bool_]


def add_robot_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--urdf FILE``."""
    parser.add_argument(
        "--urdf", type=Path, help="robot; default: a Panda, or the demo arm where there is none"
    )


def benchmark_robot(urdf: Path | None = None) -> Robot:
    """Load the robot to measure with: a given one, the shared Panda, or the demo arm."""
    if urdf is None:
        urdf = _PANDA if _PANDA.is_file() else demo_urdf_path()
    return load_robot(urdf)


def vga_camera() -> Camera:
    """Return a 640x480 camera with a focal length of 600 px."""
    K = np.array([[600.0, 0.0, 322.3], [0.0, 600.0, 237.6], [0.0, 0.0, 1.0]])
    return Camera(K, 640, 480, np.zeros(0), "pinhole")


def random_scene(
    robot: Robot, caster: RayCaster, frames: int, seed: int, camera: Camera | None = None
) -> Scene:
    """Make a scene whose camera sees nearly all of the robot.

    Args:
        robot: The robot.
        caster: Made from the robot's surface; kept by the caller because it takes seconds.
        frames: Number of configurations, evenly spread over a motion of six seconds.
        seed: Seed of motion and camera.
        camera: None takes `vga_camera`.
    """
    camera = camera or vga_camera()
    motion = _sampled_motion(robot, frames, seed)
    T_camera_base = _random_camera(robot, motion, camera, np.random.default_rng(seed))
    T_camera_link = T_camera_base @ motion.link_poses()
    masks = np.stack([cast_mask(caster, poses, camera) for poses in T_camera_link])
    return Scene(robot, motion, camera, T_camera_base, masks)


def cast_mask(
    caster: RayCaster, T_camera_link: NDArray[np.float64], camera: Camera
) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a robot whose links have the (L, 4, 4) poses."""
    candidates = caster.candidate_pixels(T_camera_link, camera)
    anywhere = np.logical_or.reduce(list(candidates.values()))
    v, u = np.nonzero(anywhere)
    rays = camera.rays(np.stack([u, v], axis=1).astype(np.float64))
    reaches = {link: mask[anywhere] for link, mask in candidates.items()}
    hits = caster.first_hits(np.zeros(3), rays, T_camera_link, reaches)
    mask = np.zeros(anywhere.shape, bool)
    mask[anywhere] = hits.link >= 0
    return mask


def _sampled_motion(robot: Robot, frames: int, seed: int) -> RobotMotion:
    path = random_motion(robot, DURATION_S, seed)
    times = np.arange(round(DURATION_S * JOINT_RATE_HZ) + 1) / JOINT_RATE_HZ
    stamps = np.rint(times * NS_PER_S).astype(np.int64)
    trajectory = JointTrajectory(robot.kinematics.joint_names, stamps, path(times))
    image_times = (np.arange(frames) + 0.5) * DURATION_S / frames
    image_stamps = np.rint(image_times * NS_PER_S).astype(np.int64)
    return RobotMotion(robot.kinematics, trajectory, image_stamps)


def _random_camera(
    robot: Robot, motion: RobotMotion, camera: Camera, rng: np.random.Generator
) -> NDArray[np.float64]:
    points, links = robot.surface.sample(_VISIBILITY_POINTS, seed=0)
    T = motion.link_poses()[:, links]
    seen = np.einsum("npij,pj->npi", T[..., :3, :3], points) + T[..., :3, 3]
    centre = seen.mean(axis=(0, 1))
    while True:
        azimuth = rng.uniform(-np.pi, np.pi)
        elevation = rng.uniform(LOWEST_RAD, HIGHEST_RAD)
        away = np.array([np.cos(azimuth), np.sin(azimuth), np.tan(elevation)])
        away /= np.linalg.norm(away)
        position = centre + rng.uniform(NEAREST_M, FARTHEST_M) * away
        forward = centre + rng.normal(0.0, 0.1, 3) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        roll = rng.uniform(-LARGEST_ROLL_RAD, LARGEST_ROLL_RAD)
        down = np.cross(forward, right)
        right = np.cos(roll) * right + np.sin(roll) * down
        R_camera_base = np.stack([right, np.cross(forward, right), forward])
        T_camera_base = se3.make(R_camera_base, -R_camera_base @ position)
        pixels = camera.project(se3.transform(T_camera_base, seen))
        with np.errstate(invalid="ignore"):
            inside = (pixels >= 0.0) & (pixels <= [camera.width - 1, camera.height - 1])
        if inside.all(axis=2).mean(axis=1).min() >= VISIBLE_SHARE:
            return T_camera_base
