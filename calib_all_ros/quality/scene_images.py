# SPDX-License-Identifier: Apache-2.0
"""The images of a calibration as the examination of the scene sees them: small, robot marked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.rectification import shrink
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.observations import Observations

NS_PER_S = 1e9
WIDTH_PX = 200
# Motion is measured to fractions of a pixel, which takes more of them.
MOTION_WIDTH_PX = 480
# Nearer to the robot than this share of the image's width, a change may be the robot's, at a pose
# or with a model that is somewhat wrong.
MARGIN_SHARE = 0.03
DETAIL_M = 0.005


@dataclass(frozen=True, eq=False)
class SceneImages:
    """What the parts of the examination share.

    Attributes:
        numbers: (N,) of the images in the recording.
        seconds: (N,) since the recording's first image.
        small: (N, h, w, 3) RGB images, at most `WIDTH_PX` wide.
        grey: (N, h', w') the same for motion, at most `MOTION_WIDTH_PX` wide.
        robot: (N, h, w) the robot at the estimate.
        covered: (N, h, w) the same with a margin.
        scale: Width of ``small`` over that of the images of the solve.
        grey_scale: Width of ``grey`` over that of the images of the solve.
        focal_px: Focal length of the images of the solve.
    """

    numbers: NDArray[np.intp]
    seconds: NDArray[np.float64]
    small: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    robot: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    scale: float
    grey_scale: float
    focal_px: float

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def covered_grey(self) -> NDArray[np.bool_]:
        """(N, h', w') ``covered`` at the size of ``grey``."""
        size = self.grey.shape[2], self.grey.shape[1]
        resized = [
            cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
            for mask in self.covered
        ]
        return np.stack(resized) > 0


def scene_images(observations: Observations, estimate: Estimate) -> SceneImages:
    """Reduce the images and draw the robot.

    Args:
        observations: The images; those beside the fitted ones are looked at as well.
        estimate: The final one, whose ``frame_lags_s`` belong to the fitted images.
    """
    images, camera = observations.images, observations.camera
    scale = min(1.0, WIDTH_PX / camera.width)
    grey_scale = min(1.0, MOTION_WIDTH_PX / camera.width)
    small = np.stack([shrink(image, scale) for image in images]).astype(np.uint8)
    grey = np.stack(
        [shrink(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), grey_scale) for image in images]
    ).astype(np.uint8)
    everywhere = _for_all_images(estimate, observations)
    robot = silhouettes(
        observations.surface.simplified(DETAIL_M),
        estimate.T_camera_base @ everywhere.link_poses(observations.motion),
        estimate.camera(camera).scaled(scale),
    )
    reach = 2 * max(1, round(MARGIN_SHARE * small.shape[2])) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    covered = np.stack([cv2.dilate(mask.astype(np.uint8), disc) for mask in robot]) > 0
    return SceneImages(
        numbers=observations.frames,
        seconds=observations.seconds,
        small=small,
        grey=grey,
        robot=robot,
        covered=covered,
        scale=scale,
        grey_scale=grey_scale,
        focal_px=float(camera.K[0, 0]),
    )


def _for_all_images(estimate: Estimate, observations: Observations) -> Estimate:
    """Return the estimate with a lag for every image, not only for the fitted ones."""
    own = estimate.frame_lags_s
    if own is None or len(own) == len(observations.frames):
        return estimate
    lags = np.zeros(len(observations.frames))
    lags[observations.solve] = own
    return replace(estimate, frame_lags_s=lags)


def median_where(
    values: NDArray[np.float32], hidden: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the medians over the first axis of what is not hidden.

    Args:
        values: (N, ..., C).
        hidden: (N, ...).

    Returns:
        (..., C) medians, the lower one of an even number, infinite where all are hidden; and (...)
        how many values they are of.
    """
    ordered = np.sort(np.where(hidden[..., None], np.float32(np.inf), values), axis=0)
    seen = np.count_nonzero(~hidden, axis=0)
    middle = (np.maximum(seen - 1, 0) // 2)[None, ..., None]
    return np.asarray(np.take_along_axis(ordered, middle, axis=0)[0]), np.asarray(seen)
