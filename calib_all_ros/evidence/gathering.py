# SPDX-License-Identifier: Apache-2.0
"""From a recording to the best pose: what the user gave first, then models, then the images."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.comparison import Solution, better
from calib_all_ros.evidence.marking import Marking, choose_mark
from calib_all_ros.evidence.masking import with_model_masks
from calib_all_ros.evidence.sources import EvidenceSources
from calib_all_ros.masks.segmentation import SegmentationError, UncertainMasksError
from calib_all_ros.models.errors import ModelError, ModelUnavailableError
from calib_all_ros.models.failure import failures_of
from calib_all_ros.quality.diagnosis import diagnose
from calib_all_ros.quality.verdict import verdict_of
from calib_all_ros.recording.recording import Recording
from calib_all_ros.rendering.renderer import find_renderer
from calib_all_ros.results.records import EvidenceChoice
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import Settings
from calib_all_ros.solving.image_route import require_contour, solve_from_images
from calib_all_ros.solving.mark_route import Mark, MarkOutcome, start_from_mark
from calib_all_ros.solving.mask_route import solve_from_masks
from calib_all_ros.solving.observations import Observations, prepare
from calib_all_ros.solving.route import Start
from calib_all_ros.tracking.lucas_kanade import LucasKanade
from calib_all_ros.tracking.track import Tracker, TrackingError

Progress = Callable[[str, float], None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gathered:
    """A pose and what it rests on.

    Attributes:
        solution: The better pose of those that were found.
        marking: The mark, if there is one.
        outcome: What following the mark led to, None without one.
        choices: Which evidence was used, and why.
    """

    solution: Solution
    marking: Marking
    outcome: MarkOutcome | None
    choices: tuple[EvidenceChoice, ...]


def gather(
    recording: Recording,
    robot: Robot,
    mark: Mark | None,
    mark_link: str | None,
    settings: Settings,
    sources: EvidenceSources,
    on_progress: Progress,
) -> Gathered:
    """Find the camera's pose with all evidence that can be had.

    Args:
        recording: Images, camera and joint states.
        robot: The robot.
        mark: What the user marked.
        mark_link: Link that carries a mark that is found.
        settings: All settings.
        sources: The models.
        on_progress: Called with the name of the stage and its finished share.

    Raises:
        CalibAllError: The input cannot be used, or a model that was asked for by name is not there.
    """
    on_progress("prepare", 0.0)
    # That something is missing must not turn up after the work.
    with failures_of("nvdiffrast"):
        renderer = find_renderer(settings.rendering.backend, settings.models.device)
    if recording.masks is None:
        _require_masks(recording, settings, sources)
    marking = choose_mark(recording, robot, mark, mark_link, settings, sources)
    observations = prepare(recording, robot, settings.frames, renderer)
    logger.info(
        "using %d images for the pose: %s",
        len(observations.solve),
        observations.frames[observations.solve].tolist(),
    )
    outcome, followed = _follow(marking, recording, observations, settings, sources, on_progress)
    starts = () if outcome is None or outcome.start is None else (outcome.start,)

    def solve(seen: Observations, *more: Start) -> Solution:
        wanted = settings if seen.masks is not None else _for_images(settings)
        # That a mark which nobody gave is not where it was thought to be says nothing of the pose.
        examined = outcome if marking.choice.used == "given" else None
        return _solve(seen, wanted, (*starts, *more), examined, on_progress)

    solution = solve(observations)
    if recording.masks is not None:
        masked = EvidenceChoice("masks", "recorded", "the recording brings them")
    elif settings.masks.source == "images":
        masked = EvidenceChoice("masks", "images", "masks.source says so")
    else:
        on_progress("masks", 0.0)
        solution, masked = _with_masks(recording, robot, solution, settings, sources, solve)
    logger.info("the %s gave the better start", solution.result.start.source)
    return Gathered(solution, marking, outcome, (marking.choice, *followed, masked))


def _require_masks(recording: Recording, settings: Settings, sources: EvidenceSources) -> None:
    """Check that masks can be made where they have to be."""
    descent = settings.refinement.method == "adam"
    if settings.masks.source == "images":
        require_contour(settings)
        return
    if not descent and settings.masks.source != "grounded_sam2":
        return
    try:
        sources.mask_maker(recording)
    except ModelUnavailableError as error:
        if not descent:
            raise
        raise ModelUnavailableError(
            "setting refinement.method is adam, which needs masks of the robot: give a folder of "
            f"masks, or have them made ({error})"
        ) from error


def _for_images(settings: Settings) -> Settings:
    """Return the settings of the coarse pose, where masks will be made with its help."""
    if settings.masks.source == "images":
        return settings
    return replace(settings, refinement=replace(settings.refinement, method="contour"))


def _follow(
    marking: Marking,
    recording: Recording,
    observations: Observations,
    settings: Settings,
    sources: EvidenceSources,
    on_progress: Progress,
) -> tuple[MarkOutcome | None, tuple[EvidenceChoice, ...]]:
    """Follow the mark, if there is one, and solve for a pose to start from."""
    if marking.mark is None:
        return None, ()
    on_progress("mark", 0.0)
    tracker, why = sources.tracker()
    given = marking.choice.used == "given"
    outcome, failure = _followed(marking.mark, recording, observations, settings, tracker, given)
    if (outcome is None or outcome.start is None) and settings.mark.tracker == "auto":
        # A mark that a model loses is followed as it would be without the model.
        second = LucasKanade()
        if second.name != tracker.name:
            lost = failure or ("" if outcome is None else outcome.summary)
            tracker, why = second, f"{tracker.name} did not lead to a pose: {lost}"
            outcome, failure = _followed(
                marking.mark, recording, observations, settings, tracker, given
            )
    if outcome is None:
        return None, (EvidenceChoice("track", "none", failure),)
    return outcome, (EvidenceChoice("track", tracker.name, f"{why}; {outcome.summary}"),)


def _followed(
    mark: Mark,
    recording: Recording,
    observations: Observations,
    settings: Settings,
    tracker: Tracker,
    given: bool,
) -> tuple[MarkOutcome | None, str]:
    """Return what following the mark led to, or why it could not be followed."""
    try:
        with failures_of(tracker.name):
            return start_from_mark(mark, recording, observations, settings.mark, tracker), ""
    # Whoever gave the mark can give a better one; else the camera is searched for without.
    except (TrackingError, ModelError) as error:
        if given and isinstance(error, TrackingError):
            raise
        return None, str(error)


def _solve(
    observations: Observations,
    settings: Settings,
    starts: tuple[Start, ...],
    mark: MarkOutcome | None,
    on_progress: Progress,
) -> Solution:
    """Solve by the masks if there are some, else by the images, and examine the pose."""
    solve = solve_from_images if observations.masks is None else solve_from_masks
    result = solve(observations, settings, starts, on_progress)
    on_progress("verdict", 0.0)
    diagnosis = diagnose(observations, result, settings, mark)
    verdict = verdict_of(diagnosis.findings, observations.warnings)
    return Solution(observations, result, diagnosis, verdict)


def _with_masks(
    recording: Recording,
    robot: Robot,
    images: Solution,
    settings: Settings,
    sources: EvidenceSources,
    solve: Callable[..., Solution],
) -> tuple[Solution, EvidenceChoice]:
    """Try the masks of a model beside the images, and keep the better of both."""
    needed = settings.refinement.method == "adam"
    trusted = images.verdict.status != "rejected"
    coarse = images.result.estimate if trusted else None
    try:
        masked, summary = with_model_masks(recording, images.observations, coarse, sources)
        start = Start(images.result.estimate.T_camera_base, "images")
        renderer = images.observations.renderer
        observations = prepare(masked, robot, settings.frames, renderer)
        with failures_of("nvdiffrast") if settings.rendering.backend != "cpu" else nullcontext():
            masks = solve(observations, start)
    # What a model makes of the images must not stop what works without it.
    except CalibAllError as error:
        asked_for = settings.masks.source == "grounded_sam2" and isinstance(error, ModelError)
        if needed or asked_for or _is_about_clicks(error, settings):
            raise
        return images, EvidenceChoice("masks", "images", f"Grounded SAM 2 was not used: {error}")
    if needed:
        why = "refinement.method adam needs masks"
        return masks, EvidenceChoice("masks", "grounded_sam2", f"{why}; {summary}")
    chosen, why = better(images, masks)
    used = "grounded_sam2" if chosen.observations.masks is not None else "images"
    return chosen, EvidenceChoice("masks", used, f"{why}; {summary}")


def _is_about_clicks(error: CalibAllError, settings: Settings) -> bool:
    """Whether it is the user's own clicks that cannot be used."""
    unsure = isinstance(error, UncertainMasksError)
    return bool(settings.masks.clicks) and isinstance(error, SegmentationError) and not unsure
