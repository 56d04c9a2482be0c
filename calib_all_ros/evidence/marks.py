# SPDX-License-Identifier: Apache-2.0
"""The mark that a calibration may begin from: given, or found; and its track."""

from __future__ import annotations

from dataclasses import dataclass, replace

from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.sources import EvidenceSources
from calib_all_ros.marks.finder import UncertainMarkError, Vote
from calib_all_ros.models.libraries import ModelError, failures_of
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.records import EvidenceChoice
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import MarkSettings
from calib_all_ros.solving.mark import (
    Mark,
    MarkOutcome,
    check_mark,
    check_mark_link,
    start_from_mark,
)
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.pipeline import Start
from calib_all_ros.tracking.lucas_kanade import LucasKanade
from calib_all_ros.tracking.track import TrackingError

_PART = "mark"
# Where nobody says which image shows the mark best, the paper takes the first one.
SEARCHED_FRAME = 0


@dataclass(frozen=True, eq=False)
class MarkEvidence:
    """A mark and its track, or none.

    Attributes:
        mark: The mark, None without one.
        given: Whether the user gave it.
        choices: What was chosen, and why: of the mark, and of its track once it was followed.
        votes: What each reference mark says, also where that is not sure; empty where none was
            looked for.
        outcome: What following the mark led to, None where it was not followed.
    """

    mark: Mark | None
    given: bool
    choices: tuple[EvidenceChoice, ...]
    votes: tuple[Vote, ...] = ()
    outcome: MarkOutcome | None = None

    @property
    def starts(self) -> tuple[Start, ...]:
        """The poses to start from that the track led to: one or none."""
        return () if self.outcome is None or self.outcome.start is None else (self.outcome.start,)

    @property
    def examined(self) -> MarkOutcome | None:
        """The track that a pose has to agree with.

        That a mark which nobody gave is not where it was thought to be says nothing of the pose.
        """
        return self.outcome if self.given else None


def choose_mark(
    recording: Recording,
    robot: Robot,
    given: Mark | None,
    link: str | None,
    settings: MarkSettings,
    sources: EvidenceSources,
) -> MarkEvidence:
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
        return MarkEvidence(given, True, (EvidenceChoice(_PART, "given", where),))
    if link is not None:
        check_mark_link(link, robot)
    if settings.find == "off":
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
    return MarkEvidence(mark, False, (EvidenceChoice(_PART, "dinov2", why),), found.votes)


def follow_mark(
    marked: MarkEvidence,
    recording: Recording,
    observations: Observations,
    settings: MarkSettings,
    sources: EvidenceSources,
) -> MarkEvidence:
    """Return the mark with its track, and with a pose to start from if the track gives one.

    Args:
        marked: The mark; without one it is returned as it is.
        recording: The images to follow it through.
        observations: How the solve sees images and robot.
        settings: How to follow it, and how to solve for the pose.
        sources: What follows marks.

    Raises:
        TrackingError: A given mark cannot be followed.
    """
    if marked.mark is None:
        return marked
    tracker, why = sources.tracker()
    trackers = [(tracker, why)]
    if settings.tracker == "auto" and tracker.name != LucasKanade.name:
        # A mark that a model loses is followed as it would be without the model.
        trackers.append((LucasKanade(), f"{tracker.name} did not lead to a pose"))
    outcome, summary = None, ""
    for tracker, why in trackers:
        lost = f"{why}: {summary}" if summary else why
        try:
            with failures_of(tracker.name):
                outcome = start_from_mark(marked.mark, recording, observations, settings, tracker)
            summary = outcome.summary
        # Whoever gave the mark can give a better one; else the camera is searched for without.
        except (TrackingError, ModelError) as error:
            if marked.given and isinstance(error, TrackingError):
                raise
            outcome, summary = None, str(error)
        if outcome is not None and outcome.start is not None:
            break
    if outcome is None:
        choice = EvidenceChoice("track", "none", summary)
    else:
        choice = EvidenceChoice("track", tracker.name, f"{lost}; {summary}")
    return replace(marked, choices=(*marked.choices, choice), outcome=outcome)


def _without(reason: str, votes: tuple[Vote, ...] = ()) -> MarkEvidence:
    return MarkEvidence(None, False, (EvidenceChoice(_PART, "none", reason),), votes)
