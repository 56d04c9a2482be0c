# SPDX-License-Identifier: Apache-2.0
"""Camera pose with the nuisances that would otherwise bias it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.solving.motion import RobotMotion

# Where a parameter stands in the P parameters that measurements are linearised in.
POSE_SIZE = 6
LAG, MASK_BIAS, FOCAL_SCALE = POSE_SIZE, POSE_SIZE + 1, POSE_SIZE + 2
PRINCIPAL_POINT = (POSE_SIZE + 3, POSE_SIZE + 4)
RADIAL_DISTORTION = POSE_SIZE + 5
FIRST_JOINT = POSE_SIZE + 6


@dataclass(frozen=True)
class Estimate:
    """A camera pose with its nuisance parameters.

    Attributes:
        T_camera_base: (4, 4) maps points in the robot's base frame to the optical frame.
        lag_s: How much later than its light an image was stamped, seconds.
        mask_bias_px: How far the observed outlines lie outside the true ones, full-size pixels.
        focal_scale: Factor on the given focal lengths.
        joint_offsets: (J,) what to add to the recorded positions of the robot's joints, radians or
            metres; None for nothing.
        image_biases_px: (N,) what each image's bias adds to ``mask_bias_px``; None where one bias
            serves all.
    """

    T_camera_base: NDArray[np.float64]
    lag_s: float = 0.0
    mask_bias_px: float = 0.0
    focal_scale: float = 1.0
    joint_offsets: NDArray[np.float64] | None = None
    image_biases_px: NDArray[np.float64] | None = None

    def biases_px(self) -> float | NDArray[np.float64]:
        """Return the bias of every image in full-size pixels: a scalar, or (N,)."""
        if self.image_biases_px is None:
            return self.mask_bias_px
        return self.mask_bias_px + self.image_biases_px

    def common(self) -> Estimate:
        """Return the estimate without what belongs to single images."""
        return replace(self, image_biases_px=None)

    def link_poses(self, motion: RobotMotion) -> NDArray[np.float64]:
        """Return (N, L, 4, 4) ``T_base_link`` when the images of ``motion`` were taken."""
        return motion.link_poses(self.lag_s, self.joint_offsets)

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

    def values(self, joints: int) -> NDArray[np.float64]:
        """Return how far each of the (P,) parameters of a robot of J joints is from plain.

        The pose, the principal point and the distortion are where the estimate has them: zero.
        """
        values = np.zeros(FIRST_JOINT + joints)
        values[[LAG, MASK_BIAS, FOCAL_SCALE]] = self.lag_s, self.mask_bias_px, self.focal_scale - 1
        if joints and self.joint_offsets is not None:
            values[FIRST_JOINT:] = self.joint_offsets
        return values

    def stepped(
        self,
        columns: NDArray[np.integer],
        step: NDArray[np.float64],
        centre: NDArray[np.float64],
        joints: int,
    ) -> Estimate:
        """Return the estimate after a step of some parameters.

        Args:
            columns: (Q,) which ones; all joint offsets or none.
            step: (Q,) their change.
            centre: (3,) what the pose turns about (`moved`).
            joints: Number of the robot's joints.
        """
        change = np.zeros(FIRST_JOINT + joints)
        change[columns] = step
        moved = self.moved(change[:POSE_SIZE], centre)
        if FIRST_JOINT in columns:
            moved = replace(moved, joint_offsets=(self.values(joints) + change)[FIRST_JOINT:])
        return replace(
            moved,
            lag_s=self.lag_s + float(change[LAG]),
            mask_bias_px=self.mask_bias_px + float(change[MASK_BIAS]),
            focal_scale=self.focal_scale + float(change[FOCAL_SCALE]),
        )
