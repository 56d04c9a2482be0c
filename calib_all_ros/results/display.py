# SPDX-License-Identifier: Apache-2.0
"""Display of a result: pictures, and lines in the robot's base frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera

Image = NDArray[np.uint8]
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Display:
    """Pictures of a result, and its geometry.

    Attributes:
        camera: The camera of ``overlay``, focal lengths as estimated.
        stamp_ns: When the image of ``overlay``, ``before_after`` and ``mask`` was taken.
        overlay: (H, W, 3) RGB, the camera's image as recorded with the robot drawn where the final
            pose puts it.
        before_after: RGB, rectified, with the outlines before and after the refinement.
        mask: RGB, rectified, with the robot as it was seen.
        track: RGB, rectified, with the mark's path; None without a mark.
        track_stamp_ns: When the image of ``track`` was taken.
        frustum: (5, 3) the camera's centre and the corners of its view, clockwise from the top
            left, metres in the base frame.
        path: (N, 3) where the end-effector was, metres in the base frame.
        path_link: Which link that is.
    """

    camera: Camera
    stamp_ns: int
    overlay: Image
    before_after: Image
    mask: Image
    track: Image | None
    track_stamp_ns: int
    frustum: Points
    path: Points
    path_link: str
