# SPDX-License-Identifier: Apache-2.0
"""Following of the robot from one image through the others, found anew where it is lost."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from calib_all_ros.masks.box_choice import MAX_SAMPLES, choose_boxes, motion_map
from calib_all_ros.masks.judgement import JudgedMask, MaskJudge, MaskLimits, Outcome
from calib_all_ros.masks.segmentation import (
    Detector,
    Image,
    Mask,
    MaskTrack,
    ScoredMasks,
    SegmentationError,
    Segmenter,
    UncertainMasksError,
)
from calib_all_ros.tracking.track import ImageSequence

logger = logging.getLogger(__name__)

# Looking takes the detector many seconds on a CPU; where it was vain so often, it will be again.
VAIN_LOOKS = 6
_NUMBER = r"\s*(\d+(?:\.\d*)?)\s*"
_CLICK = re.compile(rf"{_NUMBER},{_NUMBER}(?:@\s*(\d+)\s*)?")


@dataclass(frozen=True, order=True)
class Click:
    """A pixel of which a person says whether it shows the robot.

    Attributes:
        image: Number of the image, from 0 on.
        u: Pixel from the left; pixel centres are at integers.
        v: Pixel from the top.
        on_robot: Whether it shows the robot, else something that is not to be in the mask.
    """

    image: int
    u: float
    v: float
    on_robot: bool = True


def read_clicks(on_robot: Iterable[str], beside: Iterable[str]) -> tuple[Click, ...]:
    """Return clicks from texts ``u,v`` (in the first image) or ``u,v@image``, in order.

    Raises:
        SegmentationError: a text is none of these, or an image has clicks beside the robot only.
    """
    clicks = [_read(text, True) for text in on_robot] + [_read(text, False) for text in beside]
    shown = {click.image for click in clicks if click.on_robot}
    for click in clicks:
        if click.image not in shown:
            raise SegmentationError(
                f"image {click.image} has clicks beside the robot only: add one on the robot"
            )
    return tuple(sorted(clicks))


def _read(text: str, on_robot: bool) -> Click:
    match = _CLICK.fullmatch(text)
    if match is None:
        raise SegmentationError(f"'{text}' is no click: write U,V or U,V@IMAGE, such as 310,220@0")
    return Click(int(match[3] or 0), float(match[1]), float(match[2]), on_robot)


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
        motion = None if guess is not None else motion_map(image, self._samples)
        chosen = choose_boxes(found, guess, motion, prompts.text.split(".")[0].strip())
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


def follow_robot(seeds: RobotSeeds, clicked: Mapping[int, JudgedMask]) -> dict[int, Outcome]:
    """Return what became of each image.

    The first clicked image, else one in which the detector's answer is sure, starts a track
    forward and one backward in time. Where a followed mask is not to be believed, the robot is
    looked for anew, and the track goes on from there; a mask that stays doubtful is taken out of
    the track's memory, which would spread it.

    Args:
        seeds: Finds the robot in single images.
        clicked: Masks that are certain, by image number; the tracks take them up.

    Raises:
        UncertainMasksError: The robot was found in no image.
    """
    known = _KnownImages(seeds, dict(clicked), {})
    first = min(clicked) if clicked else known.first_detection()
    numbers = seeds.numbers
    after = [number for number in numbers if number > first]
    before = [number for number in reversed(numbers) if number < first]
    outcomes: dict[int, Outcome] = {first: known.masks[first]}
    for order in (after, before):
        if order:
            track = seeds.segmenter.track()
            track.seed(seeds.images[first], known.masks[first].mask)
            outcomes.update((number, known.next(track, number)) for number in order)
    return outcomes


@dataclass(frozen=True)
class _KnownImages:
    """What is known of the images so far: masks from clicks and boxes, and vain searches."""

    seeds: RobotSeeds
    masks: dict[int, JudgedMask]
    vain: dict[int, str]

    def first_detection(self) -> int:
        """Return the first of some images of all times in which the robot is found for sure."""
        numbers = self.seeds.numbers
        count = min(VAIN_LOOKS, len(numbers))
        places = np.linspace(0, len(numbers) - 1, count).round()
        for number in [numbers[int(place)] for place in places]:
            if self._detect(number):
                return number
        first, reason = next(iter(self.vain.items()))
        raise UncertainMasksError(
            f"the robot was found for sure in none of {count} images (image {first}: {reason})"
        )

    def next(self, track: MaskTrack, number: int) -> Outcome:
        image = self.seeds.images[number]
        if number in self.masks:
            track.seed(image, self.masks[number].mask)
            return self.masks[number]
        mask, predicted_iou = track.step(image)
        try:
            return self.seeds.judge.believe(number, mask, predicted_iou, "followed")
        except UncertainMasksError as doubt:
            logger.info("image %d: %s", number, doubt)
            track.forget()
            if self._detect(number):
                track.seed(image, self.masks[number].mask)
                return self.masks[number]
            return f"{doubt}, and {self.vain[number]}"

    def _detect(self, number: int) -> bool:
        if number not in self.vain and len(self.vain) >= VAIN_LOOKS:
            self.vain[number] = f"it was looked for in vain in {VAIN_LOOKS} images"
        if number not in self.vain:
            try:
                self.masks[number] = self.seeds.detected(number)
            except UncertainMasksError as error:
                self.vain[number] = str(error)
        return number in self.masks
