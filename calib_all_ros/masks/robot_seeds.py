# SPDX-License-Identifier: Apache-2.0
"""Masks of the robot in single images: from a text through boxes, or from clicks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calib_all_ros.masks.box_choice import UncertainBoxError, choose_boxes
from calib_all_ros.masks.clicks import Click
from calib_all_ros.masks.mask_judgement import JudgedMask, MaskJudge, MaskLimits
from calib_all_ros.masks.motion_map import MAX_SAMPLES, motion_map
from calib_all_ros.masks.segmentation import (
    Detector,
    Image,
    Mask,
    ScoredMasks,
    SegmentationError,
    Segmenter,
    UncertainMasksError,
)
from calib_all_ros.tracking.track import ImageSequence

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prompts:
    """What to look for.

    Attributes:
        text: Phrases with full stops between them; the first is the robot, others name what a box
            may show instead.
        box_threshold: Least score of a box.
        text_threshold: Least score of a word for it to name the box.
        clicks: Of a person, in any images.
    """

    text: str = "robotic arm"
    box_threshold: float = 0.35
    text_threshold: float = 0.3
    clicks: tuple[Click, ...] = ()


@dataclass(frozen=True)
class RobotSeeds:
    """Finds the robot in single images.

    Attributes:
        images: The recording's.
        numbers: Those of its images that are looked at, ascending.
        prompts: What to look for.
        detector: None where there are clicks only.
        segmenter: Turns boxes and clicks into masks.
        judge: Says which masks are to be believed.
    """

    images: ImageSequence
    numbers: tuple[int, ...]
    prompts: Prompts
    detector: Detector | None
    segmenter: Segmenter
    judge: MaskJudge

    def detected(self, number: int) -> JudgedMask:
        """Return the mask of the robot as the detector's boxes show it.

        Raises:
            UncertainMasksError: no box, or no mask in one, is sure.
        """
        if self.detector is None:
            raise UncertainMasksError("there is no detector to find it anew, only clicks")
        image, prompts = self.images[number], self.prompts
        found = self.detector.detect(
            image, prompts.text, prompts.box_threshold, prompts.text_threshold
        )
        guess = self.judge.guesses.get(number)
        try:
            chosen = choose_boxes(
                found,
                guess,
                None if guess is not None else motion_map(image, self._samples),
                prompts.text.split(".")[0].strip(),
            )
        except UncertainBoxError as error:
            raise UncertainMasksError(str(error)) from error
        logger.info("image %d: %s", number, chosen.why)
        boxes = [chosen.box]
        if len(chosen.parts) > 1:
            boxes += [found.boxes[part] for part in chosen.parts]
        return self._best(number, self.segmenter.box_masks(image, np.array(boxes)))

    def _best(self, number: int, found: ScoredMasks) -> JudgedMask:
        """Choose between the mask in the joint box and the union of the masks in its parts."""
        candidates: list[tuple[Mask, float]] = [(found.masks[0], float(found.predicted_iou[0]))]
        if len(found.masks) > 1:
            parts = np.asarray(found.masks[1:].any(axis=0))
            candidates.append((parts, float(found.predicted_iou[1:].min())))
        believed: list[JudgedMask] = []
        doubts: list[UncertainMasksError] = []
        for mask, predicted_iou in candidates:
            try:
                believed.append(self.judge.believe(number, mask, predicted_iou, "detected"))
            except UncertainMasksError as error:
                doubts.append(error)
        if not believed:
            raise doubts[0]
        return max(believed, key=lambda one: (np.nan_to_num(one.agreement), one.predicted_iou))

    @cached_property
    def _samples(self) -> list[Image]:
        """Images of all times, to tell what moves from what stands."""
        count = min(len(self.numbers), MAX_SAMPLES)
        chosen = np.linspace(0, len(self.numbers) - 1, count).round().astype(int)
        return [self.images[self.numbers[k]] for k in chosen]


def clicked_masks(
    images: ImageSequence, prompts: Prompts, segmenter: Segmenter, limits: MaskLimits
) -> dict[int, JudgedMask]:
    """Return the masks of the images with clicks, by number; a person is believed, not a pose.

    Raises:
        SegmentationError: a click lies outside of its image.
        UncertainMasksError: the clicks of an image do not make a mask that is sure.
    """
    judge = MaskJudge({}, limits)
    masks = {}
    for number in sorted({click.image for click in prompts.clicks}):
        if number >= len(images):
            raise SegmentationError(
                f"a click is in image {number}, but the last image is {len(images) - 1}"
            )
        image = images[number]
        clicks = [click for click in prompts.clicks if click.image == number]
        for click in clicks:
            _require_inside(click, image)
        pixels = np.array([(click.u, click.v) for click in clicks])
        on_robot = np.array([click.on_robot for click in clicks])
        found = segmenter.clicked_mask(image, pixels, on_robot)
        try:
            masks[number] = judge.believe(
                number, found.masks[0], float(found.predicted_iou[0]), "clicked"
            )
        except UncertainMasksError as error:
            raise UncertainMasksError(
                f"the clicks in image {number} do not show what the robot is ({error}): add some, "
                "on the robot and beside it"
            ) from error
    return masks


def _require_inside(click: Click, image: Image) -> None:
    height, width = image.shape[:2]
    if not (-0.5 <= click.u <= width - 0.5 and -0.5 <= click.v <= height - 0.5):
        raise SegmentationError(
            f"the click {click.u:g},{click.v:g} lies outside image {click.image}, which is "
            f"{width}x{height}"
        )
