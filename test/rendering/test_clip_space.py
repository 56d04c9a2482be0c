# SPDX-License-Identifier: Apache-2.0
"""OpenGL's clip space by its definition."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.nvdiffrast import clip_matrix
from calib_all_ros.rendering.rasteriser import NEAR_M

CAMERA = Camera(
    np.array([[95.0, 0.0, 17.3], [0.0, 88.0, 31.8], [0.0, 0.0, 1.0]]), 61, 47, np.zeros(0)
)


@pytest.mark.parametrize("depth_m", [0.05, 0.7, 30.0])
@pytest.mark.parametrize("pixel", [(0, 0), (60, 46), (13, 40)])
def test_pixel_centres_are_where_opengl_has_them(pixel: tuple[int, int], depth_m: float) -> None:
    point = depth_m * CAMERA.rays(np.array([pixel], dtype=np.float64))[0]
    x, y, _, w = clip_matrix(CAMERA) @ [*point, 1.0]
    # Pixel i of n is the (i + 1/2)-th of n equal parts between -1 and 1.
    assert x / w == pytest.approx(-1 + 2 * (pixel[0] + 0.5) / 61)
    assert y / w == pytest.approx(-1 + 2 * (pixel[1] + 0.5) / 47)
    assert w == pytest.approx(depth_m)


def test_depth_grows_from_the_near_plane_to_infinity() -> None:
    depths = np.array([0.5 * NEAR_M, NEAR_M, 2 * NEAR_M, 1.0, 1e6])
    points = np.stack([0 * depths, 0 * depths, depths, np.ones_like(depths)])
    _, _, z, w = clip_matrix(CAMERA) @ points
    assert (np.diff(z / w) > 0).all()
    assert (z / w)[0] < -1 and (z / w)[1] == pytest.approx(-1) and -1 < (z / w)[-1] < 1
