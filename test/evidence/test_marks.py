# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.marks import MarkEvidence, choose_mark
from calib_all_ros.evidence.sources import EvidenceSources
from calib_all_ros.marks.finder import FoundMark, UncertainMarkError
from calib_all_ros.marks.matching import PatchGrid
from calib_all_ros.marks.references import MarkError
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import MarkSettings, Settings
from calib_all_ros.solving.mark import Mark

GRID = PatchGrid(np.zeros(2), np.full(2, 14.0))


def found(*links: str, pixel: tuple[float, float] = (160.5, 120.25)) -> FoundMark:
    place, heat = np.array(pixel), np.zeros((3, 4))
    return FoundMark(place, links[0], links, 0.8, 0.2, (), heat, GRID, "found for sure")


@dataclass
class Finder:
    """Finds what it is told to, or fails as it is told to."""

    result: FoundMark | Exception
    asked: int = 0

    def find(self, image: np.ndarray) -> FoundMark:
        assert image.shape == (240, 320, 3)
        self.asked += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def choose(simulated_recording: Recording, demo_robot: Robot) -> Callable[..., MarkEvidence]:
    def run(
        finder: Finder,
        given: Mark | None = None,
        link: str | None = None,
        settings: Settings | None = None,
    ) -> MarkEvidence:
        def nothing(*_: Any) -> Any:
            raise AssertionError("not asked for here")

        sources = EvidenceSources(lambda: finder, nothing, nothing)
        wanted = (settings or Settings()).mark
        return choose_mark(simulated_recording, demo_robot, given, link, wanted, sources)

    return run


def test_what_the_user_gave_comes_first(choose: Callable[..., MarkEvidence]) -> None:
    finder, given = Finder(found("hand")), Mark((10.0, 20.0), 3, "forearm_link")
    marking = choose(finder, given)
    assert marking.mark is given and finder.asked == 0
    assert str(marking.choices[0]) == "mark: given (pixel 10,20 of image 3 on link forearm_link)"


@pytest.mark.parametrize(
    ("links", "link", "expected"),
    [(("hand",), None, "hand"), (("tool0", "hand"), None, "hand"), (("tool0",), "hand", "hand")],
    ids=["of_the_reference", "first_that_this_robot_has", "as_the_user_says"],
)
def test_a_mark_that_is_found_gets_its_link(
    choose: Callable[..., MarkEvidence], links: tuple[str, ...], link: str | None, expected: str
) -> None:
    marking = choose(Finder(found(*links)), link=link)
    assert marking.mark == Mark((160.5, 120.25), 0, expected)
    assert marking.choices[0].used == "dinov2" and "found for sure" in marking.choices[0].why


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (found("tool0"), "found for sure; but no link 'tool0' to carry the mark"),
        (UncertainMarkError("it may be here or there", ()), "it may be here or there"),
        (CalibAllError("there is no reference mark"), "there is no reference mark"),
        (RuntimeError("CUDA error:\n no kernel"), "DINOv2 failed: CUDA error: no kernel"),
    ],
    ids=["link_of_another_robot", "unsure", "no_references", "failing"],
)
def test_without_a_sure_mark_there_is_none(
    choose: Callable[..., MarkEvidence], result: FoundMark | Exception, reason: str
) -> None:
    marking = choose(Finder(result))
    assert marking.mark is None and marking.choices[0].used == "none"
    assert reason in marking.choices[0].why


def test_no_mark_is_looked_for_where_that_is_off(choose: Callable[..., MarkEvidence]) -> None:
    finder = Finder(found("hand"))
    settings = replace(Settings(), mark=MarkSettings(find="off"))
    assert choose(finder, settings=settings).choices[0].why == "mark.find is off"
    assert finder.asked == 0


def test_the_link_has_to_be_one_that_moves(choose: Callable[..., MarkEvidence]) -> None:
    with pytest.raises(MarkError, match="no link 'tail'"):
        choose(Finder(found("hand")), link="tail")
    with pytest.raises(MarkError, match="does not move"):
        choose(Finder(found("hand")), link="base_link")
