# SPDX-License-Identifier: Apache-2.0
"""Pictures of planned configurations, about as the camera will see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.pictures.overlay import AFTER, draw_outline
from calib_all_ros.pictures.results import contact_sheet
from calib_all_ros.rendering.rasteriser import render
from calib_all_ros.robot.description import Robot

Image = NDArray[np.uint8]

_TILE_PX = 320
_COLUMNS = 4
_BACKDROP = 40
_DARKEST, _BRIGHTEST = 70.0, 235.0


def configuration_sheet(
    robot: Robot,
    positions: NDArray[np.float64],
    camera: Camera,
    T_camera_base: NDArray[np.float64],
    captions: Sequence[str],
) -> Image:
    """Return an RGB sheet with the robot rendered in each configuration.

    Args:
        robot: The robot.
        positions: (N, J) configurations of all joints.
        camera: A pinhole camera.
        T_camera_base: (4, 4) its pose.
        captions: One line for each.

    Raises:
        ResultError: There are no configurations, or not one caption for each.
    """
    small = camera.scaled(min(1.0, _TILE_PX / camera.width))
    T_camera_link = T_camera_base @ robot.kinematics.forward(positions)
    links, depth = render(robot.surface, T_camera_link, small)
    tiles = [
        draw_outline(_shaded(one, small), drawn >= 0, AFTER)
        for drawn, one in zip(links, depth, strict=True)
    ]
    return contact_sheet(tiles, captions, _COLUMNS, tile_width_px=_TILE_PX)


def _shaded(depth: NDArray[np.float32], camera: Camera) -> Image:
    """Return a grey image that is bright where a surface of (H, W) depths faces the camera."""
    v, u = np.indices(depth.shape)
    rays = camera.rays(np.stack([u, v], axis=-1))
    robot = np.isfinite(depth)
    points = rays * np.where(robot, depth, 0.0)[..., None]
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    length = np.linalg.norm(normals, axis=-1) * np.linalg.norm(rays, axis=-1)
    facing = np.abs(np.einsum("vui,vui->vu", normals, rays)) / np.maximum(length, 1e-12)
    grey = np.where(robot, _DARKEST + (_BRIGHTEST - _DARKEST) * facing, _BACKDROP)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
