# SPDX-License-Identifier: Apache-2.0
"""Prompts, the model's input and its answer, on arrays with known results."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.masks.grounding_dino_arrays import (
    MEAN,
    STANDARD_DEVIATION,
    PromptError,
    detections,
    input_pixels,
    input_size,
    prompt_text,
)

TOKENS = ("[CLS]", "robotic", "arm", "##s", ".", "person", ".", "[SEP]")


def log_odds(*probabilities: float) -> np.ndarray:
    """Return a query's answer, padded as the model pads it."""
    share = np.array(probabilities)
    return np.concatenate([np.log(share / (1 - share)), np.full(248, -np.inf)]).astype(np.float32)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("robotic arm", "robotic arm."),
        ("  Robotic  ARM. ", "robotic arm."),
        ("robotic arm.person", "robotic arm. person."),
        ("robotic arm . Gripper.. ", "robotic arm. gripper."),
    ],
)
def test_prompts_are_written_as_in_training(prompt: str, text: str) -> None:
    assert prompt_text(prompt) == text


@pytest.mark.parametrize("prompt", ["", " . "])
def test_a_prompt_without_words_is_refused(prompt: str) -> None:
    with pytest.raises(PromptError, match="names nothing"):
        prompt_text(prompt)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ((640, 480), (1066, 800)),
        ((480, 640), (800, 1066)),
        ((1920, 1080), (1333, 750)),
        ((800, 800), (800, 800)),
        ((3000, 500), (1333, 222)),
    ],
)
def test_the_input_keeps_the_aspect_ratio_within_limits(
    image: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert input_size(*image) == expected


@pytest.mark.parametrize("size", [(480, 640), (1000, 1500)])
def test_pixels_are_normalised_channel_by_channel(size: tuple[int, int]) -> None:
    image = np.broadcast_to(np.array([255, 0, 51], np.uint8), (*size, 3))
    pixels = input_pixels(np.ascontiguousarray(image))
    assert pixels.dtype == np.float32 and pixels.shape == (3, *input_size(*size[::-1])[::-1])
    expected = (np.array([1.0, 0.0, 0.2]) - MEAN) / STANDARD_DEVIATION
    assert np.abs(pixels - expected[:, None, None]).max() < 1e-5


def test_the_image_is_not_turned_or_shifted() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[96:192, 320:448] = 255
    bright = input_pixels(image)[0] > 0.0
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (160, 320)
    assert columns[0] == pytest.approx(320 * 1066 / 640, abs=1)
    assert columns[-1] + 1 == pytest.approx(448 * 1066 / 640, abs=1)


def test_boxes_come_back_in_image_pixels() -> None:
    logits = np.stack([log_odds(*[0.01] * 8), log_odds(0.01, 0.6, 0.7, *[0.01] * 5)])
    boxes = np.array([[0.5, 0.5, 1.0, 1.0], [0.25, 0.5, 0.5, 0.2]], np.float32)
    found = detections(logits, boxes, TOKENS, (640, 480), 0.35, 0.3)
    # A box over the left half covers the pixels 0 to 319, whose outer edges are these.
    assert found.boxes == pytest.approx(np.array([[-0.5, 191.5, 319.5, 287.5]]), abs=1e-4)
    assert found.scores == pytest.approx([0.7])
    assert found.phrases == ("robotic arm",)
    assert found.boxes.dtype == found.scores.dtype == np.float64


def test_boxes_are_cut_at_the_image() -> None:
    boxes = np.array([[0.9, 0.1, 0.4, 0.4]], np.float32)
    found = detections(log_odds(*[0.9] * 8)[None], boxes, TOKENS, (100, 50), 0.35, 0.3)
    assert found.boxes == pytest.approx(np.array([[69.5, -0.5, 99.5, 14.5]]), abs=1e-4)


def test_the_best_come_first_and_thresholds_exclude() -> None:
    best = [0.36, 0.9, 0.35, 0.5]
    logits = np.stack([log_odds(0.01, p, *[0.01] * 6) for p in best])
    boxes = np.tile(np.array([[0.5, 0.5, 0.2, 0.2]], np.float32), (4, 1))
    found = detections(logits, boxes, TOKENS, (100, 100), 0.3501, 0.3)
    assert found.scores == pytest.approx([0.9, 0.5, 0.36], abs=1e-6)


def test_phrases_are_the_words_above_the_text_threshold() -> None:
    logits = np.stack(
        [
            log_odds(0.9, 0.5, 0.5, 0.5, 0.9, 0.1, 0.1, 0.9),
            log_odds(0.1, 0.1, 0.1, 0.1, 0.1, 0.4, 0.9, 0.1),
            log_odds(0.8, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1),
        ]
    )
    boxes = np.tile(np.array([[0.5, 0.5, 0.2, 0.2]], np.float32), (3, 1))
    found = detections(logits, boxes, TOKENS, (100, 100), 0.35, 0.3)
    assert dict(zip(found.phrases, found.scores.round(3), strict=True)) == {
        "robotic arms": 0.9,
        "person": 0.9,
        "": 0.8,
    }


def test_no_box_is_an_answer() -> None:
    boxes = np.array([[0.5, 0.5, 0.2, 0.2]], np.float32)
    found = detections(log_odds(*[0.1] * 8)[None], boxes, TOKENS, (100, 100), 0.35, 0.3)
    assert len(found) == 0 and found.boxes.shape == (0, 4) and found.phrases == ()
