# SPDX-License-Identifier: Apache-2.0
"""From the optical frame to OpenGL's clip space, which nvdiffrast draws from.

What is drawn satisfies -w <= x, y, z <= w. The centre of pixel i of n lies at (2 i + 1) / n - 1, as
against the integer i of this package.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import NEAR_M


def clip_matrix(camera: Camera) -> NDArray[np.float64]:
    """Return the (4, 4) map of homogeneous points from the optical frame to clip space.

    Both u and x grow to the right; v and y grow with the number of the row, of which v has number
    0 at the top and OpenGL at the bottom. z/w is -1 at the nearest visible depth and approaches 1
    in the distance, where nothing is cut off. w is the depth in metres.
    """
    (fx, _, cx), (_, fy, cy), _ = camera.K
    width, height = camera.width, camera.height
    return np.array(
        [
            [2 * fx / width, 0.0, (2 * cx + 1) / width - 1, 0.0],
            [0.0, 2 * fy / height, (2 * cy + 1) / height - 1, 0.0],
            [0.0, 0.0, 1.0, -2 * NEAR_M],
            [0.0, 0.0, 1.0, 0.0],
        ]
    )
