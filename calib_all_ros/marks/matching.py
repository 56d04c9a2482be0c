# SPDX-License-Identifier: Apache-2.0
"""Where in an image the features look most like those at a reference mark, and how sure that is.

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

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.marks.errors import MarkError
from calib_all_ros.marks.feature_map import FeatureMap, PatchGrid, hat_weights

Array = NDArray[np.float64]

_STEPS_PER_PATCH = 32
_REFINED_MAXIMA = 5


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
