# SPDX-License-Identifier: Apache-2.0
"""Search for the place in an image that reference marks point at.

Each reference is looked for by itself. Those whose match counts vote; the mark is found where more
than half of them agree, and in the middle of these. One reference suffices (CalibAll, section
3.2); with more, a picture of another robot or from another side does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.marks.dinov2 import Dinov2Features
from calib_all_ros.marks.matching import (
    FeatureExtractor,
    FeatureMap,
    Match,
    MatchLimits,
    PatchGrid,
    doubts,
    largest_agreement,
    match_mark,
)
from calib_all_ros.marks.references import (
    MarkError,
    NoReferencesError,
    ReferenceMark,
    load_references,
    references_folder,
)
from calib_all_ros.models.checkpoints import find_checkpoint
from calib_all_ros.models.libraries import choose_device

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Vote:
    """What one reference says.

    Attributes:
        reference: The reference.
        match: Where it was found.
        doubts: Why that does not count; empty where it does.
        agrees: Whether it is one of those that the result rests on.
    """

    reference: ReferenceMark
    match: Match
    doubts: tuple[str, ...]
    agrees: bool = False


class UncertainMarkError(MarkError):
    """No place in the image is surely the mark.

    Attributes:
        votes: What each reference says, with the heat maps to look at.
    """

    def __init__(self, message: str, votes: tuple[Vote, ...]) -> None:
        super().__init__(message)
        self.votes = votes


@dataclass(frozen=True, eq=False)
class FoundMark:
    """A mark found in an image.

    Attributes:
        pixel: (2,) (u, v), pixel centres at integer coordinates.
        link: Link that carries the mark in the most similar reference that agrees; where the
            references show another robot, the one with the same function is meant.
        links: Those of all references that agree, the most similar one first.
        similarity: Cosine similarity, median of the references that agree.
        margin: How much less similar the best place elsewhere is, likewise.
        votes: What each reference says.
        heat: (h, w) similarity of each patch, mean of the references that agree.
        grid: Where the patches are in the image.
        summary: One sentence: what was found by what, and how sure it is.
    """

    pixel: Array
    link: str
    links: tuple[str, ...]
    similarity: float
    margin: float
    votes: tuple[Vote, ...]
    heat: Array
    grid: PatchGrid
    summary: str


class ReferenceMarkFinder:
    """Looks for reference marks in images.

    Args:
        references: At least one.
        extractor: Computes the features; those of the references are kept after the first image.
        limits: When a match counts.

    Raises:
        NoReferencesError: There are no references.
    """

    def __init__(
        self,
        references: Sequence[ReferenceMark],
        extractor: FeatureExtractor,
        limits: MatchLimits | None = None,
    ) -> None:
        if not references:
            raise NoReferencesError("no reference mark was given; add one with calib_all mark add")
        self.references = tuple(references)
        self.limits = limits or MatchLimits()
        self._extractor = extractor
        self._features: dict[int, FeatureMap] = {}

    def find(self, image: NDArray[np.uint8]) -> FoundMark:
        """Return where the mark is in an RGB image, (H, W, 3).

        Raises:
            UncertainMarkError: It is not sure; the message says why, the error has the heat maps.
        """
        target = self._extractor(image)
        votes = tuple(self._vote(number, target) for number in range(len(self.references)))
        counted = [number for number, vote in enumerate(votes) if not vote.doubts]
        if not counted:
            raise UncertainMarkError(_unsure(votes), votes)
        cells = target.grid.cells([votes[number].match.best.pixel for number in counted])
        agreeing = largest_agreement(cells, self.limits.neighbourhood_patches)
        if agreeing is None:
            raise UncertainMarkError(_disagreement([votes[number] for number in counted]), votes)
        chosen = {number for number, agrees in zip(counted, agreeing, strict=True) if agrees}
        votes = tuple(replace(vote, agrees=n in chosen) for n, vote in enumerate(votes))
        return self._found(votes, target.grid)

    def _vote(self, number: int, target: FeatureMap) -> Vote:
        reference = self.references[number]
        if number not in self._features:
            self._features[number] = self._extractor(reference.image)
        match = match_mark(self._features[number], reference.pixel, target, self.limits)
        return Vote(reference, match, doubts(match, self.limits))

    def _found(self, votes: tuple[Vote, ...], grid: PatchGrid) -> FoundMark:
        agreeing = sorted(
            (vote for vote in votes if vote.agrees), key=lambda vote: -vote.match.best.similarity
        )
        pixel = np.median([vote.match.best.pixel for vote in agreeing], axis=0)
        similarity = float(np.median([vote.match.best.similarity for vote in agreeing]))
        margin = float(np.median([vote.match.margin for vote in agreeing]))
        links = tuple(dict.fromkeys(vote.reference.link for vote in agreeing))
        summary = (
            f"{self._extractor.name} found the mark at ({pixel[0]:.1f}, {pixel[1]:.1f}), "
            f"similarity {similarity:.2f}, {margin:.2f} above any other place; "
            f"{len(agreeing)} of {len(votes)} reference(s) say so"
        )
        heat = np.mean([vote.match.heat for vote in agreeing], axis=0)
        return FoundMark(pixel, links[0], links, similarity, margin, votes, heat, grid, summary)


def make_mark_finder(
    references: Path | None,
    checkpoints: Path,
    device: str,
    link: str | None = None,
    limits: MatchLimits | None = None,
) -> ReferenceMarkFinder:
    """Make a mark finder on DINOv2 from what is on disk.

    Args:
        references: Folder of reference marks; None takes the default folder.
        checkpoints: Folder of checkpoints.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        link: Takes only references on this link; None takes all.
        limits: When a match counts; the defaults where None.

    Raises:
        NoReferencesError: There are no reference marks (on that link).
        MarkError: A reference mark cannot be read.
        ModelUnavailableError: A library, the checkpoint or the device is missing.
        ModelError: The checkpoint cannot be loaded.
    """
    folder = references_folder(references)
    everything = load_references(folder)
    chosen = [reference for reference in everything if link in (None, reference.link)]
    if not chosen:
        which = "" if link is None or not everything else f" on the link {link}"
        raise NoReferencesError(
            f"there is no reference mark{which} in {folder}: add one with calib_all mark add "
            "PICTURE --pixel U,V --link LINK"
        )
    checkpoint = find_checkpoint("dinov2", checkpoints)
    return ReferenceMarkFinder(chosen, Dinov2Features(checkpoint, choose_device(device)), limits)


def _unsure(votes: tuple[Vote, ...]) -> str:
    # Of several references the nearest to being sure tells most.
    vote = max(votes, key=lambda vote: (-len(vote.doubts), vote.match.best.similarity))
    return (
        f"the mark of the reference {vote.reference.name} is not found surely: "
        f"{', and '.join(vote.doubts)}{_others(len(votes) - 1)}; look at the heat map, add a "
        "reference picture that is more like this image, or give the pixel yourself"
    )


def _others(count: int) -> str:
    return f"; {count} other reference(s) are no surer" if count else ""


def _disagreement(votes: list[Vote]) -> str:
    places = ", ".join(
        f"{vote.reference.name} at ({vote.match.best.pixel[0]:.0f}, {vote.match.best.pixel[1]:.0f})"
        for vote in votes
    )
    return (
        f"the reference marks are found in different places: {places}; look at the heat map, "
        "remove the references that are of another place on the robot, or give the pixel yourself"
    )
