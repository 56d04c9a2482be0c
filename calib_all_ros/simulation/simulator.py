# SPDX-License-Identifier: Apache-2.0
"""Simulated recordings of a moving robot seen by a fixed camera, with the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.motion import random_motion, surrounding_camera, table_height
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.simulation.scene import Scene, to_srgb
from calib_all_ros.simulation.settings import SimulationSettings

_FIRST_STAMP_NS = 1_700_000_000_000_000_000
_MARGIN_S = 0.1
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class SimulatedRecording:
    """A recording whose truth is known.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        masks: (N, H, W) bool, true where a pixel's centre shows the robot.
        image_stamps_ns: (N,) int64.
        joint_names: (J,) names of the joints.
        joint_stamps_ns: (T,) int64; they cover the images.
        joint_positions: (T, J) radians or metres.
        camera: The camera of the images.
        T_camera_base: (4, 4) maps points in the base frame to the optical frame.
        base_frame: Name of the base frame.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    image_stamps_ns: NDArray[np.int64]
    joint_names: tuple[str, ...]
    joint_stamps_ns: NDArray[np.int64]
    joint_positions: NDArray[np.float64]
    camera: Camera
    T_camera_base: NDArray[np.float64]
    base_frame: str


def simulate(
    robot: Robot,
    settings: SimulationSettings | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> SimulatedRecording:
    """Simulate a recording.

    The images are ray traced: they share no code with the renderer that the calibration uses. The
    same seed gives the same recording.

    Args:
        robot: Any robot.
        settings: What to simulate; None takes the defaults.
        on_progress: Called with (images done, images in total).

    Raises:
        SimulationError: The robot finds no motion above its table, or fits into no view.
        CameraError: The distortion does not fit its model.
    """
    settings = settings or SimulationSettings()
    camera = settings.camera()
    duration_s = (settings.frames - 1) / settings.rate_hz
    # The robot is recorded for a little longer than the images last, as recorders do.
    start_s = _MARGIN_S + max(settings.lag_s, 0.0)
    total_s = start_s + duration_s + _MARGIN_S + max(-settings.lag_s, 0.0)
    motion = random_motion(robot, total_s, settings.seed)

    image_times = start_s + np.arange(settings.frames) / settings.rate_hz
    joint_times = np.arange(round(total_s * settings.joint_rate_hz) + 1) / settings.joint_rate_hz
    joint_times = np.minimum(joint_times, total_s)
    shown = np.asarray(motion(image_times - settings.lag_s))
    if settings.T_camera_base is None:
        T_camera_base = surrounding_camera(robot, camera, shown, settings.seed)
    else:
        T_camera_base = np.asarray(settings.T_camera_base, dtype=np.float64)

    renderer = _Renderer(robot, camera, T_camera_base, settings)
    T_camera_link = T_camera_base @ robot.kinematics.forward(shown)
    images = np.empty((settings.frames, camera.height, camera.width, 3), np.uint8)
    masks = np.empty(images.shape[:3], bool)
    for frame in range(settings.frames):
        images[frame], masks[frame] = renderer.frame(T_camera_link[frame])
        if on_progress is not None:
            on_progress(frame + 1, settings.frames)
    return SimulatedRecording(
        images,
        masks,
        _stamps(image_times),
        robot.kinematics.joint_names,
        _stamps(joint_times),
        np.asarray(motion(joint_times)),
        camera,
        T_camera_base,
        robot.kinematics.base_frame,
    )


def _stamps(times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    return _FIRST_STAMP_NS + np.round(times_s * _SECOND_NS).astype(np.int64)


class _Renderer:
    """Renders frames of one recording: the still background once, the robot for each frame."""

    def __init__(
        self,
        robot: Robot,
        camera: Camera,
        T_camera_base: NDArray[np.float64],
        settings: SimulationSettings,
    ) -> None:
        self._camera, self._settings = camera, settings
        self._caster = RayCaster(robot.surface)
        self._noise = np.random.default_rng(settings.seed + 1)
        T_base_camera = se3.invert(T_camera_base)
        self._R_base_camera, self._position = T_base_camera[:3, :3], T_base_camera[:3, 3]
        reach = float(np.linalg.norm(robot.surface.vertices, axis=1).max())
        home = robot.kinematics.forward(np.zeros((1, len(robot.kinematics.joint_names))))[0]
        reach += float(np.linalg.norm(home[:, :3, 3], axis=1).max())
        height = table_height(robot)
        self._scene = Scene(self._position, height, reach, settings.seed)
        self._to_light = self._R_base_camera.T @ self._scene.lights[0].direction

        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        centres = np.stack([u, v], axis=-1).astype(np.float64)
        offsets = (np.arange(settings.supersample) + 0.5) / settings.supersample - 0.5
        self._centre_rays = camera.rays(centres)
        self._rays = np.stack(
            [camera.rays(centres + np.array([dx, dy])) for dy in offsets for dx in offsets], axis=2
        )
        self._background = np.stack(
            [self._look_around(self._rays[:, :, i])[0] for i in range(len(offsets) ** 2)], axis=2
        )
        table = self._look_around(self._centre_rays)[1]
        self._table_points = (table - self._position) @ self._R_base_camera

    def frame(
        self, T_camera_link: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return image and mask for (L, 4, 4) poses of the links."""
        candidates = self._caster.candidate_pixels(T_camera_link, self._camera)
        anywhere = np.zeros((self._camera.height, self._camera.width), bool)
        for mask in candidates.values():
            anywhere |= mask
        reaches = {link: mask[anywhere] for link, mask in candidates.items()}
        origin = np.zeros(3)
        centre = self._caster.first_hits(
            origin, self._centre_rays[anywhere], T_camera_link, reaches
        )
        mask = np.zeros_like(anywhere)
        mask[anywhere] = centre.link >= 0

        colour = self._background.mean(axis=2)
        if self._settings.shadows:
            colour *= self._shadow(T_camera_link)[..., None]
        rays = self._rays[anywhere]
        samples = rays.shape[1]
        under = np.repeat(colour[anywhere][:, None], samples, axis=1).reshape(-1, 3)
        rays = rays.reshape(-1, 3)
        hits = self._caster.first_hits(
            origin,
            rays,
            T_camera_link,
            {link: np.repeat(reach, samples) for link, reach in reaches.items()},
        )
        hit = hits.link >= 0
        under[hit] = self._scene.shade(
            hits.link[hit],
            hits.normal[hit] @ self._R_base_camera.T,
            rays[hit] @ self._R_base_camera.T,
        )
        colour[anywhere] = np.clip(under, 0.0, 1.0).reshape(-1, samples, 3).mean(axis=1)
        return self._photograph(colour), mask

    def _look_around(
        self, rays: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        directions = np.nan_to_num(rays.reshape(-1, 3) @ self._R_base_camera.T)
        colour, points = self._scene.background(self._position, directions)
        return colour.reshape(rays.shape), points.reshape(rays.shape)

    def _shadow(self, T_camera_link: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the (H, W) share of light that reaches the table."""
        coarse = self._table_points[::2, ::2]
        on_table = np.isfinite(coarse[..., 0])
        light = np.ones(on_table.shape, np.float32)
        dark = self._caster.blocked(coarse[on_table], self._to_light, T_camera_link)
        light[on_table] = np.where(dark, self._scene.shadow_factor(), 1.0)
        size = self._camera.width, self._camera.height
        soft = cv2.GaussianBlur(light, (0, 0), 1.5)
        return np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR), np.float32)

    def _photograph(self, linear: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Apply lens blur, tone curve and sensor noise."""
        image = np.asarray(linear, dtype=np.float32)
        if self._settings.blur_px > 0:
            image = cv2.GaussianBlur(image, (0, 0), self._settings.blur_px).astype(np.float32)
        levels = to_srgb(image)
        noise = self._noise.standard_normal(levels.shape, dtype=np.float32)
        levels += self._settings.noise_sigma * noise
        return np.clip(np.round(levels), 0, 255).astype(np.uint8)
