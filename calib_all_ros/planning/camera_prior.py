# SPDX-License-Identifier: Apache-2.0
"""Prior of the camera's pose before it is calibrated: a rough pose, and how rough it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, qmc

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.planning.joint_ranges import PlanningError

_NEARLY_VERTICAL = 0.999


@dataclass(frozen=True, eq=False)
class CameraPrior:
    """A camera and what is known of its pose.

    Attributes:
        camera: Its intrinsics.
        T_camera_base: (4, 4) the rough pose.
        position_sigma_m: Standard deviation of its position, all three directions together.
        rotation_sigma_rad: Standard deviation of its rotation, about all three axes together.
    """

    camera: Camera
    T_camera_base: NDArray[np.float64]
    position_sigma_m: float = 0.15
    rotation_sigma_rad: float = float(np.radians(10.0))

    def __post_init__(self) -> None:
        if not (self.position_sigma_m > 0.0 and self.rotation_sigma_rad > 0.0):
            raise PlanningError("the uncertainty of the camera's pose must be positive")

    @property
    def position(self) -> NDArray[np.float64]:
        """(3,) the camera's rough position in the base frame, metres."""
        return se3.invert(self.T_camera_base)[:3, 3]

    def samples(self, count: int, seed: int) -> NDArray[np.float64]:
        """Return (count, 4, 4) ``T_camera_base``: the rough pose, then poses around it.

        The camera is shifted along and turned about the axes of the base, its place unmoved by the
        turn. The normal variates come from a scrambled Sobol sequence, for few of them are used.
        """
        sequence = qmc.Sobol(6, rng=np.random.default_rng(seed))
        drawn = sequence.random(1 << max(count - 1, 1).bit_length())
        normal = norm.ppf(np.clip(drawn, 1e-6, 1.0 - 1e-6))[: count - 1] / np.sqrt(3.0)
        T_base_camera = se3.invert(self.T_camera_base)
        poses = [T_base_camera]
        for variate in normal:
            turn = se3.from_rotvec(variate[3:] * self.rotation_sigma_rad, np.zeros(3))[:3, :3]
            position = T_base_camera[:3, 3] + variate[:3] * self.position_sigma_m
            poses.append(se3.make(turn @ T_base_camera[:3, :3], position))
        return se3.invert(np.stack(poses))


def looking_at(position: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Return ``T_camera_base`` of an upright camera at a position that looks at a target.

    Upright: the image's rows are level, the base's z axis points up in it. Straight from above or
    below, the base's x axis points up in the image.

    Args:
        position: (3,) in the base frame, metres.
        target: (3,) in the base frame, metres.

    Raises:
        PlanningError: Position and target are the same point.
    """
    position, target = np.asarray(position, np.float64), np.asarray(target, np.float64)
    distance = np.linalg.norm(target - position)
    if not distance > 1e-6:
        raise PlanningError("the camera looks at the point where it is: give another --look-at")
    forward = (target - position) / distance
    up = np.array([0.0, 0.0, 1.0])
    if abs(forward @ up) > _NEARLY_VERTICAL:
        up = np.array([1.0, 0.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    return se3.make(R, -R @ position)


def camera_with_view(width: int, height: int, hfov_deg: float) -> Camera:
    """Return a pinhole camera by its image size and horizontal field of view.

    Raises:
        PlanningError: The size or the angle is not that of a camera.
    """
    if width < 1 or height < 1 or not 1.0 <= hfov_deg <= 170.0:
        raise PlanningError(
            f"{width}x{height} with {hfov_deg:g} deg is no camera: give the image size in pixels "
            "and a horizontal field of view of 1 to 170 degrees"
        )
    focal_px = 0.5 * width / np.tan(0.5 * np.radians(hfov_deg))
    K = np.array(
        [
            [focal_px, 0.0, 0.5 * (width - 1)],
            [0.0, focal_px, 0.5 * (height - 1)],
            [0.0, 0.0, 1.0],
        ]
    )
    return Camera(K, width, height, np.zeros(0), "pinhole")
