# SPDX-License-Identifier: Apache-2.0
"""Spoils exact masks in the ways in which segmentation fails."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MaskCorruption:
    """How badly masks are spoiled; each frame draws its own, the occluder is common to all.

    Attributes:
        grow_px: (lowest, highest) whole pixels by which a frame's mask is dilated, negative for
            eroded, drawn evenly without zero.
        holes: Highest number of holes in a frame; at least one.
        hole_radius_px: (smallest, largest) half axes of a hole.
        blobs: Highest number of false blobs in a frame; at least one.
        blob_radius_px: (smallest, largest) half axes of a blob.
        occluded_share: Share of the robot's pixels, over all frames, that one upright rectangle
            hides; it stays where it is.
    """

    grow_px: tuple[int, int] = (-3, 3)
    holes: int = 3
    hole_radius_px: tuple[float, float] = (4.0, 14.0)
    blobs: int = 3
    blob_radius_px: tuple[float, float] = (6.0, 25.0)
    occluded_share: float = 0.12


CORRUPTIONS = {
    "eroded": MaskCorruption(grow_px=(-3, -1)),
    "dilated": MaskCorruption(grow_px=(1, 3)),
    "mixed": MaskCorruption(),
}
"""Each with holes, false blobs and an occluder."""


def corrupt_masks(
    masks: NDArray[np.bool_], corruption: MaskCorruption, seed: int
) -> NDArray[np.bool_]:
    """Return a spoiled copy of (N, H, W) masks; the same seed gives the same copy."""
    rng = np.random.default_rng(seed)
    spoiled = np.stack([_spoiled(mask, corruption, rng) for mask in masks])
    spoiled[:, _occluder(masks, corruption.occluded_share, rng)] = False
    return spoiled


def _spoiled(
    mask: NDArray[np.bool_], corruption: MaskCorruption, rng: np.random.Generator
) -> NDArray[np.bool_]:
    amounts = np.arange(corruption.grow_px[0], corruption.grow_px[1] + 1)
    amount = int(rng.choice(amounts[amounts != 0]))
    size = 2 * abs(amount) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    change = cv2.dilate if amount > 0 else cv2.erode
    result = np.asarray(change(mask.astype(np.uint8), disc), dtype=np.uint8)
    height, width = mask.shape
    for _ in range(rng.integers(1, corruption.holes + 1)):
        robot = np.argwhere(mask)
        if len(robot):
            v, u = robot[rng.integers(len(robot))]
            _draw_ellipse(result, (u, v), corruption.hole_radius_px, 0, rng)
    for _ in range(rng.integers(1, corruption.blobs + 1)):
        place = int(rng.integers(width)), int(rng.integers(height))
        _draw_ellipse(result, place, corruption.blob_radius_px, 1, rng)
    return np.asarray(result > 0)


def _draw_ellipse(
    mask: NDArray[np.uint8],
    centre: tuple[int, int],
    radius_px: tuple[float, float],
    value: int,
    rng: np.random.Generator,
) -> None:
    axes = np.rint(rng.uniform(*radius_px, size=2)).astype(int)
    place = int(centre[0]), int(centre[1])
    cv2.ellipse(mask, place, axes.tolist(), float(rng.uniform(0, 180)), 0, 360, value, -1)


def _occluder(
    masks: NDArray[np.bool_], share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return an (H, W) rectangle around a pixel of the robot that hides ``share`` of the robot."""
    seen = masks.sum(axis=0)
    height, width = seen.shape
    places = np.argwhere(seen > 0)
    v, u = places[rng.integers(len(places))] if len(places) else (0, 0)
    aspect = float(np.exp(rng.uniform(-0.7, 0.7)))
    hidden = np.zeros(seen.shape, bool)
    for half in range(1, max(height, width)):
        half_u, half_v = round(half * aspect), round(half / aspect)
        top, left = max(0, v - half_v), max(0, u - half_u)
        hidden[top : v + half_v + 1, left : u + half_u + 1] = True
        if seen[hidden].sum() >= share * seen.sum():
            break
    return hidden
