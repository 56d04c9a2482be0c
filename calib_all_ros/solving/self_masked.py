# SPDX-License-Identifier: Apache-2.0
"""Refinement of a camera pose from images and joint angles alone.

Alternates between segmenting the robot with the help of the current estimate and fitting the
estimate to that segmentation, while the band around the rendered silhouette in which the images
have a say gets narrower.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.rectification import shrink
from calib_all_ros.masks.from_recording import SegmentedFrames, segment
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import (
    Level,
    SilhouetteFit,
    SilhouetteProblem,
    fit_silhouettes,
)
from calib_all_ros.solving.small_pictures import exposure_gains

_ROUGH = (Level(1 / 2, 12, 12.0, 4.0, detail_m=0.01), Level(1.0, 8, 6.0, 3.0, detail_m=0.005))
_CLOSE = (Level(1 / 2, 5, 5.0, 3.0, detail_m=0.005), Level(1.0, 5, 4.0, 2.5, detail_m=0.003))
_FINE = (Level(1.0, 5, 3.0, 2.0, detail_m=0.002, stop_px=0.02),)


@dataclass(frozen=True)
class Round:
    """One alternation.

    Attributes:
        scale: Size of the images over full size.
        band_px: How far the estimate may still be off, in full-size pixels.
        levels: Image sizes of the fit, relative to this round's.
        detail_m: Details of the robot's mesh smaller than this are left out in the guess.
    """

    scale: float
    band_px: float
    levels: tuple[Level, ...]
    detail_m: float = 0.003


ROUGH_ROUNDS = (
    Round(1 / 4, 80.0, _ROUGH, 0.01),
    Round(1 / 4, 50.0, _ROUGH, 0.01),
    Round(1 / 4, 32.0, _ROUGH, 0.01),
)
"""For a start that is decimetres off."""

FINE_ROUNDS = (
    Round(1 / 2, 20.0, _CLOSE),
    Round(1 / 2, 14.0, _CLOSE),
    Round(1 / 2, 10.0, _CLOSE),
    Round(1.0, 8.0, _FINE, 0.002),
    Round(1.0, 6.0, _FINE, 0.002),
)
"""From a few centimetres to millimetres."""


@dataclass(frozen=True)
class SelfMaskedFit:
    """The outcome.

    Attributes:
        fit: The last fit, to the last masks.
        segmented: The last masks, of the frames used.
        trace: The estimate after each round, and its cost.
    """

    fit: SilhouetteFit
    segmented: SegmentedFrames
    trace: tuple[tuple[Estimate, float], ...]


class ImageStack:
    """Images of one exposure at several sizes, each made once."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        """Take (N, H, W, 3) images."""
        self._images = images
        height, width = images.shape[1:3]
        eighth = (max(1, width // 8), max(1, height // 8))
        small = np.stack([cv2.resize(i, eighth, interpolation=cv2.INTER_AREA) for i in images])
        self._gains = exposure_gains(small.astype(np.float32))
        self._sizes: dict[float, NDArray[np.float32]] = {}

    def at(self, scale: float) -> NDArray[np.float32]:
        """Return the (N, h, w, 3) images at ``scale`` times their size."""
        if scale not in self._sizes:
            self._sizes[scale] = np.stack(
                [
                    shrink(image, scale).astype(np.float32) * gain
                    for image, gain in zip(self._images, self._gains, strict=True)
                ]
            )
        return self._sizes[scale]


def refine_from_images(
    images: ImageStack,
    surface: RobotSurface,
    motion: RobotMotion,
    camera: Camera,
    start: Estimate,
    use: NDArray[np.intp],
    rounds: tuple[Round, ...],
    parameters: Parameters = Parameters(),  # noqa: B008
) -> SelfMaskedFit:
    """Alternate segmentation and fit.

    Args:
        images: N images; all of them serve the background.
        surface: The robot.
        motion: Its configuration at the N images.
        camera: Their pinhole camera.
        start: Where to start.
        use: (M,) indices of the frames to fit.
        rounds: What to do.
        parameters: Which nuisances to estimate.
    """
    estimate, trace = start, []
    for turn in rounds:
        small = camera.scaled(turn.scale)
        T_camera_link = estimate.T_camera_base @ estimate.link_poses(motion)
        rendered = silhouettes(
            surface.simplified(turn.detail_m), T_camera_link, estimate.camera(small)
        )
        band = max(2, round(turn.band_px * turn.scale))
        segmented = segment(images.at(turn.scale), rendered, use, band)
        problem = SilhouetteProblem(
            surface, motion.subset(use), small, segmented.masks, segmented.ignore
        )
        # Every segmentation errs in its own way; the bias belongs to it, not to the camera.
        fresh = replace(estimate, mask_bias_px=0.0)
        fit = fit_silhouettes(problem, fresh, parameters, turn.levels)
        estimate = fit.estimate
        trace.append((estimate, fit.cost))
    return SelfMaskedFit(fit, segmented, tuple(trace))
