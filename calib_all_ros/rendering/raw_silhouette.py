# SPDX-License-Identifier: Apache-2.0
"""The robot's silhouette in the camera's own image, with its lens distortion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.raw_view import RawView
from calib_all_ros.robot.surface import RobotSurface


def raw_silhouette(
    surface: RobotSurface, T_camera_link: NDArray[np.float64], camera: Camera
) -> NDArray[np.bool_]:
    """Return the (H, W) silhouette in the image of ``camera``, corners included.

    Args:
        surface: The robot.
        T_camera_link: (L, 4, 4) poses of its links in the optical frame.
        camera: Any camera.
    """
    return np.asarray(RawView(camera).silhouettes(surface, T_camera_link[None])[0])
