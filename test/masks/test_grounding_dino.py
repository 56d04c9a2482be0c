# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO with random weights on disk, through the real loading and inference."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.masks import grounding_dino
from calib_all_ros.masks.grounding_dino import (
    MEAN,
    STANDARD_DEVIATION,
    GroundingDino,
    detections,
    input_pixels,
    input_size,
    prompt_text,
)
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import ModelError, ModelUnavailableError

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
    with pytest.raises(CalibAllError, match="names nothing"):
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


@pytest.fixture
def small_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The full size takes seconds and shows nothing more."""
    monkeypatch.setattr(grounding_dino, "SHORTEST_EDGE", 96)


@pytest.fixture(scope="module")
def detector(tiny_grounding_dino: FoundCheckpoint) -> GroundingDino:
    return GroundingDino(tiny_grounding_dino, "cpu")


@pytest.fixture
def image(small_input: None) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)


def test_every_query_is_a_box_in_the_image(detector: GroundingDino, image: np.ndarray) -> None:
    found = detector.detect(image, box_threshold=0.0)
    assert found.boxes.shape == (20, 4) and found.boxes.dtype == np.float64
    assert (found.boxes >= -0.5).all() and (found.boxes <= [159.5, 119.5, 159.5, 119.5]).all()
    assert (found.boxes[:, 2:] >= found.boxes[:, :2]).all()
    assert (np.diff(found.scores) <= 0).all() and found.scores.dtype == np.float64
    assert {word for phrase in found.phrases for word in phrase.split()} <= {"robotic", "arm"}


def test_thresholds_leave_out_what_scores_less(detector: GroundingDino, image: np.ndarray) -> None:
    scores = detector.detect(image, box_threshold=0.0).scores
    middle = float(np.median(scores))
    kept = detector.detect(image, box_threshold=middle)
    assert 0 < len(kept) < 20
    assert kept.scores == pytest.approx(scores[scores > middle])
    assert detector.detect(image, box_threshold=0.0, text_threshold=1.0).phrases == ("",) * 20


def test_the_same_image_gives_the_same_boxes(detector: GroundingDino, image: np.ndarray) -> None:
    first, second = (detector.detect(image, box_threshold=0.0) for _ in range(2))
    assert (first.boxes == second.boxes).all() and (first.scores == second.scores).all()


def test_prompts_are_read_alike_however_written(detector: GroundingDino, image: np.ndarray) -> None:
    plain = detector.detect(image, "robotic arm", 0.0)
    written = detector.detect(image, " Robotic  ARM. ", 0.0)
    other = detector.detect(image, "person", 0.0)
    assert (plain.scores == written.scores).all()
    assert np.abs(plain.scores - other.scores).max() > 1e-3


def test_a_planted_answer_comes_back_in_image_pixels(
    detector: GroundingDino, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    asked: dict[str, Any] = {}

    def answer(**inputs: Any) -> SimpleNamespace:
        asked.update(inputs)
        logits = torch.full((1, 2, 256), -torch.inf)
        logits[0, :, :6] = -5.0
        logits[0, 1, 2:4] = 1.0
        boxes = torch.tensor([[[0.5, 0.5, 1.0, 1.0], [0.75, 0.25, 0.5, 0.5]]])
        return SimpleNamespace(logits=logits, pred_boxes=boxes)

    monkeypatch.setattr(detector, "_model", answer)
    found = detector.detect(image, "Robotic arms")
    assert found.boxes == pytest.approx(np.array([[79.5, -0.5, 159.5, 59.5]]))
    assert found.scores == pytest.approx([1 / (1 + np.exp(-1))])
    assert found.phrases == ("arms",)
    assert asked["input_ids"].tolist() == [[101, 1030, 1031, 1033, 1012, 102]]
    assert asked["pixel_values"].shape == (1, 3, 96, 128)
    assert asked["pixel_values"].dtype == torch.float32


def test_half_precision_on_disk_is_computed_in_single(
    tiny_grounding_dino: FoundCheckpoint, tmp_path: Path, image: np.ndarray
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_grounding_dino.path, tmp_path / "half")
    weights = load_file(folder / "model.safetensors")
    halves = {name: weight.half() for name, weight in weights.items()}
    save_file(halves, folder / "model.safetensors", {"format": "pt"})
    half = GroundingDino(replace(tiny_grounding_dino, path=folder), "cpu")
    assert {p.dtype for p in half._model.parameters()} == {torch.float32}
    assert len(half.detect(image, box_threshold=0.0)) == 20


def test_a_tokenizer_file_serves_too(
    tiny_grounding_dino: FoundCheckpoint, tmp_path: Path, detector: GroundingDino
) -> None:
    folder = shutil.copytree(tiny_grounding_dino.path, tmp_path / "folder")
    detector._tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    reread = GroundingDino(replace(tiny_grounding_dino, path=folder), "cpu")
    assert reread._tokenizer("robotic arms.")["input_ids"] == [101, 1030, 1031, 1033, 1012, 102]


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_missing_library_is_named(
    tiny_grounding_dino: FoundCheckpoint, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModelUnavailableError, match=rf"^{library} is not installed"):
        GroundingDino(tiny_grounding_dino, "cpu")


def test_the_vocabulary_must_be_there(tiny_grounding_dino: FoundCheckpoint, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_grounding_dino.path, tmp_path / "folder")
    checkpoint = replace(tiny_grounding_dino, path=folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelError, match=r"folder has no vocab\.txt .*download it again"):
        GroundingDino(checkpoint, "cpu")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"vocabulary in .* cannot be read .*download it again"):
        GroundingDino(checkpoint, "cpu")


def test_damaged_folders_are_told_from_incomplete_ones(
    tiny_grounding_dino: FoundCheckpoint, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_grounding_dino.path, tmp_path / "folder")
    checkpoint, path = replace(tiny_grounding_dino, path=folder), folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.encoder.layers.1.deformable_layer.self_attn_layer_norm.weight"]
    # What was loaded is mapped into memory: its file must not be written over.
    path.unlink()
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks \d+ of Grounding DINO's weights"):
        GroundingDino(checkpoint, "cpu")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:1000])
    with pytest.raises(ModelError, match=r"cannot be loaded as Grounding DINO .*download it again"):
        GroundingDino(checkpoint, "cpu")
