# SPDX-License-Identifier: Apache-2.0
"""Choice of the boxes that hold the robot among those that a detector found.

A detector answers "robotic arm" with the arm, with a part of it, with another robot, and at times
with a person or with the whole room. What else is known decides: the outline drawn with a coarse
pose, without one what moves before the standing camera, without either the detector's own scores.
Contradicting or weak evidence is an error with its reason, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.masks.segmentation import (
    Detections,
    UncertainMasksError,
    box_area,
    box_around,
    box_iou,
    box_union,
    pixels_in_box,
    share_in_box,
)

# The median of these many images is free of a robot that does not rest in half of them.
MAX_SAMPLES = 15
MIN_IMAGES = 3
# Grey levels; JPEG and sensor noise stay below.
MIN_CHANGE = 16.0
NOISE_FACTOR = 6.0
# A box answers a silhouette that is drawn with a pose a tenth of the robot's size off.
MIN_AGREEMENT = 0.5
MIN_HELD = 0.85
# By so much of the robot's size a box may miss a silhouette that it is to hold.
POSE_SLACK = 0.1
# A part adds at least this share of what is to be held, and is mostly where that is expected.
MIN_ADDED = 0.05
MIN_PART_INSIDE = 0.6
# A box that holds nearly all of another is no further part of the same arm.
MAX_SWALLOWED = 0.8
# Two answers closer than this are equally good.
MIN_MARGIN = 0.1
# Overlaps from which boxes are one found twice, and from which they are the same answer.
REPEATED_BOX = 0.9
SAME_ANSWER = 0.7
# Of the moving pixels; the robot's base and links at rest do not move, others' shadows do.
MIN_MOTION_HELD = 0.6
MIN_MOTION_DENSITY = 0.03
# Fewer changed pixels than this share of the image are noise.
MIN_MOTION = 0.001
# The paper's threshold is enough where something else agrees; alone, a score must be higher.
MIN_LONE_SCORE = 0.45
# Nobody sees the whole of a scene as robot.
MAX_IMAGE_SHARE = 0.95


@dataclass(frozen=True)
class ChosenBox:
    """Where the robot is.

    Attributes:
        box: (4,) edges u0, v0, u1, v1 in pixels, around all parts.
        parts: (K,) indices of the detections that it joins, the one that agrees best first.
        score: Highest detection score of the parts, 0 to 1.
        agreement: How well it agrees with what decided: intersection over union with the box of
            the silhouette, held share of the motion, or the margin of the score; 0 to 1.
        why: What decided, in a clause.
    """

    box: NDArray[np.float64]
    parts: tuple[int, ...]
    score: float
    agreement: float
    why: str


def choose_boxes(
    detections: Detections,
    silhouette: NDArray[np.bool_] | None = None,
    motion: NDArray[np.bool_] | None = None,
    phrase: str | None = None,
) -> ChosenBox:
    """Choose the box, or join the boxes, of the robot.

    Args:
        detections: What the detector found in an image of H x W pixels.
        silhouette: (H, W) the robot drawn with a coarse pose in that image; decides if given.
        motion: (H, W) pixels at which that image differs from the others of the standing camera
            (``motion_map``); decides if there is no silhouette.
        phrase: What to find, "robotic arm"; boxes that fit none of its words are left out, which
            lets a prompt name what is not wanted: "robotic arm. person."

    Raises:
        UncertainMasksError: nothing was found, what was found contradicts the silhouette or the
            motion, or several boxes are equally good.
    """
    candidates = _named(detections, phrase)
    if silhouette is not None:
        return _by_silhouette(detections, candidates, silhouette)
    if motion is not None and motion.mean() >= MIN_MOTION:
        return _by_motion(detections, candidates, motion)
    return _by_score(detections, candidates, "nothing moves" if motion is not None else "")


def _named(detections: Detections, phrase: str | None) -> list[int]:
    """Return the boxes that fit a phrase, without repetitions, the highest score first."""
    if not len(detections):
        raise UncertainMasksError("the detector found nothing that fits its prompt")
    wanted = _words(phrase or "")
    kept: list[int] = []
    for index in np.argsort(-detections.scores, kind="stable").tolist():
        words = _words(detections.phrases[index])
        # The detector knows pieces of words; where one scores too little, a part is left.
        if wanted and words and not any(word in whole for word in words for whole in wanted):
            continue
        if all(box_iou(detections.boxes[index], detections.boxes[k]) < REPEATED_BOX for k in kept):
            kept.append(index)
    if not kept:
        found = ", ".join(sorted(set(detections.phrases)))
        raise UncertainMasksError(f"the detector found {found}, but no {phrase}")
    return kept


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.lower()))


def _by_silhouette(
    detections: Detections, candidates: list[int], silhouette: NDArray[np.bool_]
) -> ChosenBox:
    """Choose what agrees with the box around a silhouette and holds most of its pixels."""
    if not silhouette.any():
        raise UncertainMasksError("the coarse pose sees no robot in this image")
    expected = box_around(silhouette)
    boxes = detections.boxes
    ranked = sorted(candidates, key=lambda k: -box_iou(boxes[k], expected))
    parts = ranked[:1]
    for k in ranked[1:]:
        joined = box_union(boxes[[*parts, k]])
        added = share_in_box(silhouette, joined) - share_in_box(silhouette, box_union(boxes[parts]))
        inside = _share_inside(boxes[k], expected) >= MIN_PART_INSIDE
        better = box_iou(joined, expected) > box_iou(box_union(boxes[parts]), expected)
        if inside and better and added >= MIN_ADDED:
            parts.append(k)
    box = box_union(boxes[parts])
    fit = box_iou(box, expected)
    slack = POSE_SLACK * np.tile(expected[2:] - expected[:2], 2) * np.array([-1, -1, 1, 1])
    held = share_in_box(silhouette, box + slack)
    if fit < MIN_AGREEMENT or held < MIN_HELD:
        raise UncertainMasksError(
            f"the best of {_boxes(len(candidates))} overlaps the robot drawn with the coarse pose "
            f"by {fit:.2f} and holds {held:.0%} of it (needed: {MIN_AGREEMENT:.2f} and "
            f"{MIN_HELD:.0%}), so the detector and the pose contradict each other"
        )
    why = f"overlaps the robot drawn with the coarse pose by {fit:.2f} and holds {held:.0%} of it"
    return _chosen(detections, parts, fit, why, len(candidates))


def _by_motion(
    detections: Detections, candidates: list[int], motion: NDArray[np.bool_]
) -> ChosenBox:
    """Choose what holds most of the motion, joining parts that touch each other."""
    boxes = detections.boxes
    image_area = float(motion.size)
    moving = []
    for k in candidates:
        density = pixels_in_box(motion, boxes[k]) / max(box_area(boxes[k]), 1.0)
        if density >= MIN_MOTION_DENSITY and box_area(boxes[k]) < MAX_IMAGE_SHARE * image_area:
            moving.append(k)
    if not moving:
        raise UncertainMasksError(
            f"none of {_boxes(len(candidates))} holds what moves between the images"
        )
    held = {k: share_in_box(motion, boxes[k]) for k in moving}
    most = max(held.values())
    # Of boxes inside each other that hold the same motion, the one the detector is surer of.
    first = max((k for k in moving if held[k] > 0.85 * most), key=lambda k: detections.scores[k])
    parts = [first]
    for k in sorted(moving, key=lambda k: -held[k]):
        joined = box_union(boxes[[*parts, k]])
        added = share_in_box(motion, joined) - share_in_box(motion, box_union(boxes[parts]))
        if k in parts or added < MIN_ADDED or not _is_beside(boxes[k], box_union(boxes[parts])):
            continue
        parts.append(k)
    box = box_union(boxes[parts])
    share = share_in_box(motion, box)
    if share < MIN_MOTION_HELD:
        raise UncertainMasksError(
            f"the box that holds most of what moves between the images holds {share:.0%} of it "
            f"(needed: {MIN_MOTION_HELD:.0%}): something else moves too"
        )
    for k in moving:
        rival = detections.scores[k] > detections.scores[first] - MIN_MARGIN
        if k not in parts and held[k] > 0.85 * most and rival and box_iou(boxes[k], box) < 0.5:
            raise UncertainMasksError(
                f"two different boxes hold what moves, with scores {detections.scores[first]:.2f} "
                f"and {detections.scores[k]:.2f}"
            )
    why = f"holds {share:.0%} of what moves between the images"
    return _chosen(detections, parts, share, why, len(candidates))


def _by_score(detections: Detections, candidates: list[int], context: str) -> ChosenBox:
    """Choose the highest score if it is high and clearly the highest."""
    because = f" and {context}" if context else ""
    best = candidates[0]
    score = float(detections.scores[best])
    if score < MIN_LONE_SCORE:
        raise UncertainMasksError(
            f"the best box scores {score:.2f}, below the {MIN_LONE_SCORE:.2f} that is needed "
            f"where no pose vouches for it{because}"
        )
    others = [
        float(detections.scores[k])
        for k in candidates
        if box_iou(detections.boxes[k], detections.boxes[best]) < SAME_ANSWER
    ]
    margin = score - max(others, default=0.0)
    if margin < MIN_MARGIN:
        raise UncertainMasksError(
            f"{_boxes(1 + len(others))} score about equally ({score:.2f} and {others[0]:.2f}) "
            f"and no pose decides between them{because}"
        )
    why = f"scores {score:.2f}, {margin:.2f} more than any other"
    return _chosen(detections, [best], margin, why, len(candidates))


def _chosen(
    detections: Detections, parts: list[int], agreement: float, why: str, candidates: int
) -> ChosenBox:
    joined = f"{len(parts)} of {_boxes(candidates)} joined" if len(parts) > 1 else "the box"
    left_out = f" (of {_boxes(candidates)})" if candidates > len(parts) == 1 else ""
    return ChosenBox(
        box_union(detections.boxes[parts]),
        tuple(parts),
        float(detections.scores[parts].max()),
        agreement,
        f"{joined}{left_out} {why}",
    )


def _share_inside(box: NDArray[np.float64], around: NDArray[np.float64]) -> float:
    shared = np.concatenate([np.maximum(box[:2], around[:2]), np.minimum(box[2:], around[2:])])
    return box_area(shared) / max(box_area(box), 1.0)


def _is_beside(part: NDArray[np.float64], box: NDArray[np.float64]) -> bool:
    """Whether a box touches another, or nearly: by a twentieth of their sizes, but not holds it."""
    reach = 0.05 * float(np.mean([part[2:] - part[:2], box[2:] - box[:2]]))
    touches = np.all(part[:2] <= box[2:] + reach) and np.all(box[:2] <= part[2:] + reach)
    return bool(touches) and _share_inside(box, part) < MAX_SWALLOWED


def _boxes(count: int) -> str:
    return "1 box" if count == 1 else f"{count} boxes"


def motion_map(
    image: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]]
) -> NDArray[np.bool_] | None:
    """Return the (H, W) pixels at which an image differs from the median of a recording.

    What stands in one place in most images is no motion: a robot's base, or a robot that rests.

    Args:
        image: (H, W, 3) RGB.
        others: (H, W, 3) RGB images of the same camera at other times, ``image`` may be among
            them; at most 15 are used, spread evenly.

    Returns:
        None if there are fewer than 3 images, for then nothing tells what moved.
    """
    if len(others) < MIN_IMAGES:
        return None
    count = min(len(others), MAX_SAMPLES)
    indices = np.linspace(0, len(others) - 1, count).round().astype(int)
    median = np.median(np.stack([others[k] for k in indices]), axis=0).astype(np.float32)
    difference = image.astype(np.float32) - median
    # A lamp or the exposure shifts all pixels alike.
    difference -= np.median(difference, axis=(0, 1))
    change = np.abs(difference).max(axis=2)
    threshold = max(MIN_CHANGE, NOISE_FACTOR * float(np.median(change)))
    changed = cv2.medianBlur((change > threshold).astype(np.uint8), 5)
    return np.asarray(changed > 0)
