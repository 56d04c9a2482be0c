# SPDX-License-Identifier: Apache-2.0
"""What the solve estimates: the camera pose and the nuisances that would otherwise bias it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.motion import RobotMotion

POSE_SIZE = 6


@dataclass(frozen=True)
class Estimate:
    """A camera pose with its nuisance parameters.

    Attributes:
        T_camera_base: (4, 4) maps points in the robot's base frame to the optical frame.
        lag_s: How much later than its light an image was stamped, seconds.
        frame_lags_s: (N,) what each image's lag adds to ``lag_s``; None where one lag serves all.
        mask_bias_px: How far the observed outlines lie outside the true ones, full-size pixels.
        focal_scale: Factor on the given focal lengths.
        joint_offsets: (J,) what to add to the recorded positions of the robot's joints, radians or
            metres; None for nothing.
        image_biases_px: (N,) what each image's bias adds to ``mask_bias_px``; None where one bias
            serves all.
    """

    T_camera_base: NDArray[np.float64]
    lag_s: float = 0.0
    frame_lags_s: NDArray[np.float64] | None = None
    mask_bias_px: float = 0.0
    focal_scale: float = 1.0
    joint_offsets: NDArray[np.float64] | None = None
    image_biases_px: NDArray[np.float64] | None = None

    def lags(self) -> float | NDArray[np.float64]:
        """Return the lag of every image in seconds: a scalar, or (N,)."""
        return self.lag_s if self.frame_lags_s is None else self.lag_s + self.frame_lags_s

    def biases_px(self) -> float | NDArray[np.float64]:
        """Return the bias of every image in full-size pixels: a scalar, or (N,)."""
        if self.image_biases_px is None:
            return self.mask_bias_px
        return self.mask_bias_px + self.image_biases_px

    def common(self) -> Estimate:
        """Return the estimate without what belongs to single images."""
        return replace(self, frame_lags_s=None, image_biases_px=None)

    def link_poses(self, motion: RobotMotion) -> NDArray[np.float64]:
        """Return (N, L, 4, 4) ``T_base_link`` when the images of ``motion`` were taken."""
        return motion.link_poses(self.lags(), self.joint_offsets)

    def camera(self, camera: Camera) -> Camera:
        """Return ``camera`` with the estimated focal scale applied."""
        if self.focal_scale == 1.0:
            return camera
        K = camera.K.copy()
        K[0, 0] *= self.focal_scale
        K[1, 1] *= self.focal_scale
        return replace(camera, K=K)

    def moved(self, twist: NDArray[np.floating], centre: NDArray[np.floating]) -> Estimate:
        """Return the estimate with the robot rotated and then shifted in front of the camera.

        Args:
            twist: (6,) rotation vector in radians about ``centre``, translation in metres.
            centre: (3,) in the optical frame. Turning about the robot rather than about the
                camera keeps rotation and translation nearly uncorrelated.
        """
        R = Rotation.from_rotvec(twist[:3]).as_matrix()
        step = se3.make(R, centre - R @ centre + twist[3:])
        return replace(self, T_camera_base=step @ self.T_camera_base)
