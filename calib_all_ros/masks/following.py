# SPDX-License-Identifier: Apache-2.0
"""The robot found in one image and followed through the others, found anew where it is lost."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calib_all_ros.masks.mask_judgement import JudgedMask
from calib_all_ros.masks.mask_outcomes import Outcome
from calib_all_ros.masks.robot_seeds import RobotSeeds
from calib_all_ros.masks.segmentation import MaskTrack, UncertainMasksError

logger = logging.getLogger(__name__)

# Looking takes the detector many seconds on a CPU; where it was vain so often, it will be again.
VAIN_LOOKS = 6


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
    walk = _Walk(seeds, dict(clicked), {})
    first = min(clicked) if clicked else walk.first_detection()
    numbers = seeds.numbers
    after = [number for number in numbers if number > first]
    before = [number for number in reversed(numbers) if number < first]
    outcomes: dict[int, Outcome] = {first: walk.known[first]}
    for order in (after, before):
        if order:
            track = seeds.segmenter.track()
            track.seed(seeds.images[first], walk.known[first].mask)
            outcomes.update((number, walk.next(track, number)) for number in order)
    return outcomes


@dataclass(frozen=True)
class _Walk:
    """What is known of the images so far: masks from clicks and boxes, and vain searches."""

    seeds: RobotSeeds
    known: dict[int, JudgedMask]
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
        if number in self.known:
            track.seed(image, self.known[number].mask)
            return self.known[number]
        mask, predicted_iou = track.step(image)
        try:
            return self.seeds.judge.believe(number, mask, predicted_iou, "followed")
        except UncertainMasksError as doubt:
            logger.info("image %d: %s", number, doubt)
            track.forget()
            if self._detect(number):
                track.seed(image, self.known[number].mask)
                return self.known[number]
            return f"{doubt}, and {self.vain[number]}"

    def _detect(self, number: int) -> bool:
        if number not in self.vain and len(self.vain) >= VAIN_LOOKS:
            self.vain[number] = f"it was looked for in vain in {VAIN_LOOKS} images"
        if number not in self.vain:
            try:
                self.known[number] = self.seeds.detected(number)
            except UncertainMasksError as error:
                self.vain[number] = str(error)
        return number in self.known
