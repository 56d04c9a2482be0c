# SPDX-License-Identifier: Apache-2.0
"""Robot as it appears in a camera's own image, lens distortion included.

The rasteriser draws straight edges only, so a distorted image is sampled from the image of a
pinhole camera on the same optical axis that covers all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import BACKGROUND, render, silhouettes
from calib_all_ros.robot.surface import RobotSurface

# Beyond that far off the axis a pinhole image grows without bounds.
_LARGEST_HALF_ANGLE = np.radians(75.0)
# How much finer than the raw image the canvas is: outlines are then right to a sixth of a pixel.
_FINER = 3.0
_LARGEST_GROWTH = 16.0
_MOST_CANVAS_PIXELS = 24_000_000
_KNOT_DISTANCE_PX = 8
_FEWEST_KNOTS = 6
# Neighbouring pixels of a link that differ by more show different parts of it.
_SAME_SURFACE = 0.02


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


@dataclass(frozen=True, eq=False)
class RawView:
    """Draws the robot in the image of a camera, corners included, up to 75 degrees off the axis.

    Attributes:
        camera: Any camera.
    """

    camera: Camera

    @cached_property
    def canvas(self) -> Camera:
        """The pinhole camera that is drawn with."""
        return self.camera if self.camera.is_pinhole else _covering_pinhole(self.camera, self._rays)

    def silhouettes(
        self, surface: RobotSurface, T_camera_link: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Return (N, H, W) silhouettes.

        Args:
            surface: The robot.
            T_camera_link: (N, L, 4, 4) poses of its links in the optical frame.
        """
        drawn = silhouettes(surface, T_camera_link, self.canvas)
        if self.camera.is_pinhole:
            return drawn
        rows, columns, seen = self._nearest
        return np.asarray(drawn[:, rows, columns] & seen)

    def links_and_depth(
        self, surface: RobotSurface, T_camera_link: NDArray[np.floating]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Return which link is seen at every pixel, and how far away it is.

        Where a lens bends the image, inverse depth is interpolated, which is exact on flat faces,
        among those neighbours on the canvas that show the same part of the same link.

        Args:
            surface: The robot.
            T_camera_link: (N, L, 4, 4) poses of its links in the optical frame.

        Returns:
            (N, H, W) index into ``surface.link_names``, ``BACKGROUND`` where no robot is; and
            (N, H, W) distance along the optical axis in metres, infinite on background.
        """
        links, depth = render(surface, T_camera_link, self.canvas)
        if self.camera.is_pinhole:
            return links, depth
        sampled = [self._sampled(*drawn) for drawn in zip(links, depth, strict=True)]
        return np.stack([s[0] for s in sampled]), np.stack([s[1] for s in sampled])

    @cached_property
    def _rays(self) -> NDArray[np.float64]:
        """(H, W, 3) viewing rays of all pixels."""
        every_u, every_v = np.arange(self.camera.width), np.arange(self.camera.height)
        u, v = _thinned(every_u), _thinned(every_v)
        coarse = self.camera.rays(np.stack(np.meshgrid(u, v), axis=-1))
        # Undoing a lens takes seconds for millions of pixels, and lenses are smooth. A spline
        # cannot tell where the rays end, though.
        if min(len(u), len(v)) < _FEWEST_KNOTS or not np.isfinite(coarse).all():
            return self.camera.rays(np.stack(np.meshgrid(every_u, every_v), axis=-1))
        x, y = (RectBivariateSpline(v, u, coarse[..., i])(every_v, every_u) for i in (0, 1))
        return np.stack([x, y, np.ones_like(x)], axis=-1)

    @cached_property
    def _places(self) -> NDArray[np.float32]:
        """(H, W, 2) pixels of the canvas; those without a ray look beside it."""
        return np.nan_to_num(self.canvas.project(self._rays), nan=-10.0).astype(np.float32)

    @cached_property
    def _nearest(
        self,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """(H, W) rows and columns of the canvas nearest to each pixel, and whether it has any."""
        columns, rows = np.rint(self._places).astype(np.intp).transpose(2, 0, 1)
        width, height = self.canvas.width, self.canvas.height
        seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1), seen

    def _sampled(
        self, drawn: NDArray[np.int16], drawn_depth: NDArray[np.float32]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        rows, columns, seen = self._nearest
        links = np.where(seen, drawn[rows, columns], np.int16(BACKGROUND))
        depth = np.full(links.shape, np.inf, dtype=np.float32)
        robot = links >= 0
        depth[robot] = _interpolated(drawn, drawn_depth, links[robot], self._places[robot])
        return links, depth


def _thinned(numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return every so manieth number, and the last."""
    return np.union1d(numbers[::_KNOT_DISTANCE_PX], numbers[-1:])


def _interpolated(
    drawn: NDArray[np.int16],
    drawn_depth: NDArray[np.float32],
    links: NDArray[np.int16],
    places: NDArray[np.float32],
) -> NDArray[np.floating]:
    """Return (P,) depths at (P, 2) pixels of the canvas that show the (P,) links there."""
    height, width = drawn.shape
    low = np.floor(places).astype(np.intp)
    share = (places - low).astype(np.float64)
    across = np.stack([1.0 - share, share], axis=1)
    weights, inverses = [], []
    for down in (0, 1):
        for right in (0, 1):
            u, v = low[:, 0] + right, low[:, 1] + down
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            row, column = np.clip(v, 0, height - 1), np.clip(u, 0, width - 1)
            same = inside & (drawn[row, column] == links)
            weights.append(np.where(same, across[:, right, 0] * across[:, down, 1], 0.0))
            inverses.append(np.where(same, 1.0 / drawn_depth[row, column], 0.0))
    weight, inverse = np.stack(weights, axis=1), np.stack(inverses, axis=1)
    nearest = np.take_along_axis(inverse, weight.argmax(axis=1)[:, None], axis=1)
    weight[np.abs(inverse - nearest) > _SAME_SURFACE * nearest] = 0.0
    return np.asarray(weight.sum(axis=1) / (weight * inverse).sum(axis=1))


def _covering_pinhole(camera: Camera, rays: NDArray[np.float64]) -> Camera:
    """Return a pinhole camera that sees all of the (H, W, 3) rays within the largest angle."""
    reach = np.tan(_LARGEST_HALF_ANGLE)
    with np.errstate(invalid="ignore"):
        x, y = np.clip(rays[..., 0], -reach, reach), np.clip(rays[..., 1], -reach, reach)
    x0, x1, y0, y1 = np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)
    fx, fy = camera.K[0, 0], camera.K[1, 1]
    pixels = (x1 - x0) * fx * (y1 - y0) * fy
    most = min(_LARGEST_GROWTH * camera.width * camera.height, _MOST_CANVAS_PIXELS)
    zoom = min(_FINER, float(np.sqrt(most / pixels)))
    fx, fy = zoom * fx, zoom * fy
    K = np.array([[fx, 0.0, -x0 * fx], [0.0, fy, -y0 * fy], [0.0, 0.0, 1.0]])
    width, height = int((x1 - x0) * fx) + 2, int((y1 - y0) * fy) + 2
    return Camera(K, width, height, np.zeros(0), "pinhole", camera.frame_id)
