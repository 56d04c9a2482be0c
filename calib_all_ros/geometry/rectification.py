# SPDX-License-Identifier: Apache-2.0
"""Resampling of images: to those of a pinhole camera at the same place, and to a smaller size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry.camera import Camera, CameraError

_LARGEST_HALF_ANGLE = np.radians(60.0)
_LARGEST_GROWTH = 1.5
_SHRINK_STEPS = 30
_Number = np.integer[Any] | np.floating[Any]


class Rectification:
    """Maps images, masks and pixels of a camera to its pinhole counterpart.

    The pinhole camera has the raw camera's resolution at the centre (less where the image would
    become larger than 1.5 times the raw one), covers a rectangle in which every pixel has a value,
    and reaches at most 60 degrees off the axis horizontally and vertically. For a camera without
    distortion everything is passed through.

    Attributes:
        raw: The camera of the images that go in.
        camera: The pinhole camera of the images that come out.
    """

    def __init__(self, camera: Camera) -> None:
        self.raw = camera
        if camera.is_pinhole:
            self.camera = camera
            return
        self.camera = _inscribed_pinhole(camera)
        raw_pixels = camera.project(self.camera.rays(_grid(self.camera)))
        self._map_x, self._map_y = np.moveaxis(raw_pixels.astype(np.float32), -1, 0).copy()

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an (H, W) or (H, W, 3) image of the raw camera as the pinhole camera sees it."""
        self._check_size(image)
        if self.raw.is_pinhole:
            return image
        rectified = cv2.remap(
            image, self._map_x, self._map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(rectified, dtype=np.uint8)

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return an (H, W) mask of the raw camera as the pinhole camera sees it."""
        if self.raw.is_pinhole:
            self._check_size(mask)
            return mask
        # Thresholding interpolated values places the outline more finely than nearest neighbours.
        return np.asarray(self.image(np.where(mask, 255, 0).astype(np.uint8)) >= 128)

    def pixels(self, raw_pixels: ArrayLike) -> NDArray[np.float64]:
        """Return where (..., 2) raw pixels lie in the pinhole image; NaN where they have no ray."""
        if self.raw.is_pinhole:
            return np.asarray(raw_pixels, dtype=np.float64)
        return self.camera.project(self.raw.rays(raw_pixels))

    def _check_size(self, image: NDArray[np.generic]) -> None:
        if image.shape[:2] != (self.raw.height, self.raw.width):
            raise CameraError(
                f"an image of {image.shape[1]}x{image.shape[0]} pixels does not belong to camera "
                f"'{self.raw.frame_id}' of {self.raw.width}x{self.raw.height}: give the "
                "camera_info of this image topic"
            )


def _grid(camera: Camera) -> NDArray[np.float64]:
    """Return the (H, W, 2) coordinates of all pixel centres."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack([u, v], axis=-1).astype(np.float64)


def _border(left: float, top: float, right: float, bottom: float) -> list[NDArray[np.float64]]:
    """Return points on the left, top, right and bottom side of a rectangle, (100, 2) each."""
    x, y = np.linspace(left, right, 100), np.linspace(top, bottom, 100)
    return [
        np.stack([np.full_like(y, left), y], axis=-1),
        np.stack([x, np.full_like(x, top)], axis=-1),
        np.stack([np.full_like(y, right), y], axis=-1),
        np.stack([x, np.full_like(x, bottom)], axis=-1),
    ]


def _inscribed_pinhole(raw: Camera) -> Camera:
    """Return the pinhole camera inside the raw image, see `Rectification`."""
    right, bottom = raw.width - 1.0, raw.height - 1.0
    sides = [raw.rays(side) for side in _border(0.0, 0.0, right, bottom)]
    reach = np.tan(_LARGEST_HALF_ANGLE)
    x0 = np.nanmax(sides[0][:, 0], initial=-reach)
    y0 = np.nanmax(sides[1][:, 1], initial=-reach)
    x1 = np.nanmin(sides[2][:, 0], initial=reach)
    y1 = np.nanmin(sides[3][:, 1], initial=reach)
    if not (x0 < 0 < x1 and y0 < 0 < y1):
        raise CameraError(
            f"the optical axis of camera '{raw.frame_id}' is outside its image: "
            "check K and the distortion"
        )

    def fits(scale: float) -> bool:
        border = np.concatenate(_border(scale * x0, scale * y0, scale * x1, scale * y1))
        pixels = raw.project(np.concatenate([border, np.ones((len(border), 1))], axis=1))
        inside = (pixels >= -1e-6) & (pixels <= np.array([right, bottom]) + 1e-6)
        return bool(inside.all())

    # The corners of the rectangle may still lie outside, e.g. of the image circle of a fisheye.
    scale, too_large = (1.0, 1.0) if fits(1.0) else (0.0, 1.0)
    for _ in range(_SHRINK_STEPS if scale == 0.0 else 0):
        middle = 0.5 * (scale + too_large)
        scale, too_large = (middle, too_large) if fits(middle) else (scale, middle)
    x0, y0, x1, y1 = scale * x0, scale * y0, scale * x1, scale * y1

    fx, fy = raw.K[0, 0], raw.K[1, 1]
    growth = (x1 - x0) * fx * (y1 - y0) * fy / (raw.width * raw.height)
    zoom = min(1.0, float(np.sqrt(_LARGEST_GROWTH / growth)))
    fx, fy = zoom * fx, zoom * fy
    K = np.array([[fx, 0.0, -x0 * fx], [0.0, fy, -y0 * fy], [0.0, 0.0, 1.0]])
    width, height = int((x1 - x0) * fx) + 1, int((y1 - y0) * fy) + 1
    return Camera(K, width, height, np.zeros(0), "pinhole", raw.frame_id)


def shrink(image: NDArray[_Number], scale: float) -> NDArray[_Number]:
    """Return an (H, W) or (H, W, C) image at ``scale`` times its size, averaged over areas.

    The camera's size is rounded to whole pixels, its intrinsics are not; so what the rounding
    leaves out is cut off, or repeated, at the right and lower border before the image is resized.
    Squeezing the whole image into the rounded size would shift what it shows by up to half a
    pixel.

    Args:
        image: uint8 or float32.
        scale: At most 1.
    """
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale == 1.0:
        return image
    right, below = round(size[0] / scale) - width, round(size[1] / scale) - height
    fitting: NDArray[_Number] = image[: height + min(below, 0), : width + min(right, 0)]
    if right > 0 or below > 0:
        fitting = cv2.copyMakeBorder(
            fitting, 0, max(below, 0), 0, max(right, 0), cv2.BORDER_REPLICATE
        )
    return np.asarray(cv2.resize(fitting, size, interpolation=cv2.INTER_AREA))


def shrink_mask(mask: NDArray[np.bool_], scale: float) -> NDArray[np.bool_]:
    """Return an (H, W) mask at ``scale`` times its size: the pixels at least half covered.

    Every other pixel that is exactly half covered is left out. At half the size these are many,
    and the mask would be a quarter of a pixel too fat with all of them, too thin without.
    """
    if scale == 1.0:
        return mask
    share = shrink(mask.astype(np.float32), scale)
    row, column = np.ogrid[: share.shape[0], : share.shape[1]]
    return np.asarray(share > np.where((row + column) % 2 == 0, 0.499, 0.501))
