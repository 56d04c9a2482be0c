# SPDX-License-Identifier: Apache-2.0
"""Settings of a simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera


class SimulationError(CalibAllError):
    """The settings of a simulation do not fit together or to the robot."""


@dataclass(frozen=True, eq=False)
class SimulationSettings:
    """Settings of one simulated recording.

    Attributes:
        frames: Number of images.
        rate_hz: Image rate.
        joint_rate_hz: Rate of the joint states.
        width: Image width in pixels.
        height: Image height in pixels.
        focal_px: Focal length in pixels.
        distortion_model: A model of `geometry.camera.Camera`.
        distortion: Coefficients of the model.
        T_camera_base: (4, 4) pose of the base in the optical frame; None chooses one by the seed
            that has the whole robot in view throughout.
        lag_s: How much later than the light the images are stamped.
        noise_sigma: Standard deviation of the sensor noise, in grey levels of 255.
        blur_px: Standard deviation of the optical blur in pixels.
        jpeg_quality: Quality of the JPEG files when the recording is written as a folder.
        seed: Seed of motion, camera pose, textures, colours and noise.
        supersample: Rays per pixel in each direction.
        shadows: Whether the robot casts a shadow on the table.
    """

    frames: int = 60
    rate_hz: float = 10.0
    joint_rate_hz: float = 100.0
    width: int = 640
    height: int = 480
    focal_px: float = 560.0
    distortion_model: str = "pinhole"
    distortion: tuple[float, ...] = ()
    T_camera_base: NDArray[np.float64] | None = None
    lag_s: float = 0.0
    noise_sigma: float = 2.0
    blur_px: float = 0.5
    jpeg_quality: int = 92
    seed: int = 0
    supersample: int = 2
    shadows: bool = True

    def __post_init__(self) -> None:
        positive = ("frames", "rate_hz", "joint_rate_hz", "focal_px", "supersample")
        for name in positive:
            if not getattr(self, name) > 0:
                raise SimulationError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("noise_sigma", "blur_px"):
            if getattr(self, name) < 0:
                raise SimulationError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 1 <= self.jpeg_quality <= 100:
            raise SimulationError(f"jpeg_quality must be 1 to 100, got {self.jpeg_quality}")
        if self.T_camera_base is not None and np.shape(self.T_camera_base) != (4, 4):
            raise SimulationError(
                f"T_camera_base must be a 4x4 matrix, got shape {np.shape(self.T_camera_base)}"
            )

    def camera(self) -> Camera:
        """Return the camera, its principal point a little off the centre as in real ones.

        Raises:
            CameraError: The distortion does not fit its model.
        """
        centre = 0.506 * self.width, 0.494 * self.height
        K = np.array([[self.focal_px, 0, centre[0]], [0, self.focal_px, centre[1]], [0, 0, 1.0]])
        return Camera(K, self.width, self.height, np.array(self.distortion), self.distortion_model)
