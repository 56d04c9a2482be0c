# SPDX-License-Identifier: Apache-2.0
"""How segmentation fails: mildly, and so that it shows less than the robot or something else."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.mask_corruption import MaskCorruption, corrupt_masks
from benchmarks.takes import Take

Generator = np.random.Generator
# The accuracy benchmark's images are so wide.
REFERENCE_WIDTH_PX = 640


def spoiled(take: Take, factor: float, rng: Generator) -> Take:
    """Spoil masks ``factor`` times as badly as the accuracy benchmark does.

    All masks too fat, all too thin, or either, by the seed; sizes grow with the images' width.
    """
    kind = ("eroded", "dilated", "mixed")[rng.integers(3)]
    scale = factor * take.camera.width / REFERENCE_WIDTH_PX
    grow_px = max(1, round(3.0 * scale))
    lowest, highest = {
        "eroded": (-grow_px, -1),
        "dilated": (1, grow_px),
        "mixed": (-grow_px, grow_px),
    }[kind]
    corruption = MaskCorruption(
        grow_px=(lowest, highest),
        holes=max(1, round(3.0 * factor)),
        hole_radius_px=(4.0 * scale, 14.0 * scale),
        blobs=max(1, round(3.0 * factor)),
        blob_radius_px=(6.0 * scale, 25.0 * scale),
        occluded_share=min(0.12 * factor, 0.6),
    )
    masks = corrupt_masks(take.masks, corruption, int(rng.integers(2**31)))
    return replace(take, masks=masks, detail=kind)


def links_missing(take: Take, count: float, rng: Generator) -> Take:
    """Leave out of every mask the pixels of so many neighbouring links."""
    labels = take.scene.link_labels
    sizes = np.bincount(labels.ravel(), minlength=len(take.robot.kinematics.link_names) + 1)[1:]
    # A link that is hardly seen would not be missed.
    candidates = np.flatnonzero(sizes > 0.04 * sizes.sum())
    first = int(rng.integers(max(1, len(candidates) - int(count) + 1)))
    chosen = candidates[first : first + int(count)]
    names = ", ".join(take.robot.kinematics.link_names[link] for link in chosen)
    masks = take.masks & ~np.isin(labels, chosen + 1)
    return replace(take, masks=masks, detail=names)


def still_thing_segmented(take: Take, share: float, rng: Generator) -> Take:
    """Show in a share of the masks a still thing as large as the robot instead of it."""
    places = np.tile(rng.uniform(0.2, 0.8, 2), (len(take), 1))
    return _something_else(take, share, places, rng)


def moving_thing_segmented(take: Take, share: float, rng: Generator) -> Take:
    """Show in a share of the masks a thing instead of the robot that wanders about."""
    steps = rng.normal(0.0, 0.06, (len(take), 2))
    places = np.clip(rng.uniform(0.3, 0.7, 2) + np.cumsum(steps, axis=0), 0.05, 0.95)
    return _something_else(take, share, places, rng)


def _something_else(take: Take, share: float, places: NDArray[np.float64], rng: Generator) -> Take:
    """Replace masks by an irregular shape at (N, 2) places, shares of width and height."""
    count, height, width = take.masks.shape
    radius = float(np.sqrt(take.masks.mean() * height * width / np.pi))
    corners = np.linspace(0.0, 2.0 * np.pi, 9, endpoint=False)
    lengths = radius * rng.uniform(0.6, 1.5, len(corners))
    shape = np.stack([np.cos(corners) * lengths, np.sin(corners) * lengths], axis=1)
    masks = take.masks.copy()
    replaced = rng.permutation(count)[: round(share * count)]
    for i in replaced:
        thing = np.zeros((height, width), np.uint8)
        outline = np.rint(shape + places[i] * [width, height]).astype(np.int32)
        cv2.fillPoly(thing, [outline], 1)
        masks[i] = thing > 0
    return replace(take, masks=masks)
