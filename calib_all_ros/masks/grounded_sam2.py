# SPDX-License-Identifier: Apache-2.0
"""Grounded SAM 2: Grounding DINO finds the robot by a text, SAM 2 outlines and follows it.

As in CalibAll, with text and thresholds of its own; what is added is the doubt: each mask is
compared with the robot drawn with a coarse pose, and one that contradicts is no mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.masks.following import (
    Prompts,
    RobotSeeds,
    clicked_masks,
    follow_robot,
    read_clicks,
)
from calib_all_ros.masks.grounding_dino import GroundingDino
from calib_all_ros.masks.judgement import (
    JudgedMask,
    MaskJudge,
    MaskLimits,
    Outcome,
    segmented_images,
)
from calib_all_ros.masks.mask_cache import MaskCache, cache_folder, cache_key, frame_names
from calib_all_ros.masks.sam2 import Sam2
from calib_all_ros.masks.segmentation import (
    Detector,
    Mask,
    SegmentedImages,
    Segmenter,
    UncertainMasksError,
    mask_overlap,
)
from calib_all_ros.models.checkpoints import find_checkpoint
from calib_all_ros.models.libraries import ModelUnavailableError, require
from calib_all_ros.recording.recording import Recording, fingerprint
from calib_all_ros.settings import MaskSettings
from calib_all_ros.tracking.track import ImageSequence

# Kept masks are taken if the new guess agrees with each as the one they were made with did.
SAME_AGREEMENT = 0.05
MOST_MISSING = 0.25


@dataclass(frozen=True)
class KeptMasks:
    """Where the masks of a recording are kept.

    Attributes:
        cache: The place.
        names: Names of all images of the recording.
        models: What tells the checkpoints in use from others, by model.
    """

    cache: MaskCache
    names: tuple[str, ...]
    models: Mapping[str, str]


@dataclass(frozen=True)
class GroundedSam2:
    """Makes masks of the robot in the images of one recording.

    Attributes:
        detector: Loads the detector; None where there are clicks only.
        segmenter: Loads the segmenter. Neither is loaded where the masks are kept already.
        prompts: What to look for.
        limits: Which masks are believed.
        kept: Where masks are kept; None keeps none.
    """

    detector: Callable[[], Detector] | None
    segmenter: Callable[[], Segmenter]
    prompts: Prompts = field(default_factory=Prompts)
    limits: MaskLimits = field(default_factory=MaskLimits)
    kept: KeptMasks | None = None

    name = "grounded_sam2"

    def segment(
        self,
        images: ImageSequence,
        guesses: NDArray[np.bool_] | None = None,
        frames: Sequence[int] | None = None,
    ) -> SegmentedImages:
        """Return the masks of images of a recording.

        Args:
            images: The recording's RGB images as recorded, (H, W, 3), in the order of time.
            guesses: (N, H, W) the robot drawn with a coarse pose in the images to segment.
            frames: Numbers of these N images, ascending; all where None.

        Raises:
            UncertainMasksError: fewer masks are sure than the limits demand.
            SegmentationError: a click lies outside of the images.
            ModelError: a model cannot be loaded.
        """
        numbers = tuple(range(len(images))) if frames is None else tuple(int(n) for n in frames)
        by_number = {} if guesses is None else dict(zip(numbers, guesses, strict=True))
        if self.kept is None:
            return self._made(images, numbers, by_number)
        names = [self.kept.names[number] for number in numbers]
        made_by = {
            "method": self.name,
            **asdict(self.prompts),
            "limits": asdict(self.limits),
            "models": dict(self.kept.models),
            "coarse_pose": guesses is not None,
        }
        key = cache_key(made_by, names, (images[number] for number in numbers))
        found = self.kept.cache.load(key)
        if found is not None and _same_guesses(found, guesses):
            place = self.kept.cache.folder / key
            return replace(found, summary=f"{found.summary} (kept in {place})")
        made = self._made(images, numbers, by_number)
        self.kept.cache.save(key, names, made, made_by)
        return made

    def _made(
        self, images: ImageSequence, numbers: tuple[int, ...], guesses: Mapping[int, Mask]
    ) -> SegmentedImages:
        segmenter = self.segmenter()
        clicked = clicked_masks(images, self.prompts, segmenter, self.limits)
        ignored = _contradict(clicked, guesses, self.limits)
        judge = MaskJudge({} if ignored else guesses, self.limits)
        looked_at = tuple(sorted({*numbers, *clicked}))
        detector = None if self.detector is None else self.detector()
        seeds = RobotSeeds(images, looked_at, self.prompts, detector, segmenter, judge)
        outcomes = follow_robot(seeds, clicked)
        last = {number: _looked_at_again(outcomes[number], judge) for number in numbers}
        segmented = segmented_images(last, self.limits.least_masks, self.prompts.text)
        if not ignored:
            return segmented
        note = "the clicks contradict the coarse pose, which was not asked"
        return replace(segmented, summary=f"{segmented.summary}; {note}")


def make_segmenter(
    settings: MaskSettings, checkpoints: Path, device: str, recording: Recording
) -> GroundedSam2:
    """Return what makes the masks of a recording and keeps them beside it.

    The models are loaded when they are needed. Where there are clicks, the detector's checkpoint
    may be missing.

    Args:
        settings: What to look for.
        checkpoints: Folder of the checkpoints.
        device: What ``choose_device`` returned.
        recording: The recording.

    Raises:
        ModelUnavailableError: a checkpoint or a library is missing; says which and what to do.
        SegmentationError: a click cannot be read.
    """
    prompts = Prompts(
        settings.prompt,
        settings.box_threshold,
        settings.text_threshold,
        read_clicks(settings.clicks, settings.clicks_beside),
    )
    outlines = find_checkpoint("sam2", checkpoints)
    boxes = None
    try:
        boxes = find_checkpoint("grounding_dino", checkpoints)
    except ModelUnavailableError:
        if not prompts.clicks:
            raise
    for library in ("torch", "transformers"):
        require(library, "foundation")
    source = Path(recording.source)
    kept = None
    if source.exists():
        used = {"sam2": outlines} if boxes is None else {"sam2": outlines, "grounding_dino": boxes}
        models = {name: f"{c.variant} {fingerprint(c.weight_files())}" for name, c in used.items()}
        kept = KeptMasks(MaskCache(cache_folder(source)), frame_names(recording), models)
    return GroundedSam2(
        None if boxes is None else partial(GroundingDino, boxes, device),
        partial(Sam2, outlines, device),
        prompts,
        kept=kept,
    )


def _same_guesses(found: SegmentedImages, guesses: NDArray[np.bool_] | None) -> bool:
    """Whether masks were judged by about the same poses; never exactly, for poses are rounded."""
    if guesses is None:
        return True
    missing = sum(mask is None for mask in found.masks)
    if missing > MOST_MISSING * len(found.masks):
        # A better pose may tell the robot in images where a worse one did not.
        return False
    return all(
        abs(mask_overlap(mask, guess) - agreement) <= SAME_AGREEMENT
        for mask, guess, agreement in zip(found.masks, guesses, found.agreement, strict=True)
        if mask is not None and np.isfinite(agreement)
    )


def _contradict(
    clicked: Mapping[int, JudgedMask], guesses: Mapping[int, Mask], limits: MaskLimits
) -> bool:
    """Whether no mask that a person vouches for agrees with the coarse pose."""
    overlaps = [mask_overlap(clicked[n].mask, guesses[n]) for n in clicked if n in guesses]
    return bool(overlaps) and max(overlaps) < limits.agreement


def _looked_at_again(outcome: Outcome, judge: MaskJudge) -> Outcome:
    """Judge a mask by what turned out to be usual in all images."""
    if isinstance(outcome, JudgedMask) and np.isfinite(outcome.agreement):
        try:
            judge.require_agreement(outcome.agreement)
        except UncertainMasksError as error:
            return str(error)
    return outcome
