# SPDX-License-Identifier: Apache-2.0
"""The robot's rendered outline as 3D points, and how it moves with the parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.contour import find_contours
from calib_all_ros.rendering.rasteriser import render
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.motion import RobotMotion

LAG_STEP_S = 0.005


@dataclass(frozen=True)
class Outline:
    """Outline points of N rendered silhouettes and their derivatives.

    Attributes:
        frame: (M,) index of the frame.
        pixels: (M, 2) image coordinates; may lie outside the image, where the robot leaves it.
        normals: (M, 2) unit vectors pointing out of the robot.
        points: (M, 3) the surface points seen there, optical frame, metres.
        d_pixels_d_point: (M, 2, 3) derivative of the projection, px/m.
        d_pixels_d_lag: (M, 2) derivative with respect to the image lag, px/s.
        masks: (N, H, W) the rendered silhouettes inside the image.
    """

    frame: NDArray[np.int32]
    pixels: NDArray[np.float64]
    normals: NDArray[np.float64]
    points: NDArray[np.float64]
    d_pixels_d_point: NDArray[np.float64]
    d_pixels_d_lag: NDArray[np.float64]
    masks: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.frame)


def render_outline(
    surface: RobotSurface, motion: RobotMotion, camera: Camera, estimate: Estimate
) -> Outline:
    """Render the robot at an estimate and return its outline.

    The picture is rendered a quarter larger than the image on every side, so that a robot that
    leaves the image keeps its true outline.
    """
    camera = estimate.camera(camera)
    margin = max(camera.width, camera.height) // 4
    T_base_link = motion.link_poses(estimate.lags())
    links, depth = render(surface, estimate.T_camera_base @ T_base_link, camera.padded(margin))
    silhouettes = links >= 0
    contour = find_contours(silhouettes)
    frame = contour.frame
    column, row = contour.pixels.T
    pixels = contour.pixels.astype(np.float64) - margin
    z = depth[frame, row, column].astype(np.float64)
    link = links[frame, row, column]
    K = camera.K
    y_n = (pixels[:, 1] - K[1, 2]) / K[1, 1]
    x_n = (pixels[:, 0] - K[0, 2]) / K[0, 0]
    points = np.stack([x_n * z, y_n * z, z], axis=1)

    d_pixels = np.zeros((len(frame), 2, 3))
    d_pixels[:, 0, 0] = K[0, 0] / z
    d_pixels[:, 0, 2] = -K[0, 0] * x_n / z
    d_pixels[:, 1, 1] = K[1, 1] / z
    d_pixels[:, 1, 2] = -K[1, 1] * y_n / z

    # A point fixed to its link moves by the rate of T_camera_link * T_link_camera.
    later = motion.link_poses(estimate.lags() + LAG_STEP_S)
    earlier = motion.link_poses(estimate.lags() - LAG_STEP_S)
    rate = (later - earlier) / (2 * LAG_STEP_S)
    T_link_camera = se3.invert(estimate.T_camera_base @ T_base_link)
    spin = (estimate.T_camera_base @ rate @ T_link_camera)[frame, link]
    velocity = np.einsum("mij,mj->mi", spin[:, :3, :3], points) + spin[:, :3, 3]
    return Outline(
        frame=frame,
        pixels=pixels,
        normals=contour.normals.astype(np.float64),
        points=points,
        d_pixels_d_point=d_pixels,
        d_pixels_d_lag=np.einsum("mij,mj->mi", d_pixels, velocity),
        masks=silhouettes[:, margin : margin + camera.height, margin : margin + camera.width],
    )
