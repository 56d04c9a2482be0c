# SPDX-License-Identifier: Apache-2.0
"""Images of the scene without the robot, and the course of their light.

The ratio of every image to the median image, over the background, is split into a gain common to
all pixels, which the solve takes away by itself, and a smooth field over the image (a lamp
switched, a cloud, a door opened), which it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

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
MIN_IMAGES = 4
# Blocks across the image; a block counts when this share of it is background.
BLOCKS = 16
MIN_BLOCK_SHARE = 0.4
MIN_BLOCKS = 20
# Darker values say little, brighter ones may be cut off; grey levels of 255.
DARKEST, BRIGHTEST, CUT_OFF = 12.0, 245.0, 250.0
# Robust fit of the field: kernel in log brightness, and how often it is repeated.
KERNEL = 0.03
REPETITIONS = 8


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
        estimate: The final one.
    """
    images, camera = observations.images, observations.camera
    scale = min(1.0, WIDTH_PX / camera.width)
    grey_scale = min(1.0, MOTION_WIDTH_PX / camera.width)
    small = np.stack([shrink(image, scale) for image in images]).astype(np.uint8)
    grey = np.stack(
        [shrink(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), grey_scale) for image in images]
    ).astype(np.uint8)
    robot = silhouettes(
        observations.surface.simplified(DETAIL_M),
        estimate.T_camera_base @ estimate.link_poses(observations.motion),
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


@dataclass(frozen=True, eq=False)
class LightCourse:
    """How the light went.

    Attributes:
        known: (N,) images that show enough background.
        log_gain: (N, 3) natural logarithm of every image's brightness over the median image's, by
            channel, in grey levels.
        local: (N,) root mean square over the image of what a smooth field adds to the gain,
            natural logarithm.
        cut_off: (N,) share of the background that is too dark or too bright to be compared but is
            not so in the median image.
        field: (N, h, w) the smooth field, without the gain.
        reference: (h, w, 3) the median image.
    """

    known: NDArray[np.bool_]
    log_gain: NDArray[np.float64]
    local: NDArray[np.float64]
    cut_off: NDArray[np.float64]
    field: NDArray[np.float32]
    reference: NDArray[np.float32]

    def corrected(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (N, h, w, 3) images as they would be in the light of the median image."""
        factor = np.exp(-self.log_gain[:, None, None, :] - self.field[..., None])
        return np.asarray(images * factor, dtype=np.float32)


def light_course(images: NDArray[np.uint8], covered: NDArray[np.bool_]) -> LightCourse | None:
    """Measure how the light changed; None where too little background is seen.

    Args:
        images: (N, h, w, 3) with the camera's motion taken out.
        covered: (N, h, w) where the robot may be, or nothing is seen.
    """
    count, height, width = covered.shape
    if count < MIN_IMAGES:
        return None
    pictures = images.astype(np.float32)
    reference = np.median(pictures, axis=0)
    comparable = np.all((reference > DARKEST) & (reference < BRIGHTEST), axis=2)
    usable = comparable & ~covered
    fit = np.all((pictures > DARKEST / 2) & (pictures < CUT_OFF), axis=3)
    log_ratio = np.log(np.maximum(pictures, 1.0)) - np.log(np.maximum(reference, 1.0))
    log_gain = np.zeros((count, 3))
    known, local, cut_off = np.zeros(count, dtype=bool), np.zeros(count), np.zeros(count)
    field = np.zeros(covered.shape, np.float32)
    for i in range(count):
        seen = usable[i] & fit[i]
        medians, places = _block_medians(log_ratio[i], seen)
        if len(medians) < MIN_BLOCKS:
            continue
        known[i] = True
        log_gain[i] = np.median(log_ratio[i][seen], axis=0)
        field[i] = _smooth_field((medians - log_gain[i]).mean(axis=1), places, (height, width))
        local[i] = np.sqrt(np.mean(np.square(field[i])))
        cut_off[i] = 1.0 - float(np.mean(fit[i][usable[i]]))
    if np.count_nonzero(known) < max(MIN_IMAGES, count / 2):
        return None
    return LightCourse(known, log_gain, local, cut_off, field, reference)


def _block_medians(
    log_ratio: NDArray[np.float32], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return (B, 3) medians over blocks that show enough background, and their (B, 2) centres."""
    height, width = seen.shape
    size = max(1, width // BLOCKS)
    rows, columns = height // size, width // size

    def blocks(picture: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return (size * size, rows, columns, ...)."""
        part = picture[: rows * size, : columns * size]
        split = part.reshape(rows, size, columns, size, *picture.shape[2:])
        return np.moveaxis(split, (1, 3), (0, 1)).reshape(size * size, rows, columns, -1)

    values = np.asarray(blocks(log_ratio), dtype=np.float32)
    medians, counts = median_where(values, ~np.asarray(blocks(seen)[..., 0], dtype=bool))
    row, column = np.nonzero(counts >= MIN_BLOCK_SHARE * size * size)
    centres = np.stack([column + 0.5, row + 0.5], axis=1) * size
    return medians[row, column], centres


def _smooth_field(
    values: NDArray[np.floating], places: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the (h, w) quadratic fitted robustly to values at places."""
    height, width = shape

    def terms(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.floating]:
        x, y = 2.0 * u / width - 1.0, 2.0 * v / width - height / width
        return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)

    design = terms(places[:, 0], places[:, 1])
    weight = np.ones(len(values))
    for _ in range(REPETITIONS):
        root = np.sqrt(weight)
        coefficients = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        weight = 1.0 / (1.0 + np.square((values - design @ coefficients) / KERNEL))
    coarse = terms(*np.meshgrid(np.arange(2.0, width, 4.0), np.arange(2.0, height, 4.0)))
    # Where no background is seen, the polynomial may go anywhere.
    limited = np.clip(coarse @ coefficients, values.min(), values.max()).astype(np.float32)
    return np.asarray(cv2.resize(limited, (width, height), interpolation=cv2.INTER_LINEAR))
