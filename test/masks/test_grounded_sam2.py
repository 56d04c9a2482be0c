# SPDX-License-Identifier: Apache-2.0
"""From a text to masks of a sequence, with a detector and a segmenter that follow a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.masks.following import Click, Prompts
from calib_all_ros.masks.grounded_sam2 import GroundedSam2, KeptMasks
from calib_all_ros.masks.mask_cache import MaskCache
from calib_all_ros.masks.segmentation import (
    Detections,
    ScoredMasks,
    SegmentationError,
    UncertainMasksError,
    box_around,
)

COUNT, HEIGHT, WIDTH = 8, 60, 120
NOTHING = np.zeros((HEIGHT, WIDTH), dtype=bool)


def rectangle(left: int, right: int, top: int = 20, bottom: int = 50) -> np.ndarray:
    mask = NOTHING.copy()
    mask[top:bottom, left:right] = True
    return mask


TRUTH = np.stack([rectangle(2 + 12 * k, 32 + 12 * k) for k in range(COUNT)])
GUESSES = np.stack([np.roll(mask, 3, axis=1) for mask in TRUTH])
WRONG = rectangle(0, 10, 0, 10)


def picture(number: int) -> np.ndarray:
    """An image that says which one it is."""
    image = np.full((HEIGHT, WIDTH, 3), 40, dtype=np.uint8)
    image[TRUTH[number]] = 200
    image[0, 0] = number
    return image


IMAGES = [picture(number) for number in range(COUNT)]


class Script:
    """What the models answer by image, and what they were asked; both models in one."""

    def __init__(self) -> None:
        self.boxes = {k: [box_around(TRUTH[k])] for k in range(COUNT)}
        self.in_box: dict[int, tuple[np.ndarray, float]] = {}
        self.followed: dict[int, tuple[np.ndarray, float]] = {}
        self.asked: list[tuple[str, int]] = []
        self.clicks: list[Any] = []

    def detect(
        self, image: np.ndarray, prompt: str, box_threshold: float, text_threshold: float
    ) -> Detections:
        assert (prompt, box_threshold, text_threshold) == ("robotic arm", 0.35, 0.3)
        number = int(image[0, 0, 0])
        self.asked.append(("detect", number))
        boxes = self.boxes[number]
        return Detections(
            np.array(boxes).reshape(-1, 4), np.full(len(boxes), 0.6), ("robotic arm",) * len(boxes)
        )

    def box_masks(self, image: np.ndarray, boxes: np.ndarray) -> ScoredMasks:
        number = int(image[0, 0, 0])
        self.asked.append(("mask", number))
        truth, predicted_iou = self.in_box.get(number, (TRUTH[number], 0.9))
        v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
        inside = [(b[0] <= u) & (u <= b[2]) & (b[1] <= v) & (v <= b[3]) for b in boxes]
        return ScoredMasks(
            np.stack([truth & one for one in inside]), np.full(len(boxes), predicted_iou)
        )

    def clicked_mask(
        self, image: np.ndarray, pixels: np.ndarray, on_robot: np.ndarray
    ) -> ScoredMasks:
        number = int(image[0, 0, 0])
        self.asked.append(("click", number))
        self.clicks.append((number, pixels.tolist(), on_robot.tolist()))
        mask, predicted_iou = self.in_box.get(number, (TRUTH[number], 0.9))
        return ScoredMasks(mask[None], np.array([predicted_iou]))

    def track(self) -> ScriptedTrack:
        self.asked.append(("track", -1))
        return ScriptedTrack(self)

    def steps(self, what: str) -> list[int]:
        return [number for asked, number in self.asked if asked == what]


class ScriptedTrack:
    def __init__(self, script: Script) -> None:
        self._script = script

    def seed(self, image: np.ndarray, mask: np.ndarray) -> None:
        assert mask.any()
        self._script.asked.append(("seed", int(image[0, 0, 0])))

    def step(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        number = int(image[0, 0, 0])
        self._script.asked.append(("step", number))
        return self._script.followed.get(number, (TRUTH[number], 0.85))

    def forget(self) -> None:
        self._script.asked.append(("forget", self._script.asked[-1][1]))


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def grounded(script: Script) -> GroundedSam2:
    return GroundedSam2(lambda: script, lambda: script)


def test_one_detection_serves_the_sequence(grounded: GroundedSam2, script: Script) -> None:
    found = grounded.segment(IMAGES, GUESSES)
    np.testing.assert_array_equal(np.stack([m for m in found.masks if m is not None]), TRUTH)
    assert script.steps("detect") == [0] and script.steps("seed") == [0]
    assert script.steps("step") == list(range(1, COUNT))
    np.testing.assert_array_equal(found.scores, [0.9] + [0.85] * 7)
    np.testing.assert_allclose(found.agreement, 27 / 33)
    assert found.reasons == (None,) * COUNT
    assert found.summary == (
        "Grounding DINO found 'robotic arm' in image 0, SAM 2 followed it to 7 more, expected "
        "overlap with the truth 0.85 (least 0.85), overlap with the coarse pose 0.82 (least 0.82)"
    )


def test_from_the_first_sure_image_both_ways(grounded: GroundedSam2, script: Script) -> None:
    script.boxes[0] = []
    script.boxes[1] = [box_around(WRONG)]
    script.in_box[3] = (TRUTH[3], 0.3)
    found = grounded.segment(IMAGES, GUESSES)
    assert all(mask is not None for mask in found.masks)
    # Six images of all times are looked at, until one is sure.
    assert script.steps("detect") == [0, 1, 3, 4]
    # One track forward, one backward, each seeded with the same image.
    assert script.steps("seed") == [4, 4] and len(script.steps("track")) == 2
    assert script.steps("step") == [5, 6, 7, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((NOTHING, 0.0), id="vanished"),
        pytest.param((TRUTH[4], 0.4), id="unsure of itself"),
        pytest.param((WRONG, 0.9), id="contradicts the pose"),
        pytest.param((TRUTH[4] & (np.arange(WIDTH) < 63), 0.9), id="agrees less than usual"),
    ],
)
def test_the_robot_is_found_anew_where_it_is_lost(
    grounded: GroundedSam2, script: Script, bad: tuple[np.ndarray, float]
) -> None:
    script.followed[4] = bad
    found = grounded.segment(IMAGES, GUESSES)
    assert script.steps("detect") == [0, 4]
    where = script.asked.index(("step", 4))
    after = [("step", 4), ("forget", 4), ("detect", 4), ("mask", 4), ("seed", 4), ("step", 5)]
    assert script.asked[where : where + 6] == after
    np.testing.assert_array_equal(found.masks[4], TRUTH[4])
    assert found.scores[4] == 0.9 and "in images 0, 4, SAM 2 followed" in found.summary


def test_what_stays_lost_has_no_mask_but_a_reason(grounded: GroundedSam2, script: Script) -> None:
    script.followed[4] = (NOTHING, 0.0)
    script.boxes[4] = []
    found = grounded.segment(IMAGES, GUESSES)
    assert [k for k, mask in enumerate(found.masks) if mask is None] == [4]
    assert np.isnan(found.scores[4]) and np.isnan(found.agreement[4])
    assert found.reasons[4] == (
        "SAM 2 sees no robot, and the detector found nothing that fits its prompt"
    )
    assert script.steps("forget") == [4] and script.steps("seed") == [0]
    assert f"no mask in image 4 (4: {found.reasons[4]})" in found.summary


def test_nothing_is_looked_for_twice(grounded: GroundedSam2, script: Script) -> None:
    script.boxes[0] = script.boxes[1] = []
    script.followed[0] = script.followed[1] = (NOTHING, 0.0)
    found = grounded.segment(IMAGES, GUESSES)
    assert script.steps("detect") == [0, 1, 3]
    assert found.masks[0] is None and found.masks[1] is None


def test_without_a_guess_the_models_decide(grounded: GroundedSam2, script: Script) -> None:
    found = grounded.segment(IMAGES)
    assert all(mask is not None for mask in found.masks)
    assert np.isnan(found.agreement).all()
    assert "coarse pose" not in found.summary


def test_of_two_boxes_the_one_that_fits_the_pose(grounded: GroundedSam2, script: Script) -> None:
    script.boxes[0] = [box_around(rectangle(80, 110)), box_around(TRUTH[0])]
    found = grounded.segment(IMAGES, GUESSES)
    np.testing.assert_array_equal(found.masks[0], TRUTH[0])
    assert script.steps("detect") == [0]


def test_parts_are_joined(grounded: GroundedSam2, script: Script) -> None:
    upper, lower = rectangle(2, 32, 20, 36), rectangle(2, 32, 34, 50)
    script.boxes[0] = [box_around(upper), box_around(lower)]
    found = grounded.segment(IMAGES, GUESSES)
    np.testing.assert_array_equal(found.masks[0], TRUTH[0])


def test_nowhere_sure_is_an_error(grounded: GroundedSam2, script: Script) -> None:
    script.boxes = {k: [box_around(WRONG)] for k in range(COUNT)}
    with pytest.raises(
        UncertainMasksError, match=r"found for sure in none of 6 images \(image 0: .*coarse pose"
    ):
        grounded.segment(IMAGES, GUESSES)


def test_too_few_masks_are_an_error(grounded: GroundedSam2, script: Script) -> None:
    for k in range(2, COUNT):
        script.followed[k], script.boxes[k] = (NOTHING, 0.0), []
    with pytest.raises(UncertainMasksError, match=r"sure in 2 of 8 images only \(image 2: SAM 2"):
        grounded.segment(IMAGES, GUESSES)
    assert len(grounded.segment(IMAGES[:2], GUESSES[:2]).masks) == 2


def clicking(script: Script, *clicks: Click, detector: bool = False) -> GroundedSam2:
    return GroundedSam2(
        (lambda: script) if detector else None, lambda: script, Prompts(clicks=clicks)
    )


def test_clicks_need_no_detector(script: Script) -> None:
    clicks = Click(2, 40.0, 30.0), Click(2, 1.0, 2.0, False), Click(5, 60.0, 40.0)
    found = clicking(script, *clicks).segment(IMAGES, GUESSES)
    assert script.clicks == [
        (2, [[40.0, 30.0], [1.0, 2.0]], [True, False]),
        (5, [[60.0, 40.0]], [True]),
    ]
    # The second click is taken up on the way.
    assert script.steps("seed") == [2, 5, 2]
    assert script.steps("step") == [3, 4, 6, 7, 1, 0]
    assert found.summary.startswith("clicks show the robot in images 2, 5, SAM 2 followed it to 6")


def test_what_clicks_lose_the_detector_finds(script: Script) -> None:
    script.followed[6] = (WRONG, 0.9)
    click = Click(0, 40.0, 30.0)
    alone = clicking(script, click).segment(IMAGES, GUESSES)
    assert alone.masks[6] is None
    assert alone.reasons[6] is not None and "no detector" in alone.reasons[6]
    both = clicking(script, click, detector=True).segment(IMAGES, GUESSES)
    assert both.masks[6] is not None


def test_a_click_in_an_image_that_is_not_used(script: Script) -> None:
    found = clicking(script, Click(3, 40.0, 30.0)).segment(IMAGES, GUESSES[[1, 4, 6]], [1, 4, 6])
    assert len(found.masks) == 3
    np.testing.assert_array_equal(found.masks[1], TRUTH[4])
    assert script.steps("step") == [4, 6, 1]


def test_a_person_is_believed_more_than_a_pose(script: Script) -> None:
    elsewhere = np.stack([WRONG] * COUNT)
    found = clicking(script, Click(2, 40.0, 30.0)).segment(IMAGES, elsewhere)
    assert all(mask is not None for mask in found.masks)
    assert found.summary.endswith("the clicks contradict the coarse pose, which was not asked")


def test_clicks_that_say_nothing_are_an_error(script: Script) -> None:
    script.in_box[2] = (TRUTH[2], 0.2)
    with pytest.raises(UncertainMasksError, match="the clicks in image 2 do not show what"):
        clicking(script, Click(2, 40.0, 30.0)).segment(IMAGES, GUESSES)


@pytest.mark.parametrize(
    ("click", "why"),
    [
        (Click(9, 1.0, 1.0), "a click is in image 9, but the last image is 7"),
        (Click(0, 120.0, 1.0), "the click 120,1 lies outside image 0, which is 120x60"),
    ],
)
def test_impossible_clicks(script: Script, click: Click, why: str) -> None:
    with pytest.raises(SegmentationError, match=why):
        clicking(script, click).segment(IMAGES, GUESSES)


@pytest.fixture
def keeping(script: Script, tmp_path: Path) -> Callable[..., GroundedSam2]:
    def make(sam2: str = "a", **prompts: Any) -> GroundedSam2:
        kept = KeptMasks(
            MaskCache(tmp_path / "recording.masks"),
            tuple(f"{k:06d}" for k in range(COUNT)),
            {"sam2": sam2, "grounding_dino": "b"},
        )
        return GroundedSam2(lambda: script, lambda: script, Prompts(**prompts), kept=kept)

    return make


def test_kept_masks_need_no_model(
    keeping: Callable[..., GroundedSam2], script: Script, tmp_path: Path
) -> None:
    script.followed[4], script.boxes[4] = (NOTHING, 0.0), []
    first = keeping().segment(IMAGES, GUESSES)
    asked = len(script.asked)
    second = keeping().segment(IMAGES, GUESSES)
    assert len(script.asked) == asked
    for a, b in zip(first.masks, second.masks, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert second.reasons == first.reasons
    (place,) = (tmp_path / "recording.masks").iterdir()
    assert second.summary == f"{first.summary} (kept in {place})"
    assert sorted(path.name for path in place.iterdir()) == [
        *(f"{k:06d}.png" for k in range(COUNT) if k != 4),
        "masks.yaml",
    ]


def test_a_pose_that_draws_nearly_the_same_takes_them_too(
    keeping: Callable[..., GroundedSam2], script: Script
) -> None:
    keeping().segment(IMAGES, GUESSES)
    asked = len(script.asked)
    nearly = GUESSES.copy()
    nearly[:, 20, :] = False
    keeping().segment(IMAGES, nearly)
    assert len(script.asked) == asked
    keeping().segment(IMAGES, TRUTH)
    assert len(script.asked) > asked


def test_other_questions_are_answered_anew(
    keeping: Callable[..., GroundedSam2], script: Script
) -> None:
    keeping().segment(IMAGES, GUESSES)
    changed = [image.copy() for image in IMAGES]
    changed[3][5, 5] = 99
    for make, images, guesses, frames in (
        (keeping("c"), IMAGES, GUESSES, None),
        (keeping(clicks=(Click(0, 40.0, 30.0),)), IMAGES, GUESSES, None),
        (keeping(), changed, GUESSES, None),
        (keeping(), IMAGES, GUESSES[2:], range(2, COUNT)),
        (keeping(), IMAGES, None, None),
    ):
        asked = len(script.asked)
        make.segment(images, guesses, frames)
        assert len(script.asked) > asked


def test_unsure_masks_are_not_kept(
    keeping: Callable[..., GroundedSam2], script: Script, tmp_path: Path
) -> None:
    script.boxes = {k: [] for k in range(COUNT)}
    with pytest.raises(UncertainMasksError):
        keeping().segment(IMAGES, GUESSES)
    assert not (tmp_path / "recording.masks").exists()
