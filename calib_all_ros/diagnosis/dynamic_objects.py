# SPDX-License-Identifier: Apache-2.0
"""Dynamic objects beside the robot.

What differs from the background, apart from the robot as drawn, its surroundings and shadows. A
robot drawn in the wrong place leaves the true robot outside of its drawing; whether the drawing is
to be believed is judged from the same differences: where the robot is drawn, images must differ
from the background. Where they do not, that two things move apart from one another says it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.scene_images import median_where

MIN_IMAGES = 5
# Of fewer images, what moves and what was left behind is not told apart.
MIN_IMAGES_APART = 8
# A pixel's background is known when it was seen so often without the robot.
MIN_SAMPLES = 4
# Of less of the image nothing is said.
MIN_KNOWN = 0.2
# Grey levels by which a pixel differs, over noise and what half a pixel of displacement does.
MIN_DIFFERENCE = 25.0
NOISE_SIGMAS = 5.0
DISPLACED_PX = 1.0
MAD_TO_SIGMA = 1.4826
# Blobs smaller than this share of the image do not count.
SMALLEST_SHARE = 0.002
# Moving things with a narrower gap between them, share of the image's width, are one.
GAP_SHARE = 0.1
# A place that differs in this share of the images was left by something that stood there.
OFTEN = 0.25
# A shadow darkens to no less than this share, by much the same factor everywhere, and keeps the
# colour; natural logarithms.
DARKEST_SHADOW = -1.6
SHADOW_SPREAD = 0.25
SHADOW_COLOUR = 0.12


@dataclass(frozen=True, eq=False)
class DynamicObjects:
    """What differs from the background.

    Attributes:
        share: (N,) share of the image that blobs away from the drawn robot cover.
        beside: (N,) share that differing pixels beside the drawn robot cover.
        shadow: (N,) share that shadows cover.
        explained: Share of the drawn robot's pixels, of known background, that differ from it.
        apart: (N,) share of the image that the second largest of separate moving things covers,
            wherever the robot is drawn; 0 where only one moves, as a robot alone does.
    """

    share: NDArray[np.float64]
    beside: NDArray[np.float64]
    shadow: NDArray[np.float64]
    explained: float
    apart: NDArray[np.float64]


def find_dynamic_objects(
    images: NDArray[np.float32],
    robot: NDArray[np.bool_],
    covered: NDArray[np.bool_],
    unseen: NDArray[np.bool_],
) -> DynamicObjects | None:
    """Find what differs from the background; None where too little background is known.

    Args:
        images: (N, h, w, 3) with the camera's motion and changes of light taken out.
        robot: (N, h, w) the robot as drawn.
        covered: (N, h, w) the same with a margin.
        unseen: (N, h, w) what the camera's motion has moved out of view, or is cut off.
    """
    count = len(images)
    if count < MIN_IMAGES:
        return None
    background = _background(images, covered | unseen)
    if np.mean(background.known) < MIN_KNOWN:
        return None
    difference = np.abs(images - background.colour).max(axis=3)
    differs = (difference > background.limit) & background.known & ~unseen
    share, beside, shadow = np.zeros(count), np.zeros(count), np.zeros(count)
    for i in range(count):
        for part in _parts(differs[i]):
            size = float(np.mean(part))
            if (part & covered[i]).any():
                beside[i] += float(np.mean(part & ~covered[i]))
            elif _is_shadow(images[i][part], background.colour[part]):
                shadow[i] += size
            else:
                share[i] += size
    core = robot & background.known & ~unseen
    explained = float(np.mean(difference[core] > MIN_DIFFERENCE / 2)) if core.any() else 0.0
    return DynamicObjects(share, beside, shadow, explained, _apart(images, unseen))


@dataclass(frozen=True, eq=False)
class _Background:
    """Attributes: (h, w, 3) colours, (h, w) largest usual difference, (h, w) where known."""

    colour: NDArray[np.float32]
    limit: NDArray[np.float32]
    known: NDArray[np.bool_]


def _background(images: NDArray[np.float32], hidden: NDArray[np.bool_]) -> _Background:
    """Return the median of what is not hidden."""
    colour, seen = median_where(images, hidden)
    known = seen >= MIN_SAMPLES
    colour[~known] = 0.0
    noise, _ = median_where(np.abs(images - colour), hidden)
    usual = np.maximum(MIN_DIFFERENCE, NOISE_SIGMAS * MAD_TO_SIGMA * noise.max(axis=2))
    limit = usual + DISPLACED_PX * _slope(colour)
    return _Background(colour, np.asarray(limit, dtype=np.float32), known)


def _apart(images: NDArray[np.float32], unseen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the (N,) sizes of what moves apart from the largest thing that moves.

    A place where something stood for most of the time and then left differs from then on; so
    places that differ often are left out.
    """
    second = np.zeros(len(images))
    if len(images) < MIN_IMAGES_APART:
        return second
    background = _background(images, unseen)
    differs = np.abs(images - background.colour).max(axis=3) > background.limit
    differs &= background.known & ~unseen
    differs &= np.mean(differs, axis=0) < OFTEN
    reach = 2 * max(1, round(GAP_SHARE * images.shape[2] / 2)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    for i, image in enumerate(images):
        mask = np.zeros(differs.shape[1:], np.uint8)
        for part in _parts(differs[i]):
            if not _is_shadow(image[part], background.colour[part]):
                mask[part] = 1
        _, groups = cv2.connectedComponents(cv2.dilate(mask, disc))
        sizes = np.sort(np.bincount(groups[mask > 0], minlength=2)[1:])
        second[i] = sizes[-2] / mask.size if len(sizes) > 1 else 0.0
    return second


def _slope(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (h, w) change of an image's values per pixel, the steepest channel's."""
    du = cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=1 / 8)
    dv = cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(np.hypot(du, dv).max(axis=2))


def _parts(differs: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected parts of a mask after small gaps are closed and specks removed."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    mask = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_OPEN, disc)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc)
    count, labels, figures, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    least = SMALLEST_SHARE * differs.size
    return [labels == part for part in range(1, count) if figures[part, cv2.CC_STAT_AREA] >= least]


def _is_shadow(image: NDArray[np.float32], background: NDArray[np.float32]) -> bool:
    """Judge whether (K, 3) pixels are their background in less light."""
    ratio = np.log(np.maximum(image, 4.0) / np.maximum(background, 4.0))
    brightness = ratio.mean(axis=1)
    middle = float(np.median(brightness))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(brightness - middle)))
    colour = float(np.ptp(np.median(ratio, axis=0)))
    darker = DARKEST_SHADOW < middle < 0.0
    return darker and spread < SHADOW_SPREAD and colour < SHADOW_COLOUR
