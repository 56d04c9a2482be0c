# SPDX-License-Identifier: Apache-2.0
"""References that vote; the features come from known fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.marks.finder import ReferenceMarkFinder, UncertainMarkError, make_mark_finder
from calib_all_ros.marks.matching import FeatureMap, MatchLimits, PatchGrid
from calib_all_ros.marks.references import NoReferencesError, ReferenceMark, add_reference
from calib_all_ros.models.libraries import ModelUnavailableError

Maker = Callable[..., Any]


class Extractor:
    """Looks up the features of images, which are known by their upper left value."""

    name = "lookup"

    def __init__(self, maps: dict[int, FeatureMap]) -> None:
        self.maps = maps
        self.asked: list[int] = []

    def __call__(self, image: np.ndarray, /) -> FeatureMap:
        key = int(image[0, 0, 0])
        self.asked.append(key)
        return self.maps[key]


def picture(key: int) -> np.ndarray:
    return np.full((168, 216, 3), key, np.uint8)


def reference(key: int, pixel: tuple[float, float], link: str = "tool0") -> ReferenceMark:
    name = f"ref{key}"
    return ReferenceMark(name, picture(key), np.array(pixel), link, "", Path(f"{name}.yaml"))


def test_one_reference_suffices(smooth_field: Maker, sampled: Maker) -> None:
    field = smooth_field(0)
    extractor = Extractor({1: sampled(field), 9: sampled(field, moved=(7.0, -9.0))})
    finder = ReferenceMarkFinder([reference(1, (90.0, 80.0))], extractor)
    found = finder.find(picture(9))
    np.testing.assert_allclose(found.pixel, [97.0, 71.0], atol=1.5)
    assert found.link == "tool0" and found.links == ("tool0",)
    assert found.similarity > 0.95 and found.margin > 0.05
    assert found.heat.shape == (14, 18) and found.votes[0].agrees
    np.testing.assert_array_equal(found.heat, found.votes[0].match.heat)
    u, v = found.pixel
    assert f"lookup found the mark at ({u:.1f}, {v:.1f})" in found.summary
    assert "1 of 1 reference(s)" in found.summary
    finder.find(picture(9))
    # The features of a reference are computed once.
    assert extractor.asked.count(1) == 1


def voting(
    smooth_field: Maker, sampled: Maker, places: list[tuple[float, float]]
) -> tuple[ReferenceMarkFinder, np.ndarray]:
    """A finder whose references show one scene, with the mark at these places of the image."""
    field = smooth_field(0)
    maps = {9: sampled(field)}
    references = []
    for key, (u, v) in enumerate(places, start=1):
        moved = (3.0 * key, -2.0 * key)
        maps[key] = sampled(field, moved=moved)
        references.append(reference(key, (u + moved[0], v + moved[1]), f"link{key}"))
    return ReferenceMarkFinder(references, Extractor(maps)), picture(9)


def test_the_majority_wins(smooth_field: Maker, sampled: Maker) -> None:
    finder, image = voting(
        smooth_field, sampled, [(90.0, 80.0), (40.0, 120.0), (91.0, 81.0), (89.0, 80.0)]
    )
    found = finder.find(image)
    np.testing.assert_allclose(found.pixel, [90.0, 80.0], atol=1.5)
    assert [vote.agrees for vote in found.votes] == [True, False, True, True]
    assert set(found.links) == {"link1", "link3", "link4"}
    best = max(
        (vote for vote in found.votes if vote.agrees), key=lambda vote: vote.match.best.similarity
    )
    assert found.link == best.reference.link
    assert "3 of 4 reference(s)" in found.summary


def test_references_that_disagree_are_unsure(smooth_field: Maker, sampled: Maker) -> None:
    finder, image = voting(smooth_field, sampled, [(90.0, 80.0), (40.0, 120.0)])
    with pytest.raises(UncertainMarkError, match=r"different places: ref1 at .* ref2 at") as unsure:
        finder.find(image)
    votes = unsure.value.votes
    assert len(votes) == 2 and not any(vote.agrees for vote in votes)
    np.testing.assert_allclose(votes[1].match.best.pixel, [40.0, 120.0], atol=1.5)


def test_a_reference_that_is_not_found_abstains(smooth_field: Maker, sampled: Maker) -> None:
    field = smooth_field(0)
    extractor = Extractor({1: sampled(smooth_field(77)), 2: sampled(field), 9: sampled(field)})
    marks = [reference(1, (90.0, 80.0), "other"), reference(2, (90.0, 80.0))]
    found = ReferenceMarkFinder(marks, extractor).find(picture(9))
    assert found.votes[0].doubts and not found.votes[0].agrees
    assert found.votes[1].agrees and found.links == ("tool0",)


def test_an_unsure_match_is_an_error_with_the_heat_map(smooth_field: Maker, sampled: Maker) -> None:
    extractor = Extractor({1: sampled(smooth_field(77)), 9: sampled(smooth_field(0))})
    finder = ReferenceMarkFinder([reference(1, (90.0, 80.0))], extractor)
    with pytest.raises(
        UncertainMarkError, match=r"ref1 is not found surely: .*similarity"
    ) as unsure:
        finder.find(picture(9))
    (vote,) = unsure.value.votes
    assert vote.doubts and vote.match.heat.shape == (14, 18)
    assert isinstance(vote.match.grid, PatchGrid)


def test_limits_are_honoured(smooth_field: Maker, sampled: Maker) -> None:
    field = smooth_field(0)
    extractor = Extractor({1: sampled(field), 9: sampled(field, moved=(7.0, -9.0))})
    mark = reference(1, (90.0, 80.0))
    assert ReferenceMarkFinder([mark], extractor, MatchLimits(margin=0.1)).find(picture(9))
    with pytest.raises(UncertainMarkError, match="nearly as similar"):
        ReferenceMarkFinder([mark], extractor, MatchLimits(margin=1.5)).find(picture(9))


def test_nothing_to_look_for() -> None:
    with pytest.raises(NoReferencesError, match="calib_all mark add"):
        ReferenceMarkFinder([], Extractor({}))


def test_factory_says_what_is_missing(tmp_path: Path) -> None:
    marks, checkpoints = tmp_path / "marks", tmp_path / "checkpoints"
    with pytest.raises(NoReferencesError, match=f"in {marks}: add one with calib_all mark add"):
        make_mark_finder(marks, checkpoints, "cpu")
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    add_reference(marks, cv2.imencode(".png", noise)[1].tobytes(), ".png", "hand", (3, 3), "tool0")
    with pytest.raises(NoReferencesError, match="on the link panda_hand"):
        make_mark_finder(marks, checkpoints, "cpu", "panda_hand")
    with pytest.raises(ModelUnavailableError, match="DINOv2"):
        make_mark_finder(marks, checkpoints, "cpu")
