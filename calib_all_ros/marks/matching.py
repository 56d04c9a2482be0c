# SPDX-License-Identifier: Apache-2.0
"""Features of an image's patches, and the place most similar to a reference mark among them.

An image is resized by one factor, so that its aspect ratio stays, and what is missing to whole
patches is added on both sides alike; the coordinates account for both exactly.

Cosine similarity of the mark's feature with those of all patches, and its maximum (CalibAll,
section 3.2, equations 1 to 3). Between patches the features are interpolated and brought to length
one before they are compared. On planted matches that is right to a tenth of a patch, where whole
patches are 0.4 off, a centroid of similarities 0.15 and a parabola 0.1; and it tells true matches
from absent and doubled ones better than the similarities of whole patches do.

Three things must hold before a match counts: it is similar enough, no other place is nearly as
similar, and the way back, from the found feature to the most similar one in the reference, ends at
the mark (best buddies; Amir et al., "Deep ViT features as dense visual descriptors", 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.marks.references import MarkError

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_STEPS_PER_PATCH = 32
_REFINED_MAXIMA = 5


@dataclass(frozen=True, eq=False)
class PatchGrid:
    """Where the (h, w) patches of an image are, in pixels of that image.

    Attributes:
        origin_px: (2,) centre (u, v) of the patch in the first row and column.
        step_px: (2,) from one patch to the next, along u and along v.
    """

    origin_px: Array
    step_px: Array

    def pixels(self, cells: ArrayLike) -> Array:
        """Return the pixels (..., 2) of places (..., 2) counted in patches, (column, row)."""
        return self.origin_px + self.step_px * np.asarray(cells, dtype=np.float64)

    def cells(self, pixels: ArrayLike) -> Array:
        """Return the places (..., 2) of pixels (..., 2), counted in patches: (column, row)."""
        return (np.asarray(pixels, dtype=np.float64) - self.origin_px) / self.step_px


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Features of an image's patches.

    Attributes:
        features: (h, w, C) float32, each of length one; `unit_length` makes them so.
        grid: Where the patches are.
    """

    features: NDArray[np.float32]
    grid: PatchGrid

    def __post_init__(self) -> None:
        if self.features.ndim != 3 or 0 in self.features.shape:
            raise MarkError(f"a feature map needs shape (h, w, C), got {self.features.shape}")
        if not np.isfinite(self.features).all():
            raise MarkError(
                "the model's features are not numbers (NaN): its checkpoint is damaged, or the "
                "device computes wrongly; load it again, or try the device cpu"
            )

    def at(self, pixel: ArrayLike) -> Array:
        """Return the feature (C,) at a pixel, of length one: bilinear between patches.

        Beyond the centres of the outermost patches it is the one on the line between these.
        """
        height, width = self.features.shape[:2]
        column, row = self.grid.cells(pixel)
        rows, columns = hat_weights(row, height), hat_weights(column, width)
        mixed = np.einsum("r,c,rcd->d", rows, columns, self.features)
        return np.asarray(unit_length(mixed), dtype=np.float64)


def hat_weights(place: float, count: int) -> Array:
    """Return the weights (count,) of linear interpolation at a place between 0 and count - 1."""
    inside = np.clip(place, 0.0, count - 1.0)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(np.arange(count) - inside)))


def unit_length(features: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Return features (..., C) divided by their length; zeros stay zeros."""
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.where(length > 0.0, length, 1.0))


class FeatureExtractor(Protocol):
    """What a foundation model does here.

    Attributes:
        name: What it is called in logs and results.
    """

    name: str

    def __call__(self, image: Image, /) -> FeatureMap:
        """Return the features of an RGB image, (H, W, 3) uint8."""
        ...


def on_patch_grid(
    image: Image, patch: int, longer_side_px: int
) -> tuple[NDArray[np.float32], PatchGrid]:
    """Bring an image to the size that a vision transformer works on.

    Args:
        image: (H, W, 3) RGB.
        patch: Side of a patch, pixels of the working size.
        longer_side_px: Working size of the image's longer side; the next number of whole patches
            is taken.

    Returns:
        (h * patch, w * patch, 3) float32, normalised with ImageNet's mean and standard deviation;
        where its (h, w) patches are in ``image``.

    Raises:
        MarkError: The image is not an RGB image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise MarkError(
            f"an RGB image, (H, W, 3) uint8, is needed, got {image.shape} {image.dtype}"
        )
    height, width = image.shape[:2]
    longer = max(1, round(longer_side_px / patch)) * patch
    factor = longer / max(height, width)
    size = np.maximum(1, np.rint(factor * np.array([width, height]))).astype(int)
    method = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_CUBIC
    resized = cv2.resize(image, size.tolist(), interpolation=method)
    missing = -size % patch
    before = missing // 2
    (left, top), (right, bottom) = before.tolist(), (missing - before).tolist()
    padded = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_REPLICATE)
    mean, deviation = (np.array(of, dtype=np.float32) for of in (IMAGENET_MEAN, IMAGENET_STD))
    pixels = (padded.astype(np.float32) / np.float32(255.0) - mean) / deviation
    # Rounding to whole pixels makes the factors along u and v differ by less than a thousandth.
    factors = size / np.array([width, height], dtype=np.float64)
    origin = ((patch - 1) / 2 - before + 0.5) / factors - 0.5
    return pixels, PatchGrid(origin, patch / factors)


@dataclass(frozen=True)
class MatchLimits:
    """When a match counts.

    The similarities are those that matches across pictures of like things reach with DINOv2 in the
    literature; they have not been tuned.

    Attributes:
        similarity: Least cosine similarity.
        margin: Least difference to the most similar place elsewhere.
        neighbourhood_patches: Places this near to one another are one place.
        round_trip_patches: Largest distance between the mark and where the way back ends.
    """

    similarity: float = 0.5
    margin: float = 0.05
    neighbourhood_patches: float = 3.0
    round_trip_patches: float = 3.0

    def __post_init__(self) -> None:
        if not -1.0 <= self.similarity <= 1.0 or not 0.0 <= self.margin <= 2.0:
            raise MarkError(
                "the least similarity must be from -1 to 1 and the margin from 0 to 2, got "
                f"{self.similarity} and {self.margin}"
            )
        if not (self.neighbourhood_patches >= 1.0 and self.round_trip_patches >= 0.0):
            raise MarkError(
                "the neighbourhood must be at least 1 patch and the round trip not negative, got "
                f"{self.neighbourhood_patches} and {self.round_trip_patches}"
            )


@dataclass(frozen=True, eq=False)
class Peak:
    """A place and its similarity.

    Attributes:
        pixel: (2,) (u, v).
        similarity: Cosine, from -1 to 1.
    """

    pixel: Array
    similarity: float


@dataclass(frozen=True, eq=False)
class Match:
    """Where a reference mark was found in an image.

    Attributes:
        best: The most similar place.
        second: The most similar place outside the neighbourhood of the best; None where the image
            has no such place.
        heat: (h, w) similarity of each patch; between patches it may be higher.
        grid: Where the patches are in the image.
        round_trip_patches: From the mark to where the way back ends in the reference.
    """

    best: Peak
    second: Peak | None
    heat: Array
    grid: PatchGrid
    round_trip_patches: float

    @property
    def margin(self) -> float:
        """By how much the best place is more similar than the second."""
        return 2.0 if self.second is None else self.best.similarity - self.second.similarity


def match_mark(
    reference: FeatureMap, mark: ArrayLike, target: FeatureMap, limits: MatchLimits
) -> Match:
    """Find in an image what a mark points at in a reference picture.

    Args:
        reference: Features of the reference picture.
        mark: (2,) pixel in the reference picture.
        target: Features of the image, of the same model.
        limits: What counts as another place.
    """
    query = reference.at(mark)
    heat = _similarity(target, query)
    everywhere = np.ones(heat.shape, dtype=np.bool_)
    best = _peak(target, query, heat, everywhere)
    column, row = target.grid.cells(best.pixel)
    rows, columns = np.ogrid[: heat.shape[0], : heat.shape[1]]
    elsewhere = np.hypot(rows - row, columns - column) > limits.neighbourhood_patches
    second = _peak(target, query, heat, elsewhere) if elsewhere.any() else None
    found = target.at(best.pixel)
    heat_back = _similarity(reference, found)
    back = _peak(reference, found, heat_back, np.ones(heat_back.shape, dtype=np.bool_))
    way = reference.grid.cells(back.pixel) - reference.grid.cells(mark)
    return Match(best, second, heat, target.grid, float(np.hypot(*way)))


def doubts(match: Match, limits: MatchLimits) -> tuple[str, ...]:
    """Return why a match does not count, nothing where it does."""
    found = []
    best, second = match.best, match.second
    if best.similarity < limits.similarity:
        found.append(
            f"the most similar place has a similarity of {best.similarity:.2f}, below "
            f"{limits.similarity:.2f}"
        )
    if second is not None and match.margin < limits.margin:
        found.append(
            f"{_at(second.pixel)} is nearly as similar as {_at(best.pixel)} "
            f"({second.similarity:.2f} and {best.similarity:.2f})"
        )
    if match.round_trip_patches > limits.round_trip_patches:
        found.append(
            f"the way back from {_at(best.pixel)} ends {match.round_trip_patches:.0f} patches from "
            "the mark"
        )
    return tuple(found)


def largest_agreement(places: ArrayLike, reach: float) -> NDArray[np.bool_] | None:
    """Return which of several places agree with one of them, if these are more than half.

    Args:
        places: (K, 2).
        reach: Largest distance at which two places agree.

    Returns:
        (K,), None where no more than half of the places agree with one.
    """
    points = np.asarray(places, dtype=np.float64).reshape(-1, 2)
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= reach
    if len(near) == 0 or 2 * near.sum(axis=1).max() <= len(near):
        return None
    return np.asarray(near[near.sum(axis=1).argmax()])


def _at(pixel: Array) -> str:
    return f"({pixel[0]:.0f}, {pixel[1]:.0f})"


def _similarity(features: FeatureMap, query: Array) -> Array:
    if features.features.shape[2] != len(query):
        raise MarkError(
            f"features of {features.features.shape[2]} and {len(query)} numbers cannot be "
            "compared: they come from different models"
        )
    return np.asarray(features.features.astype(np.float64) @ query)


def _peak(features: FeatureMap, query: Array, heat: Array, allowed: NDArray[np.bool_]) -> Peak:
    """Return the most similar place near the allowed patches, of which there must be one."""
    around = cv2.dilate(heat, np.ones((3, 3), dtype=np.uint8))
    order = np.flatnonzero(allowed)[np.argsort(-heat[allowed], kind="stable")]
    row, column = np.unravel_index(order[0], heat.shape)
    best = Peak(features.grid.pixels((column, row)), float(heat[row, column]))
    maxima = order[heat.ravel()[order] >= around.ravel()[order]][:_REFINED_MAXIMA]
    for row, column in zip(*np.unravel_index(maxima, heat.shape), strict=True):
        refined = _refined(features, query, int(row), int(column))
        if refined.similarity > best.similarity:
            best = refined
    return best


def _refined(features: FeatureMap, query: Array, row: int, column: int) -> Peak:
    """Return the most similar place between a patch and its neighbours."""
    height, width = features.features.shape[:2]
    rows = slice(max(row - 1, 0), min(row + 2, height))
    columns = slice(max(column - 1, 0), min(column + 2, width))
    block = features.features[rows, columns].astype(np.float64)
    y, at_rows = _between(block.shape[0])
    x, at_columns = _between(block.shape[1])
    weights = np.einsum("yr,xc->yxrc", at_rows, at_columns).reshape(len(y) * len(x), -1)
    flat = block.reshape(-1, block.shape[2])
    length = np.sqrt(np.maximum(((weights @ (flat @ flat.T)) * weights).sum(axis=1), 1e-12))
    cosine = weights @ (flat @ query) / length
    first, second = divmod(int(cosine.argmax()), len(x))
    place = (columns.start + x[second], rows.start + y[first])
    return Peak(features.grid.pixels(place), float(cosine.max()))


def _between(count: int) -> tuple[Array, Array]:
    """Return places from 0 to count - 1, and the weights (places, count) of interpolation there."""
    places = np.linspace(0.0, count - 1.0, (count - 1) * _STEPS_PER_PATCH + 1)
    return places, np.stack([hat_weights(place, count) for place in places])
