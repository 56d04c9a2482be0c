# SPDX-License-Identifier: Apache-2.0
"""Background as second witness of a camera's pose: a bumped camera shifts it as a whole.

Corners outside of the robot are found again in every image (pyramidal Lucas-Kanade, checked by
correlation with their first appearance). Somebody in front of the camera covers some of them; a
change of light changes none of them; a moved camera displaces all of them alike. A corner is a
witness only after it has stayed where it was in a few images: the edge of a shadow does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
Grey = NDArray[np.uint8]

GRID = (4, 6)
CORNERS_PER_CELL = 6
CORNER_QUALITY = 0.02
CORNER_DISTANCE_PX = 6
# Local mean and contrast are taken over so much, relative to the image's width.
LOCAL_SHARE = 0.04
# Contrast below which a surface counts as plain, in log brightness.
PLAIN = 0.03
NOISE_BLUR_PX = 1.0
PATCH_PX = 11
TRACK_WINDOW_PX = 15
PYRAMID_LEVELS = 3
SAME_APPEARANCE = 0.75
MIN_CORNERS = 12
# Corners follow the common motion when they are this close to it: working pixels, and a share of
# the displacement for the parallax of a camera that did not only turn.
COHERENT_PX = 1.0
COHERENT_SHARE = 0.15
MIN_COHERENT = 0.6
MIN_CELLS = 4
# A corner has stayed when it is found this close to where it was, working pixels, and is trusted
# when it has so many times more than not.
STAYED_PX = 1.0
TRUSTED = 3
MOST_TRUST = 10
# Fewer recognised corners than this share of what is usual call for a search over the whole image.
LOST_SHARE = 0.3

_LOGARITHM = np.log(np.arange(256, dtype=np.float32) + 10.0)
_STILL: Affine = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class BackgroundFinding:
    """What one image says.

    Attributes:
        visible: Trusted corners that the robot does not cover.
        recognised: How many of them look as they did at first, wherever they are.
        coherent: Share of the recognised ones that moved in common.
        shift_px: Their root mean square displacement; None when too few were recognised, or they
            do not move in common.
        motion: (2, 3) affine motion of the background since the start, where ``shift_px`` is
            given.
    """

    visible: int
    recognised: int
    coherent: float
    shift_px: float | None
    motion: Affine | None

    @property
    def recognised_share(self) -> float:
        """Share of the visible corners that were recognised; 1 where there are none."""
        return self.recognised / self.visible if self.visible else 1.0


class BackgroundWitness:
    """Watches the background since a reference image.

    The reference can be renewed when the scene has changed; what has moved until then is kept.
    """

    def __init__(self) -> None:
        self._reference: Grey | None = None
        self._corners = np.zeros((0, 2), np.float32)
        self._patches = np.zeros((0, PATCH_PX, PATCH_PX), np.float32)
        self._trust = np.zeros(0, np.int64)
        self._before: Affine = _STILL
        self._last: Affine = _STILL

    @property
    def has_reference(self) -> bool:
        """Whether there is a reference image."""
        return self._reference is not None

    @property
    def last_motion(self) -> Affine:
        """(2, 3) affine motion of the background between the start and the last image."""
        return _chained(self._last, self._before)

    def renew(self, image: Grey, covered: NDArray[np.bool_], motion: Affine | None = None) -> None:
        """Take a new reference image.

        Args:
            image: (H, W) of `flattened`.
            covered: (H, W) where the robot is, with a margin.
            motion: How the background has moved until this image, nothing if None.
        """
        self._before = _STILL if motion is None else motion
        self._last = _STILL
        self._reference = image
        self._corners = spread_corners(image, ~covered)
        self._patches = _patches(image, self._corners)
        self._trust = np.zeros(len(self._corners), np.int64)

    def look(self, image: Grey, covered: NDArray[np.bool_]) -> BackgroundFinding:
        """Compare an image with the reference, which there must be.

        Args:
            image: (H, W) of `flattened`.
            covered: (H, W) where the robot is, with a margin.
        """
        finding = self._judge(*self._find(image, covered, self._last), image.shape)
        if finding.recognised_share < LOST_SHARE and finding.visible >= MIN_CORNERS:
            guess = self._whole_shift(image, covered)
            again = self._judge(*self._find(image, covered, guess), image.shape)
            if again.recognised > finding.recognised:
                return again
        return finding

    def _find(
        self, image: Grey, covered: NDArray[np.bool_], guess: Affine
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
        """Look for the corners.

        Returns:
            (N,) indices of those that should be seen, (N, 2) where they are, and (N,) whether they
            look there as they did at first.
        """
        assert self._reference is not None
        guessed = (self._corners @ guess[:, :2].T + guess[:, 2]).astype(np.float32)
        height, width = image.shape
        column = np.clip(np.rint(guessed[:, 0]).astype(int), 0, width - 1)
        row = np.clip(np.rint(guessed[:, 1]).astype(int), 0, height - 1)
        margin = PATCH_PX // 2 + 1
        inside = (guessed >= margin).all(axis=1) & (guessed[:, 0] < width - margin)
        inside &= guessed[:, 1] < height - margin
        seen = np.flatnonzero(inside & ~covered[row, column])
        if not len(seen):
            return seen, np.zeros((0, 2), np.float32), np.zeros(0, dtype=bool)
        tracked, status, _ = cv2.calcOpticalFlowPyrLK(
            self._reference, image, self._corners[seen][:, None], guessed[seen][:, None].copy(),
            winSize=(TRACK_WINDOW_PX, TRACK_WINDOW_PX), maxLevel=PYRAMID_LEVELS,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        found = np.asarray(tracked[:, 0], dtype=np.float32)
        alike = _correlation(self._patches[seen], _patches(image, found))
        return seen, found, np.asarray((status[:, 0] > 0) & (alike > SAME_APPEARANCE))

    def _judge(
        self,
        seen: NDArray[np.intp],
        found: NDArray[np.float32],
        alike: NDArray[np.bool_],
        shape: tuple[int, ...],
    ) -> BackgroundFinding:
        trusted = self._trust[seen] >= TRUSTED
        visible, same = int(np.count_nonzero(trusted)), trusted & alike
        moved_px = np.linalg.norm(found - self._corners[seen], axis=1)
        if not same.any() or np.median(moved_px[same]) < STAYED_PX:
            # Otherwise it may be the camera that has moved, not the corners.
            stayed = np.where(moved_px < STAYED_PX, 1, -1)
            change = np.where(alike, stayed, np.where(trusted, 0, -1))
            self._trust[seen] = np.clip(self._trust[seen] + change, 0, MOST_TRUST)
        recognised = int(np.count_nonzero(same))
        if recognised < MIN_CORNERS:
            return BackgroundFinding(visible, recognised, 0.0, None, None)
        return self._common(self._corners[seen[same]], found[same], visible, shape)

    def _common(
        self,
        start: NDArray[np.float32],
        found: NDArray[np.float32],
        visible: int,
        shape: tuple[int, ...],
    ) -> BackgroundFinding:
        """Return the common motion of recognised corners, if there is one."""
        motion, coherent = common_motion(start, found)
        share = float(np.mean(coherent))
        cells = len(np.unique(_cell(start[coherent], shape)))
        if motion is None or share < MIN_COHERENT or cells < MIN_CELLS:
            return BackgroundFinding(visible, len(start), share, None, None)
        self._last = motion
        total = _chained(motion, self._before)
        corners = start[coherent]
        shift = corners @ total[:, :2].T + total[:, 2] - corners
        size = float(np.sqrt((shift**2).sum(axis=1).mean()))
        return BackgroundFinding(visible, len(start), share, size, total)

    def _whole_shift(self, image: Grey, covered: NDArray[np.bool_]) -> Affine:
        """Return the shift of the whole image by phase correlation."""
        assert self._reference is not None
        window = cv2.createHanningWindow(image.shape[::-1], cv2.CV_32F)
        weight = window * ~covered
        first, second = (
            (picture.astype(np.float32) - 128.0) * weight for picture in (self._reference, image)
        )
        (du, dv), _ = cv2.phaseCorrelate(first, second)
        return np.array([[1.0, 0.0, du], [0.0, 1.0, dv]])


def flattened(image: NDArray[np.uint8]) -> Grey:
    """Return an (H, W, 3) image as grey values free of exposure, shading and contrast.

    The logarithm of the brightness, less its local mean, over its local standard deviation.
    """
    return flattened_grey(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8))


def flattened_grey(image: Grey) -> Grey:
    """Return an (H, W) image of grey values flattened as by `flattened`."""
    grey = cv2.LUT(image, _LOGARITHM)
    grey = cv2.GaussianBlur(grey, (0, 0), NOISE_BLUR_PX)
    size = 2 * round(0.5 * LOCAL_SHARE * image.shape[1]) + 1
    mean = cv2.blur(grey, (size, size))
    variance = np.maximum(cv2.sqrBoxFilter(grey, cv2.CV_32F, (size, size)) - mean * mean, 0.0)
    local = (grey - mean) / (np.sqrt(variance) + PLAIN)
    return np.asarray(np.clip(128.0 + 48.0 * local, 0, 255), dtype=np.uint8)


def spread_corners(image: Grey, free: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (N, 2) corners, spread evenly over the image."""
    height, width = image.shape
    margin = PATCH_PX // 2 + 2
    strength = cv2.cornerMinEigenVal(image, 3)
    floor = CORNER_QUALITY * float(np.quantile(strength, 0.999))
    usable = free.copy()
    usable[:margin] = usable[-margin:] = False
    usable[:, :margin] = usable[:, -margin:] = False
    chosen = []
    for rows in np.array_split(np.arange(height), GRID[0]):
        for columns in np.array_split(np.arange(width), GRID[1]):
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            peak = float(strength[part].max())
            if peak <= floor:
                continue
            found = cv2.goodFeaturesToTrack(
                image[part], CORNERS_PER_CELL, max(floor / peak, 0.1), CORNER_DISTANCE_PX,
                mask=usable[part].astype(np.uint8),
            )  # fmt: skip
            if found is not None:
                chosen.append(found[:, 0] + np.array([columns[0], rows[0]], np.float32))
    return np.concatenate(chosen) if chosen else np.zeros((0, 2), np.float32)


def _patches(image: Grey, centres: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the (N, P, P) surroundings of points, to fractions of a pixel."""
    offset = np.arange(PATCH_PX, dtype=np.float32) - PATCH_PX // 2
    u = (centres[:, 0, None, None] + offset[None, None, :]).astype(np.float32)
    v = (centres[:, 1, None, None] + offset[None, :, None]).astype(np.float32)
    u, v = np.broadcast_arrays(u, v)
    flat = cv2.remap(
        image,
        np.ascontiguousarray(u.reshape(-1, PATCH_PX)),
        np.ascontiguousarray(v.reshape(-1, PATCH_PX)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(flat.reshape(-1, PATCH_PX, PATCH_PX), dtype=np.float32)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (N,) normalised correlations of (N, P, P) patches."""
    a = first - first.mean(axis=(1, 2), keepdims=True)
    b = second - second.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
    return np.asarray((a * b).sum(axis=(1, 2)) / np.maximum(norm, 1e-6))


def common_motion(
    start: NDArray[np.float32], found: NDArray[np.float32]
) -> tuple[Affine | None, NDArray[np.bool_]]:
    """Return the affine motion that most corners share, and which do."""
    shift = np.linalg.norm(found - start, axis=1)
    tolerance = COHERENT_PX + COHERENT_SHARE * float(np.median(shift))
    estimated, inliers = cv2.estimateAffine2D(
        start, found, method=cv2.RANSAC, ransacReprojThreshold=tolerance, maxIters=500
    )
    # It is None where the corners do not determine a motion.
    motion = np.asarray(estimated, dtype=np.float64)
    if motion.shape != (2, 3):
        return None, np.zeros(len(start), dtype=bool)
    return motion, np.asarray(inliers[:, 0] > 0)


def _cell(points: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.intp]:
    row = np.clip(points[:, 1] * GRID[0] / shape[0], 0, GRID[0] - 1).astype(np.intp)
    column = np.clip(points[:, 0] * GRID[1] / shape[1], 0, GRID[1] - 1).astype(np.intp)
    return row * GRID[1] + column


def _chained(second: Affine, first: Affine) -> Affine:
    """Return the affine motion of ``first`` followed by ``second``."""
    return np.column_stack(
        [second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
    )
