# SPDX-License-Identifier: Apache-2.0
"""A z-buffer rasteriser on the CPU: which link is seen at every pixel, and how far away.

One thread per frame. A pixel is covered when its centre, at integer coordinates, lies inside the
projected triangle; there is no anti-aliasing, so a silhouette edge is known to half a pixel per
pixel and far better over a whole contour.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.surface import RobotSurface

NEAR_M = 0.02
BACKGROUND = -1


class RenderingError(CalibAllError):
    """A picture of the robot cannot be rendered as asked."""


def render(
    surface: RobotSurface,
    T_camera_link: NDArray[np.floating],
    camera: Camera,
    *,
    want_depth: bool = True,
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Render link ids and depth of the robot in N configurations.

    Args:
        surface: The robot's merged mesh.
        T_camera_link: (N, L, 4, 4) poses of every link in the camera's optical frame, metres.
        camera: A pinhole camera.
        want_depth: Without depth nothing is hidden by anything; the silhouette is the same, and
            about a third faster.

    Returns:
        links: (N, H, W) index into ``surface.link_names``, ``BACKGROUND`` where no robot is.
        depth: (N, H, W) distance along the optical axis in metres, infinite on background.
            Of no use when ``want_depth`` is off.

    Raises:
        RenderingError: The camera has lens distortion, or the poses have the wrong shape.
    """
    T = checked_poses(surface, T_camera_link, camera)
    count = T.shape[0]
    links = np.empty((count, camera.height, camera.width), dtype=np.int16)
    depth_shape = links.shape if want_depth else (count, 1, 1)
    depth = np.empty(depth_shape, dtype=np.float32)
    _rasterise_frames(
        surface.vertices,
        surface.link_of_vertex,
        surface.faces,
        np.ascontiguousarray(T[:, :, :3, :], dtype=np.float64),
        np.asarray(camera.K, dtype=np.float64),
        want_depth,
        links,
        depth,
    )
    return links, depth


def checked_poses(
    surface: RobotSurface, T_camera_link: NDArray[np.floating], camera: Camera
) -> NDArray[np.floating]:
    """Return the poses if a picture can be rendered with them.

    Raises:
        RenderingError: The camera has lens distortion, or the poses have the wrong shape.
    """
    if not camera.is_pinhole:
        raise RenderingError("rendering needs a pinhole camera; rectify the images first")
    T = np.asarray(T_camera_link)
    if T.ndim != 4 or T.shape[1:] != (len(surface.link_names), 4, 4):
        raise RenderingError(
            f"link poses have shape {T.shape}; expected (N, {len(surface.link_names)}, 4, 4)"
        )
    return T


def silhouettes(
    surface: RobotSurface, T_camera_link: NDArray[np.floating], camera: Camera
) -> NDArray[np.bool_]:
    """Return the (N, H, W) masks of the robot; arguments as for `render`."""
    links, _ = render(surface, T_camera_link, camera, want_depth=False)
    return np.asarray(links >= 0)


@numba.njit(parallel=True, cache=True, nogil=True)
def _rasterise_frames(vertices, link_of_vertex, faces, T, K, want_depth, links, depth):  # type: ignore[no-untyped-def]
    for n in numba.prange(T.shape[0]):
        rasterise_frame(vertices, link_of_vertex, faces, T[n], K, want_depth, links[n], depth[n])


@numba.njit(cache=True, nogil=True)
def rasterise_frame(vertices, link_of_vertex, faces, T, K, want_depth, links, depth):  # type: ignore[no-untyped-def]
    """Render one frame: T (L, 3, 4), K (3, 3), into links (H, W) and depth (H, W)."""
    links[:] = BACKGROUND
    if want_depth:
        depth[:] = np.inf
    count = vertices.shape[0]
    x = np.empty(count)
    y = np.empty(count)
    z = np.empty(count)
    for i in range(count):
        M = T[link_of_vertex[i]]
        a, b, c = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        x[i] = M[0, 0] * a + M[0, 1] * b + M[0, 2] * c + M[0, 3]
        y[i] = M[1, 0] * a + M[1, 1] * b + M[1, 2] * c + M[1, 3]
        z[i] = M[2, 0] * a + M[2, 1] * b + M[2, 2] * c + M[2, 3]
    u = np.empty(count)
    v = np.empty(count)
    for i in range(count):
        if z[i] > NEAR_M:
            u[i] = K[0, 0] * x[i] / z[i] + K[0, 2]
            v[i] = K[1, 1] * y[i] / z[i] + K[1, 2]
    clipped = np.empty((4, 3))
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        link = link_of_vertex[i]
        behind = (z[i] <= NEAR_M) + (z[j] <= NEAR_M) + (z[k] <= NEAR_M)
        if behind == 3:
            continue
        if behind == 0:
            _fill(
                u[i], v[i], z[i], u[j], v[j], z[j], u[k], v[k], z[k], link, want_depth, links, depth
            )
            continue
        corners = _clip_to_near_plane(x, y, z, faces[f], clipped)
        for m in range(corners):
            px, py, pz = clipped[m, 0], clipped[m, 1], clipped[m, 2]
            clipped[m, 0] = K[0, 0] * px / pz + K[0, 2]
            clipped[m, 1] = K[1, 1] * py / pz + K[1, 2]
        for m in range(1, corners - 1):
            _fill(
                clipped[0, 0],
                clipped[0, 1],
                clipped[0, 2],
                clipped[m, 0],
                clipped[m, 1],
                clipped[m, 2],
                clipped[m + 1, 0],
                clipped[m + 1, 1],
                clipped[m + 1, 2],
                link,
                want_depth,
                links,
                depth,
            )


@numba.njit(cache=True, nogil=True)
def _clip_to_near_plane(x, y, z, face, clipped):  # type: ignore[no-untyped-def]
    corners = 0
    for e in range(3):
        i = face[e]
        j = face[(e + 1) % 3]
        if z[i] > NEAR_M:
            clipped[corners, 0] = x[i]
            clipped[corners, 1] = y[i]
            clipped[corners, 2] = z[i]
            corners += 1
        if (z[i] > NEAR_M) != (z[j] > NEAR_M):
            s = (NEAR_M - z[i]) / (z[j] - z[i])
            clipped[corners, 0] = x[i] + s * (x[j] - x[i])
            clipped[corners, 1] = y[i] + s * (y[j] - y[i])
            clipped[corners, 2] = NEAR_M
            corners += 1
    return corners


@numba.njit(cache=True, nogil=True, inline="always")
def _fill(u0, v0, z0, u1, v1, z1, u2, v2, z2, link, want_depth, links, depth):  # type: ignore[no-untyped-def]
    height, width = links.shape
    area = (u1 - u0) * (v2 - v0) - (u2 - u0) * (v1 - v0)
    if area == 0.0:
        return
    top = max(0.0, np.ceil(min(v0, v1, v2)))
    bottom = min(height - 1.0, np.floor(max(v0, v1, v2)))
    left = max(0.0, np.ceil(min(u0, u1, u2)))
    right = min(width - 1.0, np.floor(max(u0, u1, u2)))
    if top > bottom or left > right:
        return
    inverse_area = 1.0 / area
    # Barycentric weights are affine in the pixel, and so is 1/z.
    a0 = (v1 - v2) * inverse_area
    b0 = (u2 - u1) * inverse_area
    a1 = (v2 - v0) * inverse_area
    b1 = (u0 - u2) * inverse_area
    i0, i1, i2 = 1.0 / z0, 1.0 / z1, 1.0 / z2
    for row in range(int(top), int(bottom) + 1):
        w0_row = b0 * (row - v2) - a0 * u2
        w1_row = b1 * (row - v2) - a1 * u2
        for column in range(int(left), int(right) + 1):
            w0 = w0_row + a0 * column
            w1 = w1_row + a1 * column
            w2 = 1.0 - w0 - w1
            if w0 >= 0.0 and w1 >= 0.0 and w2 >= -1e-12:
                if want_depth:
                    d = np.float32(1.0 / (w0 * i0 + w1 * i1 + w2 * i2))
                    if d < depth[row, column]:
                        depth[row, column] = d
                        links[row, column] = link
                else:
                    links[row, column] = link
