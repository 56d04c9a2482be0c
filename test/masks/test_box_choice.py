# SPDX-License-Identifier: Apache-2.0
"""Which boxes are the robot's, told by a drawn silhouette, by motion, or by scores alone."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from calib_all_ros.masks.box_choice import choose_boxes, motion_map
from calib_all_ros.masks.segmentation import Detections

HEIGHT, WIDTH = 240, 320
ARM = (80.0, 40.0, 180.0, 200.0)
OTHER_ARM = (210.0, 50.0, 300.0, 190.0)
ROOM = (-0.5, -0.5, WIDTH - 0.5, HEIGHT - 0.5)
Box = tuple[float, float, float, float]


def found(*boxes: tuple[Box, float] | tuple[Box, float, str]) -> Detections:
    return Detections(
        np.array([box for box, *_ in boxes], dtype=float).reshape(-1, 4),
        np.array([rest[0] for _, *rest in boxes], dtype=float),
        tuple(str(rest[1]) if len(rest) > 1 else "robotic arm" for _, *rest in boxes),
    )


def drawn(*points: tuple[int, int], width: int = 16) -> np.ndarray:
    """An arm of straight links."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for start, end in pairwise(points):
        cv2.line(mask, start, end, 1, width)
    return mask > 0


# Its box is close to ARM.
SILHOUETTE = drawn((90, 192), (92, 60), (168, 48), (172, 120))


def test_the_box_of_the_drawn_robot_is_chosen_over_higher_scores() -> None:
    detections = found((OTHER_ARM, 0.9), (ROOM, 0.8), (ARM, 0.4))
    chosen = choose_boxes(detections, SILHOUETTE)
    assert chosen.parts == (2,)
    assert chosen.box.tolist() == list(ARM)
    assert chosen.score == 0.4
    assert chosen.agreement > 0.8
    assert "coarse pose" in chosen.why


@pytest.mark.parametrize("shift", [(-12, 10), (15, 15), (0, -25)])
def test_a_coarse_pose_may_be_coarse(shift: tuple[int, int]) -> None:
    drawn_elsewhere = np.roll(SILHOUETTE, (shift[1], shift[0]), axis=(0, 1))
    chosen = choose_boxes(found((OTHER_ARM, 0.9), (ARM, 0.5)), drawn_elsewhere)
    assert chosen.parts == (1,)


def test_parts_of_the_arm_are_joined_and_nothing_else() -> None:
    lower, upper = (78.0, 120.0, 110.0, 202.0), (80.0, 40.0, 182.0, 125.0)
    gripper = (155.0, 90.0, 182.0, 130.0)
    detections = found((OTHER_ARM, 0.9), (lower, 0.5), (gripper, 0.45), (upper, 0.6))
    chosen = choose_boxes(detections, SILHOUETTE)
    assert set(chosen.parts) == {1, 3}
    assert chosen.box.tolist() == [78.0, 40.0, 182.0, 202.0]
    assert chosen.score == 0.6
    assert "2 of 4 boxes joined" in chosen.why


def test_a_part_inside_the_arm_changes_nothing() -> None:
    chosen = choose_boxes(found((ARM, 0.5), ((150.0, 80.0, 178.0, 130.0), 0.8)), SILHOUETTE)
    assert chosen.parts == (0,)


def test_a_person_behind_the_arm_is_left_out() -> None:
    person = (60.0, 10.0, 130.0, 239.0)
    chosen = choose_boxes(found((person, 0.7, "person"), (ARM, 0.5)), SILHOUETTE)
    assert chosen.parts == (1,)


def test_the_whole_room_is_no_answer() -> None:
    with pytest.raises(match="contradict"):
        choose_boxes(found((ROOM, 0.95)), SILHOUETTE)


def test_a_detection_elsewhere_contradicts_the_pose() -> None:
    with pytest.raises(match=r"overlaps the robot .* by 0\.00 and holds 0%"):
        choose_boxes(found((OTHER_ARM, 0.95)), SILHOUETTE)


def test_only_the_gripper_found_is_not_enough() -> None:
    with pytest.raises(match="contradict"):
        choose_boxes(found(((150.0, 80.0, 178.0, 130.0), 0.9)), SILHOUETTE)


def test_a_pose_that_sees_no_robot_says_nothing() -> None:
    with pytest.raises(match="sees no robot"):
        choose_boxes(found((ARM, 0.9)), np.zeros((HEIGHT, WIDTH), bool))


@pytest.mark.parametrize("edge", [81.0, 95.0])
def test_a_box_found_twice_is_no_doubt(edge: float) -> None:
    nearly = (edge, 41.0, 181.0, 201.0)
    chosen = choose_boxes(found((nearly, 0.6), (ARM, 0.55)))
    assert chosen.parts == (0,)
    assert chosen.agreement == pytest.approx(0.6)


def test_a_better_fitting_box_wins_over_a_similar_one_with_a_higher_score() -> None:
    short = (80.0, 40.0, 180.0, 170.0)
    assert choose_boxes(found((short, 0.8), (ARM, 0.4)), SILHOUETTE).parts == (1,)


def test_what_moves_decides_without_a_pose() -> None:
    moving = drawn((92, 60), (168, 48), (172, 120))
    chosen = choose_boxes(found((OTHER_ARM, 0.9), (ROOM, 0.8), (ARM, 0.4)), motion=moving)
    assert chosen.parts == (2,)
    assert chosen.agreement > 0.95
    assert "moves" in chosen.why


def test_parts_that_move_and_touch_are_joined() -> None:
    left, right = (80.0, 40.0, 125.0, 202.0), (123.0, 38.0, 184.0, 130.0)
    chosen = choose_boxes(found((left, 0.6), (right, 0.5)), motion=SILHOUETTE)
    assert set(chosen.parts) == {0, 1}
    assert chosen.agreement > 0.95


def test_a_detection_that_rests_while_something_moves_is_a_doubt() -> None:
    with pytest.raises(match="holds what moves"):
        choose_boxes(found((OTHER_ARM, 0.9)), motion=SILHOUETTE)


def test_two_that_move_apart_are_a_doubt() -> None:
    both = SILHOUETTE | np.roll(SILHOUETTE, 125, axis=1)
    elsewhere = (205.0, 40.0, 305.0, 200.0)
    with pytest.raises(match="something else moves too"):
        choose_boxes(found((ARM, 0.9), (elsewhere, 0.8)), motion=both)


def test_boxes_of_different_size_around_the_same_motion_are_a_doubt() -> None:
    moving = drawn((168, 60), (172, 120))
    forearm = (150.0, 40.0, 190.0, 135.0)
    assert choose_boxes(found((ARM, 0.8), (forearm, 0.6)), motion=moving).parts == (0,)
    with pytest.raises(match="two different boxes hold what moves"):
        choose_boxes(found((ARM, 0.65), (forearm, 0.6)), motion=moving)


def test_nothing_moving_leaves_it_to_the_score() -> None:
    still = np.zeros((HEIGHT, WIDTH), bool)
    assert choose_boxes(found((ARM, 0.7), (OTHER_ARM, 0.4)), motion=still).parts == (0,)
    with pytest.raises(match="nothing moves"):
        choose_boxes(found((ARM, 0.7), (OTHER_ARM, 0.68)), motion=still)


def test_scores_alone_must_be_high_and_clear() -> None:
    chosen = choose_boxes(found((OTHER_ARM, 0.4), (ARM, 0.7)))
    assert chosen.parts == (1,)
    assert chosen.agreement == pytest.approx(0.3)
    with pytest.raises(match=r"scores 0\.40"):
        choose_boxes(found((ARM, 0.4)))
    with pytest.raises(match="about equally"):
        choose_boxes(found((ARM, 0.7), (OTHER_ARM, 0.65)))


def test_what_the_prompt_names_besides_is_left_out() -> None:
    detections = found((OTHER_ARM, 0.9, "person"), (ARM, 0.6, "arm"))
    assert choose_boxes(detections, phrase="robotic arm").parts == (1,)
    with pytest.raises(match="found person, but no robotic arm"):
        choose_boxes(found((ARM, 0.9, "person")), phrase="robotic arm")


@pytest.mark.parametrize(
    ("prompt", "phrase"), [("robot-arm", "robot - arm"), ("manipulator", "mani"), ("arms", "arm")]
)
def test_words_count_however_the_detector_cuts_them(prompt: str, phrase: str) -> None:
    assert choose_boxes(found((ARM, 0.9, phrase)), phrase=prompt).parts == (0,)


def test_nothing_found_says_so() -> None:
    with pytest.raises(match="found nothing"):
        choose_boxes(found(), SILHOUETTE)


def scene(count: int) -> np.ndarray:
    """A textured room with a dark block that stands elsewhere in every image."""
    random = np.random.default_rng(0)
    room = random.uniform(90, 200, (60, 90, 3))
    images = np.stack([room + random.normal(0, 2, room.shape) for _ in range(count)])
    for k in range(count):
        images[k, 20:40, 8 * k : 8 * k + 12] = 30.0
    return images.clip(0, 255).astype(np.uint8)


def test_the_moving_block_is_found_where_it_is() -> None:
    images = scene(9)
    found = motion_map(images[4], list(images))
    assert found is not None
    truth = np.zeros((60, 90), bool)
    truth[20:40, 32:44] = True
    assert np.count_nonzero(found & truth) / np.count_nonzero(found | truth) > 0.9


def test_a_brighter_lamp_is_no_motion() -> None:
    images = scene(9)
    brighter = np.clip(images[4].astype(int) + 25, 0, 255).astype(np.uint8)
    found = motion_map(brighter, list(images))
    assert found is not None
    assert not found[:15].any() and found[22:38, 34:42].all()


def test_what_stands_still_does_not_move() -> None:
    images = np.repeat(scene(1), 5, axis=0)
    found = motion_map(images[0], list(images))
    assert found is not None and not found.any()


def test_two_images_do_not_tell() -> None:
    images = scene(2)
    assert motion_map(images[0], list(images)) is None


def test_a_long_recording_is_sampled() -> None:
    images = scene(10)
    many = [images[k % 10] for k in range(400)]
    found = motion_map(images[3], many)
    assert found is not None and found[22:38, 26:34].all()
