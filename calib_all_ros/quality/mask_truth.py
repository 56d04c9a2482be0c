# SPDX-License-Identifier: Apache-2.0
"""Whether recorded masks show what moves in the images, whatever the robot's model says."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.rectification import shrink_mask
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.small_pictures import shrink_images

WIDTH_PX = 160
MIN_IMAGES = 5
# What differs from the background by so many grey levels is not background.
DIFFERENT = 18.0
# A pixel's background is known when it was free in so many images.
MIN_FREE_IMAGES = 3
# Where the robot is everywhere in turn, hardly any background is known.
LEAST_KNOWN_SHARE = 0.3
MARGIN_PX = 2
# Less change than this share of the image says nothing.
LEAST_CHANGE_SHARE = 0.002


@dataclass(frozen=True)
class MaskTruth:
    """How masks and change in the images agree.

    Attributes:
        seen_share: Share of the masks, where the background behind them is known, that differs
            from it, median over the images.
        inside_share: Share of what differs from the background that lies in or at the masks,
            median over the images.
    """

    seen_share: float
    inside_share: float

    @property
    def agreement(self) -> float:
        """The smaller of the two."""
        return min(self.seen_share, self.inside_share)


def examine_masks(
    observations: Observations, masks: NDArray[np.bool_] | None = None
) -> MaskTruth | None:
    """Compare masks with what changes in the images.

    Args:
        observations: The images.
        masks: (N, H, W) masks of all images; None takes the recorded ones.

    Returns:
        The shares, or None without masks, with too few images, too little known background, or
        where nothing changes.
    """
    masks = observations.masks if masks is None else masks
    if masks is None or len(observations.images) < MIN_IMAGES:
        return None
    width = min(WIDTH_PX, observations.camera.width)
    small = shrink_images(observations.images, width)
    scale = width / observations.camera.width
    shrunk = np.stack([shrink_mask(mask, scale) for mask in masks])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN_PX + 1,) * 2)
    near = np.stack([cv2.dilate(mask.astype(np.uint8), disc) for mask in shrunk]) > 0
    known = np.count_nonzero(~near, axis=0) >= MIN_FREE_IMAGES
    if known.mean() < LEAST_KNOWN_SHARE:
        return None
    # The median over all images is right as well where masks miss the robot now and then.
    free = np.where(near[..., None] & known[None, ..., None], np.nan, small)
    background = np.nanmedian(free, axis=0)
    speck = np.ones((3, 3), np.uint8)
    seen, inside = [], []
    for image, mask, wide in zip(small, shrunk, near, strict=True):
        different = np.abs(image - background).max(axis=2) > DIFFERENT
        different &= known
        different = cv2.morphologyEx(different.astype(np.uint8), cv2.MORPH_OPEN, speck) > 0
        judged = mask & known
        if judged.any():
            seen.append(float(np.mean(different[judged])))
        if different.mean() > LEAST_CHANGE_SHARE:
            inside.append(float(np.mean(wide[different])))
    if not inside:
        return None
    return MaskTruth(float(np.median(seen)) if seen else 0.0, float(np.median(inside)))


def seen_share(observations: Observations) -> float | None:
    """Return the share of the image that the robot covers, whatever its pose.

    That of the masks, or without them of what differs from the images' median; median over the
    images. None with too few images.
    """
    if observations.masks is not None:
        return float(np.median(observations.masks.mean(axis=(1, 2))))
    if len(observations.images) < MIN_IMAGES:
        return None
    small = shrink_images(observations.images, min(WIDTH_PX, observations.camera.width))
    different = np.abs(small - np.median(small, axis=0)).max(axis=3) > DIFFERENT
    return float(np.median(different.mean(axis=(1, 2))))
