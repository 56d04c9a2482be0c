# SPDX-License-Identifier: Apache-2.0
"""The robot's silhouette in the camera's own image, with its lens distortion."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.surface import RobotSurface

# Beyond that far off the axis a pinhole image grows without bounds.
_LARGEST_HALF_ANGLE = np.radians(75.0)
_LARGEST_GROWTH = 8.0


def raw_silhouette(
    surface: RobotSurface, T_camera_link: NDArray[np.float64], camera: Camera
) -> NDArray[np.bool_]:
    """Return the (H, W) silhouette in the image of ``camera``, corners included.

    The rasteriser draws straight edges only, so a distorted image is sampled from a pinhole image
    that covers all of it (as far as 75 degrees off the axis).

    Args:
        surface: The robot.
        T_camera_link: (L, 4, 4) poses of its links in the optical frame.
        camera: Any camera.
    """
    if camera.is_pinhole:
        return np.asarray(silhouettes(surface, T_camera_link[None], camera)[0])
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = camera.rays(np.stack([u, v], axis=-1))
    canvas = _covering_pinhole(camera, rays)
    drawn = silhouettes(surface, T_camera_link[None], canvas)[0]
    # Pixels without a ray look beside the canvas.
    places = np.nan_to_num(canvas.project(rays), nan=-10.0).astype(np.float32)
    sampled = cv2.remap(
        np.where(drawn, 255, 0).astype(np.uint8),
        np.ascontiguousarray(places[..., 0]),
        np.ascontiguousarray(places[..., 1]),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(sampled >= 128)


def _covering_pinhole(camera: Camera, rays: NDArray[np.float64]) -> Camera:
    """Return a pinhole camera that sees all of the (H, W, 3) rays within the largest angle."""
    reach = np.tan(_LARGEST_HALF_ANGLE)
    with np.errstate(invalid="ignore"):
        x, y = np.clip(rays[..., 0], -reach, reach), np.clip(rays[..., 1], -reach, reach)
    x0, x1, y0, y1 = np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)
    fx, fy = camera.K[0, 0], camera.K[1, 1]
    growth = (x1 - x0) * fx * (y1 - y0) * fy / (camera.width * camera.height)
    zoom = min(1.0, float(np.sqrt(_LARGEST_GROWTH / growth)))
    fx, fy = zoom * fx, zoom * fy
    K = np.array([[fx, 0.0, -x0 * fx], [0.0, fy, -y0 * fy], [0.0, 0.0, 1.0]])
    width, height = int((x1 - x0) * fx) + 2, int((y1 - y0) * fy) + 2
    return Camera(K, width, height, np.zeros(0), "pinhole", camera.frame_id)
