# SPDX-License-Identifier: Apache-2.0
"""The robot's rendered outline as 3D points, with its derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.contour import find_contours
from calib_all_ros.rendering.rasteriser import render
from calib_all_ros.rendering.renderer import Renderer
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.motion import RobotMotion

# The speed of the links is taken over twice this, since encoders have noise.
LAG_STEP_S = 0.005


@dataclass(frozen=True)
class Outline:
    """Outline points of N rendered silhouettes and their derivatives.

    Attributes:
        frame: (M,) index of the frame.
        link: (M,) index of the link.
        pixels: (M, 2) image coordinates; may lie outside the image, where the robot leaves it.
        normals: (M, 2) unit vectors pointing out of the robot.
        points: (M, 3) the surface points seen there, optical frame, metres.
        d_pixels_d_point: (M, 2, 3) derivative of the projection, px/m.
        d_pixels_d_lag: (M, 2) derivative with respect to the image lag, px/s.
        masks: (N, H, W) the rendered silhouettes inside the image.
        d_pixels_d_joints: (M, 2, J) derivative with respect to the joints' positions, px/rad or
            px/m; None where not asked for.
        d_pixels_d_origins: (M, 2, J, 3) derivative with respect to where each joint sits on its
            parent link, along that link's axes, px/m; None where not asked for.
    """

    frame: NDArray[np.int32]
    link: NDArray[np.int32]
    pixels: NDArray[np.float64]
    normals: NDArray[np.float64]
    points: NDArray[np.float64]
    d_pixels_d_point: NDArray[np.float64]
    d_pixels_d_lag: NDArray[np.float64]
    masks: NDArray[np.bool_]
    d_pixels_d_joints: NDArray[np.float64] | None = None
    d_pixels_d_origins: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.frame)


def render_outline(
    surface: RobotSurface,
    motion: RobotMotion,
    camera: Camera,
    estimate: Estimate,
    *,
    with_joints: bool = False,
    renderer: Renderer = render,
) -> Outline:
    """Render the robot at an estimate and return its outline.

    The picture is rendered a quarter larger than the image on every side, so that a robot that
    leaves the image keeps its true outline.

    Args:
        surface: The robot.
        motion: Its configuration at the N images.
        camera: The pinhole camera of the picture.
        estimate: Where the robot is.
        with_joints: Also differentiate with respect to the joints' positions and origins.
        renderer: What draws the robot.
    """
    camera = estimate.camera(camera)
    margin = max(camera.width, camera.height) // 4
    T_base_link = estimate.link_poses(motion)
    links, depth = renderer(surface, estimate.T_camera_base @ T_base_link, camera.padded(margin))
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

    d_pixels_base = d_pixels @ estimate.T_camera_base[:3, :3]
    points_base = se3.transform(se3.invert(estimate.T_camera_base), points)
    lag, offsets = estimate.lag_s, estimate.joint_offsets
    later = motion.link_poses(lag + LAG_STEP_S, offsets)
    earlier = motion.link_poses(lag - LAG_STEP_S, offsets)
    spin = ((later - earlier) / (2 * LAG_STEP_S) @ se3.invert(T_base_link))[frame, link]
    velocity = np.einsum("mij,mj->mi", spin[:, :3, :3], points_base) + spin[:, :3, 3]
    d_pixels_d_joints = d_pixels_d_origins = None
    if with_joints:
        kinematics = motion.kinematics
        twists = kinematics.jacobian(motion.positions(lag, offsets))[frame, link]
        turned = np.cross(twists[:, 3:], points_base[:, :, None], axis=1)
        d_pixels_d_joints = d_pixels_base @ (twists[:, :3] + turned)
        parents = [
            kinematics.link_names.index(kinematics.joint_parent(name))
            for name in kinematics.joint_names
        ]
        d_pixels_d_origins = np.einsum(
            "mxi,mjik,mj->mxjk",
            d_pixels_base,
            T_base_link[frame][:, parents, :3, :3],
            twists.any(axis=1),
            optimize=True,
        )
    return Outline(
        frame=frame,
        link=link,
        pixels=pixels,
        normals=contour.normals.astype(np.float64),
        points=points,
        d_pixels_d_point=d_pixels,
        d_pixels_d_lag=np.einsum("mij,mj->mi", d_pixels_base, velocity),
        masks=silhouettes[:, margin : margin + camera.height, margin : margin + camera.width],
        d_pixels_d_joints=d_pixels_d_joints,
        d_pixels_d_origins=d_pixels_d_origins,
    )
