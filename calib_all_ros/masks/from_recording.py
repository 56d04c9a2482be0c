# SPDX-License-Identifier: Apache-2.0
"""Masks of the robot from the recording itself, with the model in the loop.

The camera stands still and the robot moves: once a pose says roughly which pixels the robot
covers when, the frames that do not cover a pixel show its background, and what deviates from it
near the rendered silhouette is robot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.masks.appearance import colour_log_density, robot_evidence
from calib_all_ros.masks.background import Background, estimate_background

# Where the model claims robot in at least this many frames and nearly all of them look like the
# background, something stands in front of the robot.
OCCLUDED_FRAMES = 3
OCCLUDED_SHARE = 0.8
STRONG_EVIDENCE = 4.0
SURROUNDINGS_PX = 2


@dataclass(frozen=True)
class SegmentedFrames:
    """Masks found with the help of a rendered guess.

    Attributes:
        masks: (N, H, W) robot pixels; beyond the band around the guess they equal the guess.
        ignore: (N, H, W) pixels that say nothing: the robot may be hidden, or its background
            was never seen and its colour does not tell.
        hidden: (H, W) pixels at which something stands in front of the robot.
        evidence: (N, H, W) smoothed log-likelihood ratio of robot against background.
        background: The background.
    """

    masks: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    evidence: NDArray[np.float32]
    background: Background


def segment(
    images: NDArray[np.float32],
    rendered: NDArray[np.bool_],
    use: NDArray[np.intp],
    band_px: int,
    smoothing_px: float = 0.7,
) -> SegmentedFrames:
    """Segment some of the frames, using all of them for the background.

    Args:
        images: (N, H, W, 3) colours of one exposure.
        rendered: (N, H, W) where the current estimate says the robot is.
        use: (M,) indices of the frames to segment.
        band_px: How far the guess may be off.
        smoothing_px: Standard deviation of the Gaussian that the evidence is smoothed by.

    Returns:
        Masks of the M frames.
    """
    grown = grown_silhouettes(rendered, band_px)
    background = estimate_background(images, grown, SURROUNDINGS_PX)
    chosen = images[use]
    inside = _per_frame(cv2.erode, rendered[use], _disc(band_px if band_px < 8 else band_px // 2))
    around = grown[use] & ~rendered[use]
    if not inside.any():
        inside = rendered[use]
    surroundings = colour_log_density(chosen, around | ~grown[use])
    uninformed = np.full_like(surroundings, np.log(1 / 256.0**3))
    # Pixels inside a rough guess that look like the background must not teach the robot's colour.
    first = robot_evidence(chosen, background, uninformed, surroundings)
    likely = inside & ((first > 0.0) | ~background.known)
    robot = colour_log_density(chosen, likely if likely.any() else inside)
    raw = robot_evidence(chosen, background, robot, surroundings)
    hidden = _hidden(raw, inside, background)
    raw[:, hidden] = 0.0
    evidence = np.stack([cv2.GaussianBlur(frame, (0, 0), smoothing_px) for frame in raw])
    band = grown[use] & ~inside
    masks = np.where(band, evidence > 0.0, rendered[use])
    undecided = ~background.known & (np.abs(evidence) < 1.0)
    return SegmentedFrames(masks, (hidden | undecided) & band, hidden, evidence, background)


def grown_silhouettes(masks: NDArray[np.bool_], margin_px: int) -> NDArray[np.bool_]:
    """Return (N, H, W) masks grown by a margin, for where the robot may be."""
    return np.asarray(_per_frame(cv2.dilate, masks, _disc(margin_px)))


def _hidden(
    evidence: NDArray[np.float32], inside: NDArray[np.bool_], background: Background
) -> NDArray[np.bool_]:
    """Return the (H, W) pixels at which the robot, though claimed, never shows."""
    claimed = np.count_nonzero(inside, axis=0)
    like_background = np.count_nonzero(inside & (evidence < -STRONG_EVIDENCE), axis=0)
    hidden = (
        background.known
        & (claimed >= OCCLUDED_FRAMES)
        & (like_background > OCCLUDED_SHARE * claimed)
    )
    return np.asarray(cv2.dilate(hidden.astype(np.uint8), _disc(2)) > 0)


def _disc(radius: int) -> NDArray[np.uint8]:
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size), dtype=np.uint8)


def _per_frame(
    operation: Callable[..., cv2.typing.MatLike],
    masks: NDArray[np.bool_],
    element: NDArray[np.uint8],
) -> NDArray[np.bool_]:
    return np.stack([operation(mask.astype(np.uint8), element) > 0 for mask in masks])
