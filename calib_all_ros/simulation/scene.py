# SPDX-License-Identifier: Apache-2.0
"""The surroundings of a simulated robot: a table, a wall, their textures, and the light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_TILE = 1024
_TILE_SIZE_M = 2.4
_AMBIENT = 0.34
_SHADOW = 0.55
_SHININESS = 28.0
_SPECULAR = 0.22
_PALETTE = np.array(
    [
        [0.78, 0.78, 0.75],
        [0.15, 0.16, 0.18],
        [0.80, 0.77, 0.70],
        [0.66, 0.22, 0.04],
        [0.70, 0.72, 0.75],
        [0.30, 0.32, 0.36],
    ]
)


@dataclass(frozen=True, eq=False)
class Light:
    """A distant light: (3,) unit direction towards it in the base frame, and its strength."""

    direction: NDArray[np.float64]
    strength: float


class Scene:
    """A table at a height, and a wall behind the robot as the camera sees it.

    Attributes:
        lights: The lights; the first casts shadows.
    """

    def __init__(
        self,
        camera_position: NDArray[np.float64],
        table_height_m: float,
        reach_m: float,
        seed: int,
    ) -> None:
        """Choose textures and lights.

        Args:
            camera_position: (3,) in the base frame.
            table_height_m: Height of the table in the base frame.
            reach_m: Distance from the base that the robot never leaves.
            seed: Seed.
        """
        rng = np.random.default_rng(seed)
        self._height = table_height_m
        away = -camera_position[:2] / max(float(np.linalg.norm(camera_position[:2])), 1e-9)
        turn = rng.uniform(-0.5, 0.5)
        c, s = np.cos(turn), np.sin(turn)
        self._wall_normal = np.array([c * away[0] - s * away[1], s * away[0] + c * away[1], 0.0])
        self._wall_distance = 1.3 * reach_m + 0.4
        self._table = _texture(rng, stretch=5.0, colours=_wood(rng))
        self._wall = _texture(rng, stretch=1.0, colours=_paint(rng))
        side = rng.choice([-1.0, 1.0])
        towards = np.array([-away[0] - side * away[1], -away[1] + side * away[0], 2.4])
        fill = np.array([-away[0] + side * away[1], -away[1] - side * away[0], 0.9])
        self.lights = (
            Light(towards / np.linalg.norm(towards), 0.72),
            Light(fill / np.linalg.norm(fill), 0.26),
        )
        self._palette = rng.permutation(_PALETTE[[0, 2, 4]]), rng.permutation(_PALETTE[[1, 3, 5]])

    def background(
        self, origin: NDArray[np.float64], directions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Look at table and wall.

        Args:
            origin: (3,) start of the rays in the base frame.
            directions: (R, 3) in the base frame.

        Returns:
            (R, 3) linear colours in full light, and (R, 3) points on the table; NaN elsewhere.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            to_table = (self._height - origin[2]) / directions[:, 2]
            approach = directions @ self._wall_normal
            to_wall = (self._wall_distance - origin @ self._wall_normal) / approach
        to_table = np.where(to_table > 0, to_table, np.inf)
        to_wall = np.where(to_wall > 0, to_wall, np.inf)
        on_table = np.isfinite(to_table) & (to_table <= to_wall)
        on_wall = np.isfinite(to_wall) & ~on_table
        colour = np.full((len(directions), 3), 0.5, np.float32)
        table_points = np.full((len(directions), 3), np.nan)
        points = origin + to_table[on_table, None] * directions[on_table]
        table_points[on_table] = points
        colour[on_table] = _look_up(self._table, points[:, :2]) * self._lit([0.0, 0.0, 1.0])
        points = origin + to_wall[on_wall, None] * directions[on_wall]
        along = points @ np.cross(self._wall_normal, [0.0, 0.0, 1.0])
        wall = _look_up(self._wall, np.stack([along, points[:, 2]], axis=1))
        colour[on_wall] = wall * self._lit(-self._wall_normal)
        return colour, table_points

    def shadow_factor(self) -> float:
        """Return what is left of the light of the table where the first light is blocked."""
        blocked = self._lit([0.0, 0.0, 1.0]) - _SHADOW * self.lights[0].direction[2]
        return max(0.2, float(blocked / self._lit([0.0, 0.0, 1.0])))

    def shade(
        self,
        links: NDArray[np.integer],
        normals: NDArray[np.float64],
        directions: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Return the (R, 3) linear colours of points of the robot (Blinn, 1977).

        Args:
            links: (R,) index of the link.
            normals: (R, 3) unit normals in the base frame.
            directions: (R, 3) viewing rays in the base frame.
        """
        bright, dark = self._palette
        is_dark = (links % 3 == 1)[:, None]
        albedo = np.where(is_dark, dark[links % len(dark)], bright[links % len(bright)])
        view = -directions / np.linalg.norm(directions, axis=1, keepdims=True)
        diffuse = np.full(len(links), _AMBIENT * 0.8) + 0.12 * normals[:, 2]
        specular = np.zeros(len(links))
        for light in self.lights:
            diffuse += light.strength * np.maximum(normals @ light.direction, 0.0)
            half = view + light.direction
            half /= np.linalg.norm(half, axis=1, keepdims=True)
            glance = np.maximum(np.einsum("rk,rk->r", half, normals), 0.0)
            specular += _SPECULAR * light.strength * glance**_SHININESS
        return np.asarray(albedo * diffuse[:, None] + specular[:, None], dtype=np.float32)

    def _lit(self, normal: list[float] | NDArray[np.float64]) -> float:
        lights = [light.strength * max(float(light.direction @ normal), 0) for light in self.lights]
        return _AMBIENT + float(sum(lights))


def to_srgb(linear: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return grey levels 0 to 255 of linear intensities, clipped."""
    return np.asarray(255.0 * np.clip(linear, 0.0, 1.0) ** (1 / 2.2), dtype=np.float32)


def _wood(rng: np.random.Generator) -> NDArray[np.float64]:
    dark = np.array([0.16, 0.09, 0.045]) * rng.uniform(0.8, 1.4)
    return np.stack([dark, dark * rng.uniform(2.4, 3.4)])


def _paint(rng: np.random.Generator) -> NDArray[np.float64]:
    base = np.array([0.24, 0.33, 0.38]) * rng.uniform(0.8, 1.3, 3)
    return np.stack([0.45 * base, 1.35 * base])


def _texture(
    rng: np.random.Generator, *, stretch: float, colours: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return a (_TILE, _TILE, 3) tile of 1/f noise that repeats without a seam."""
    frequency = np.fft.fftfreq(_TILE)
    radius = np.hypot(frequency[:, None], frequency[None] * stretch)
    radius[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((_TILE, _TILE))) / np.maximum(radius, 3e-3) ** 1.1
    noise = np.fft.ifft2(spectrum).real
    level = 1.0 / (1.0 + np.exp(-1.7 * noise / noise.std()))
    mixed = colours[0] + level[..., None] * (colours[1] - colours[0])
    return np.asarray(mixed, dtype=np.float32)


def _look_up(tile: NDArray[np.float32], where_m: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the (R, 3) colours of a repeating tile at (R, 2) metres."""
    if len(where_m) == 0:
        return np.zeros((0, 3), np.float32)
    pixels = np.mod(where_m * (_TILE / _TILE_SIZE_M), _TILE).astype(np.float32)
    rows = -(-len(pixels) // _TILE)  # remap limits the sides of its maps to 32,767
    padded = np.zeros((rows * _TILE, 2), np.float32)
    padded[: len(pixels)] = pixels
    u, v = np.moveaxis(padded.reshape(rows, _TILE, 2), -1, 0).copy()
    found = cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(found, dtype=np.float32).reshape(-1, 3)[: len(pixels)]
