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

from calib_all_ros.masks import grounding_dino_arrays
from calib_all_ros.masks.grounding_dino import GroundingDino
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint
from calib_all_ros.models.errors import ModelError, ModelUnavailableError


@pytest.fixture(autouse=True)
def small_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The full size takes seconds and shows nothing more."""
    monkeypatch.setattr(grounding_dino_arrays, "SHORTEST_EDGE", 96)


@pytest.fixture(scope="module")
def detector(tiny_grounding_dino: FoundCheckpoint) -> GroundingDino:
    return GroundingDino(tiny_grounding_dino, "cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
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


def test_both_formats_hold_the_same_model(
    detector: GroundingDino, original_grounding_dino: FoundCheckpoint, image: np.ndarray
) -> None:
    original = GroundingDino(original_grounding_dino, "cpu")
    expected = detector._model.state_dict()
    converted = original._model.state_dict()
    unused = {name for name in expected if ".swin.layernorm." in name}
    assert set(converted) == set(expected)
    different = {name for name in expected if not bool((expected[name] == converted[name]).all())}
    assert different <= unused
    ours, theirs = (d.detect(image, "robotic arms. person", 0.0) for d in (detector, original))
    assert ours.boxes == pytest.approx(theirs.boxes, abs=1e-3)
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-6)
    assert ours.phrases == theirs.phrases


def test_both_formats_are_found_on_disk(
    tiny_grounding_dino: FoundCheckpoint, original_grounding_dino: FoundCheckpoint
) -> None:
    for checkpoint in (tiny_grounding_dino, original_grounding_dino):
        found = find_checkpoint("grounding_dino", checkpoint.path.parent)
        assert (found.path, found.kind) == (checkpoint.path, checkpoint.kind)


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


def test_the_vocabulary_must_lie_beside_the_authors_file(
    original_grounding_dino: FoundCheckpoint, tmp_path: Path
) -> None:
    alone = Path(shutil.copy(original_grounding_dino.path, tmp_path))
    checkpoint = replace(original_grounding_dino, path=alone)
    with pytest.raises(ModelUnavailableError, match=r"no vocab\.txt .* download vocab\.txt of"):
        GroundingDino(checkpoint, "cpu")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n?\n")
    with pytest.raises(ModelUnavailableError, match="not that of BERT"):
        GroundingDino(checkpoint, "cpu")
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelUnavailableError, match="cannot be read"):
        GroundingDino(checkpoint, "cpu")


def test_a_tokenizer_file_serves_too(
    tiny_grounding_dino: FoundCheckpoint, tmp_path: Path, detector: GroundingDino
) -> None:
    folder = shutil.copytree(tiny_grounding_dino.path, tmp_path / "folder")
    detector._tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    reread = GroundingDino(replace(tiny_grounding_dino, path=folder), "cpu")
    assert reread._tokenizer("robotic arms.")["input_ids"] == [101, 1030, 1031, 1033, 1012, 102]


def test_damaged_files_are_told_from_others(
    original_grounding_dino: FoundCheckpoint, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    shutil.copy(original_grounding_dino.path.parent / "vocab.txt", tmp_path)
    path = tmp_path / original_grounding_dino.path.name
    checkpoint = replace(original_grounding_dino, path=path)
    content = original_grounding_dino.path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="cannot be read"):
        GroundingDino(checkpoint, "cpu")
    torch.save({"blocks.0.norm1.weight": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="no weights under 'model'"):
        GroundingDino(checkpoint, "cpu")
    torch.save({"model": {"blocks.0.norm1.weight": torch.zeros(2)}}, path)
    with pytest.raises(ModelError, match="another model's"):
        GroundingDino(checkpoint, "cpu")
    weights = torch.load(original_grounding_dino.path, weights_only=True)["model"]
    del weights["module.transformer.encoder.layers.1.norm1.weight"]
    torch.save({"model": weights}, path)
    with pytest.raises(ModelError, match="no complete Grounding DINO, 1 of its weights"):
        GroundingDino(checkpoint, "cpu")


def test_code_in_a_checkpoint_is_not_run(
    original_grounding_dino: FoundCheckpoint, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    shutil.copy(original_grounding_dino.path.parent / "vocab.txt", tmp_path)
    path = tmp_path / original_grounding_dino.path.name
    torch.save({"model": {}, "epoch": Touch(tmp_path / "was_run")}, path)
    with pytest.raises(ModelError, match="cannot be read"):
        GroundingDino(replace(original_grounding_dino, path=path), "cpu")
    assert not (tmp_path / "was_run").exists()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_missing_library_is_named(
    tiny_grounding_dino: FoundCheckpoint, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModelUnavailableError, match=rf"^{library} is not installed"):
        GroundingDino(tiny_grounding_dino, "cpu")
