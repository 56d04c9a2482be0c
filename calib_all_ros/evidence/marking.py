# SPDX-License-Identifier: Apache-2.0
"""The mark that a calibration may begin from: given, or found."""

from __future__ import annotations

from dataclasses import dataclass

from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.sources import EvidenceSources
from calib_all_ros.marks.finder import UncertainMarkError, Vote
from calib_all_ros.models.failure import failures_of
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.records import EvidenceChoice
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solving.mark_route import Mark, check_mark, check_mark_link

_PART = "mark"
# Where nobody says which image shows the mark best, the paper takes the first one.
SEARCHED_FRAME = 0


@dataclass(frozen=True, eq=False)
class Marking:
    """A mark, or none.

    Attributes:
        mark: Where the mark is, None without one.
        choice: What was chosen, and why.
        votes: What each reference mark says, also where that is not sure; empty where none was
            looked for.
    """

    mark: Mark | None
    choice: EvidenceChoice
    votes: tuple[Vote, ...] = ()


def choose_mark(
    recording: Recording,
    robot: Robot,
    given: Mark | None,
    link: str | None,
    settings: Settings,
    sources: EvidenceSources,
) -> Marking:
    """Return the given mark, or else one that is surely found in the first image.

    Args:
        recording: Its images.
        robot: The robot.
        given: What the user marked.
        link: Link that carries a mark that is found; None takes the reference marks' link.
        settings: Whether to look for one.
        sources: What finds marks.

    Raises:
        MarkError: The given mark cannot be one, or the given link cannot carry one.
    """
    if given is not None:
        check_mark(given, recording, robot)
        u, v = given.pixel
        where = f"pixel {u:g},{v:g} of image {given.frame} on link {given.link}"
        return Marking(given, EvidenceChoice(_PART, "given", where))
    if link is not None:
        check_mark_link(link, robot)
    if settings.mark.find == "off":
        return _without("mark.find is off")
    try:
        with failures_of("DINOv2"):
            found = sources.mark_finder().find(recording.images[SEARCHED_FRAME])
    # Without a mark the camera is searched for all the same.
    except UncertainMarkError as error:
        return _without(str(error), error.votes)
    except CalibAllError as error:
        return _without(str(error))
    u, v = (float(coordinate) for coordinate in found.pixel)
    # A reference may show another robot, whose links have other names.
    known = [name for name in found.links if name in robot.kinematics.link_names]
    mark = Mark((u, v), SEARCHED_FRAME, link or next(iter(known), found.link))
    try:
        check_mark(mark, recording, robot)
    except CalibAllError as error:
        return _without(f"{found.summary}; but {error}", found.votes)
    why = f"{found.summary}; image {mark.frame}, link {mark.link}"
    return Marking(mark, EvidenceChoice(_PART, "dinov2", why), found.votes)


def _without(reason: str, votes: tuple[Vote, ...] = ()) -> Marking:
    return Marking(None, EvidenceChoice(_PART, "none", reason), votes)
