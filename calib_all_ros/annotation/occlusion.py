# SPDX-License-Identifier: Apache-2.0
"""Occlusion of points by links of the robot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import NEAR_M, render
from calib_all_ros.robot.surface import RobotSurface

# A point on a surface is not hidden by it, and frames often lie a little below one.
_NEARER_M = 0.005
_FOCAL_PX = 1000.0


@dataclass(frozen=True, eq=False)
class Occluders:
    """The links that may hide a point.

    Attributes:
        surface: Their surface.
    """

    surface: RobotSurface

    @classmethod
    def of(cls, surface: RobotSurface, own_links: Sequence[str] = ()) -> Occluders:
        """Take all links but those that the point belongs to."""
        return cls(surface.without_links(own_links))

    def in_front_of(
        self, points: NDArray[np.float64], T_camera_link: NDArray[np.float64]
    ) -> list[str]:
        """Return the link that hides each point, "" where none does.

        The depth along the ray to the point itself is rendered, not that of the nearest pixel, so
        that the answer depends neither on the lens nor on the resolution.

        Args:
            points: (P, 3) in the optical frame, metres.
            T_camera_link: (L, 4, 4) poses of the links there.
        """
        return [self._hiding(point, T_camera_link) for point in points]

    def _hiding(self, point: NDArray[np.float64], T_camera_link: NDArray[np.float64]) -> str:
        if not point[2] > NEAR_M:
            return ""
        # A camera of one pixel that looks at the point.
        centre = -_FOCAL_PX * point[:2] / point[2]
        K = np.array([[_FOCAL_PX, 0.0, centre[0]], [0.0, _FOCAL_PX, centre[1]], [0.0, 0.0, 1.0]])
        camera = Camera(K, 1, 1, np.zeros(0), "pinhole")
        links, depth = render(self.surface, T_camera_link[None], camera)
        link = int(links[0, 0, 0])
        hidden = link >= 0 and depth[0, 0, 0] < point[2] - _NEARER_M
        return self.surface.link_names[link] if hidden else ""
