# SPDX-License-Identifier: Apache-2.0
"""Smooth random joint motion, and a place for a camera that sees all of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.settings import SimulationError

_WAYPOINT_SPACING_S = 1.2
_RANGE_FRACTION = 0.65
_LARGEST_SWING = 1.4
_TABLE_CLEARANCE_M = 0.02
_CHECKED_POINTS = 1500
_ATTEMPTS = 400
_FILLED_VIEW = 0.88
_CENTRING_STEPS = 4
_FARTHEST_M = 1e3


def random_motion(robot: Robot, duration_s: float, seed: int) -> CubicSpline:
    """Draw a motion within the joint limits that keeps the robot above its table.

    A natural cubic spline through random waypoints; collisions of the robot with itself are not
    looked for.

    Args:
        robot: The robot.
        duration_s: Length of the motion.
        seed: Seed.

    Returns:
        A function of (T,) seconds in [0, duration_s] to (T, J) joint positions.

    Raises:
        SimulationError: No such motion was found.
    """
    rng = np.random.default_rng(seed)
    kinematics = robot.kinematics
    finite = np.isfinite(kinematics.lower) & np.isfinite(kinematics.upper)
    lower = np.where(finite, kinematics.lower, -_LARGEST_SWING)
    upper = np.where(finite, kinematics.upper, _LARGEST_SWING)
    middle = 0.5 * (lower + upper)
    swing = np.minimum(0.5 * _RANGE_FRACTION * (upper - lower), _LARGEST_SWING)
    segments = max(2, round(duration_s / _WAYPOINT_SPACING_S))
    times = np.linspace(0.0, duration_s, segments + 1)
    dense = np.linspace(0.0, duration_s, 12 * segments + 1)
    points, links = robot.surface.sample(_CHECKED_POINTS, seed)
    moving = np.array([len(kinematics.moving_joints(n)) > 0 for n in kinematics.link_names])[links]
    floor = table_height(robot) + _TABLE_CLEARANCE_M

    def above_table(positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        T = kinematics.forward(positions)
        R, t = T[:, :, 2, :3], T[:, :, 2, 3]
        z = np.einsum("nlk,lk->nl", R[:, links[moving]], points[moving]) + t[:, links[moving]]
        return np.asarray((z > floor).all(axis=1))

    candidates = middle + swing * rng.uniform(-1.0, 1.0, (_ATTEMPTS, len(middle)))
    waypoints = candidates[above_table(candidates)] if len(middle) else candidates
    if len(waypoints) <= segments:
        raise SimulationError(
            f"no motion of robot '{robot.name}' found that stays above its table: check that the "
            "base frame's z axis points up"
        )
    for _ in range(_ATTEMPTS):
        chosen = waypoints[rng.choice(len(waypoints), segments + 1, replace=False)]
        # Neighbours that are near each other keep the speeds those of a real arm.
        chosen = chosen[0] + np.cumsum(0.5 * np.diff(chosen, axis=0, prepend=chosen[:1]), axis=0)
        motion = CubicSpline(times, np.clip(chosen, lower, upper), bc_type="clamped")
        path = motion(dense)
        if ((path >= lower) & (path <= upper)).all() and above_table(path).all():
            return motion
    raise SimulationError(f"no motion of robot '{robot.name}' found that stays above its table")


def table_height(robot: Robot) -> float:
    """Return the height of the table in the base frame: the lowest point of what never moves."""
    fixed = [len(robot.kinematics.moving_joints(n)) == 0 for n in robot.surface.link_names]
    standing = np.array(fixed)[robot.surface.link_of_vertex]
    if not standing.any():
        return 0.0
    T = robot.kinematics.forward(np.zeros((1, len(robot.kinematics.joint_names))))[0]
    T = T[robot.surface.link_of_vertex[standing]]
    vertices = robot.surface.vertices[standing]
    return float((np.einsum("vk,vk->v", T[:, 2, :3], vertices) + T[:, 2, 3]).min())


def surrounding_camera(
    robot: Robot, camera: Camera, positions: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Choose a camera pose from which the robot fills most of the view but never leaves it.

    Args:
        robot: The robot.
        camera: The camera.
        positions: (N, J) joint positions during the recording.
        seed: Seed.

    Returns:
        (4, 4) `T_camera_base`.

    Raises:
        SimulationError: The robot fits into no view of the camera.
    """
    rng = np.random.default_rng(seed)
    points, links = robot.surface.sample(_CHECKED_POINTS, seed)
    T = robot.kinematics.forward(positions)[:, links]
    seen = np.einsum("nkij,kj->nki", T[..., :3, :3], points) + T[..., :3, 3]
    seen = seen.reshape(-1, 3)
    azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(15.0, 40.0))
    roll = np.radians(rng.uniform(-6.0, 6.0))
    target = 0.5 * (seen.min(axis=0) + seen.max(axis=0))
    backwards = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    right = np.cross(-backwards, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(-backwards, right), -backwards])
    R = Rotation.from_euler("z", roll).as_matrix() @ level
    half = np.array([camera.width, camera.height]) / 2
    centre = half - 0.5
    for _ in range(_CENTRING_STEPS):
        distance = _nearest_distance(camera, (seen - target) @ R.T)
        pixels = camera.project((seen - target) @ R.T + np.array([0.0, 0.0, distance]))
        off = 0.5 * (pixels.min(axis=0) + pixels.max(axis=0)) - centre
        target = target + R[:2].T @ (off * distance / np.diag(camera.K)[:2])
    distance = _nearest_distance(camera, (seen - target) @ R.T)
    return se3.make(R, -R @ target + [0.0, 0.0, distance])


def _nearest_distance(camera: Camera, points: NDArray[np.float64]) -> float:
    """Return how far (N, 3) points have to be moved along z to lie well inside the image."""
    half = np.array([camera.width, camera.height]) / 2
    centre = half - 0.5

    def in_view(distance_m: float) -> bool:
        pixels = camera.project(points + np.array([0.0, 0.0, distance_m]))
        return bool((np.abs(pixels - centre) <= _FILLED_VIEW * half).all())

    near, far = 0.2, 0.2
    while not in_view(far):
        near, far = far, far * 1.5
        if far > _FARTHEST_M:
            raise SimulationError(
                "the robot fits into no view of this camera: check its intrinsics"
            )
    for _ in range(20):
        middle = 0.5 * (near + far)
        near, far = (near, middle) if in_view(middle) else (middle, far)
    return far
