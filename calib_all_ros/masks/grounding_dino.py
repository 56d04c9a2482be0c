# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO, the open-vocabulary detector of Liu et al. (2023), as transformers runs it.

Prompt, image size, normalisation and thresholds as in the authors' inference
(https://github.com/IDEA-Research/GroundingDINO, groundingdino/util/inference.py), without the
libraries that it needs for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.masks.segmentation import Detections
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import ModelError, load_pretrained, reason_of, require

SHORTEST_EDGE = 800
LONGEST_EDGE = 1333
# Of ImageNet, RGB of 0 to 1.
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STANDARD_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
VOCABULARY_FILES = ("vocab.txt", "tokenizer.json")
_NO_WORDS = ("[CLS]", "[SEP]", "[PAD]", ".", "?")


def prompt_text(prompt: str) -> str:
    """Return a prompt as the model was trained on: lower case, each phrase ended by a full stop.

    Args:
        prompt: One phrase, "Robotic arm", or several: "robotic arm. person".

    Raises:
        CalibAllError: there is no word in it.
    """
    phrases = [" ".join(phrase.split()) for phrase in prompt.lower().split(".")]
    named = [phrase for phrase in phrases if phrase]
    if not named:
        raise CalibAllError(f"the prompt '{prompt}' names nothing; say what to find: robotic arm")
    return ". ".join(named) + "."


def input_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) of the model's input: shortest edge 800, longest at most 1333."""
    short, long = min(width, height), max(width, height)
    edge = min(SHORTEST_EDGE, LONGEST_EDGE * short / long)
    other = int(edge * long / short)
    return (round(edge), other) if width <= height else (other, round(edge))


def input_pixels(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the (3, h, w) resized and normalised form of an (H, W, 3) RGB image.

    Reduction averages what a pixel covers, so that fine texture does not alias.
    """
    height, width = image.shape[:2]
    size = input_size(width, height)
    interpolation = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
    resized = cv2.resize(image, size, interpolation=interpolation).astype(np.float32)
    normalised = (resized / np.float32(255.0) - MEAN) / STANDARD_DEVIATION
    return np.ascontiguousarray(normalised.transpose(2, 0, 1), dtype=np.float32)


def detections(
    logits: NDArray[np.float32],
    boxes: NDArray[np.float32],
    tokens: Sequence[str],
    size: tuple[int, int],
    box_threshold: float,
    text_threshold: float,
) -> Detections:
    """Return the boxes that a text token fits well enough, the best first.

    Args:
        logits: (Q, T) how well each of the prompt's tokens fits each of the queries, as
            log-odds; columns beyond the tokens, which the model pads, are -inf.
        boxes: (Q, 4) centre, width and height as shares of the image, u before v.
        tokens: The prompt's word pieces with [CLS] and [SEP].
        size: (W, H) of the image in pixels.
        box_threshold: 0 to 1, boxes whose best token scores no more are left out.
        text_threshold: 0 to 1, tokens that score more make up the box's phrase.
    """
    with np.errstate(over="ignore"):
        probabilities = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    scores = probabilities.max(axis=1)
    kept = np.flatnonzero(scores > box_threshold)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    centres, extents = boxes[kept, :2].astype(np.float64), boxes[kept, 2:].astype(np.float64)
    shares = np.concatenate([centres - extents / 2, centres + extents / 2], axis=1)
    # The image's left edge is at -0.5, for the centre of its first pixel is at 0.
    edges = np.clip(shares, 0.0, 1.0) * np.array([*size, *size]) - 0.5
    phrases = tuple(_phrase(probabilities[k], tokens, text_threshold) for k in kept)
    return Detections(edges, scores[kept], phrases)


def _phrase(
    probabilities: NDArray[np.float64], tokens: Sequence[str], text_threshold: float
) -> str:
    words = [
        token
        for token, probability in zip(tokens, probabilities, strict=False)
        if probability > text_threshold and token not in _NO_WORDS
    ]
    return " ".join(words).replace(" ##", "")


def _load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of BERT, uncased, with the vocabulary of a folder."""
    tokenizer_class = require("transformers", "foundation").BertTokenizer
    # Without a file transformers would make one up that knows no words.
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):
        raise ModelError(f"{folder} has no {' and no '.join(VOCABULARY_FILES)}: download it again")
    try:
        return tokenizer_class.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library that parses raises bare exceptions
        raise ModelError(
            f"the vocabulary in {folder} cannot be read ({reason_of(error)}): download it again"
        ) from error


class GroundingDino:
    """Finds boxes that answer a text.

    Args:
        checkpoint: A folder of transformers' format (``grounding-dino-tiny``).
        device: As torch calls it, from ``choose_device``.

    Raises:
        ModelUnavailableError: torch or transformers is missing.
        ModelError: the checkpoint is damaged, not complete or another model's.
    """

    def __init__(self, checkpoint: FoundCheckpoint, device: str) -> None:
        self._torch = require("torch", "foundation")
        folder, title = checkpoint.path, "Grounding DINO"
        model = load_pretrained("GroundingDinoForObjectDetection", folder, title)
        self._tokenizer = _load_tokenizer(folder)
        self._model = model.to(device)
        self._device = device

    def detect(
        self,
        image: NDArray[np.uint8],
        prompt: str = "robotic arm",
        box_threshold: float = 0.35,
        text_threshold: float = 0.3,
    ) -> Detections:
        """Return the boxes that answer a prompt, the best first.

        Args:
            image: (H, W, 3) RGB.
            prompt: What to find; several phrases are separated by full stops.
            box_threshold: Boxes whose best word scores no more are left out (0.35 in CalibAll).
            text_threshold: Words that score more make up a box's phrase (0.3 in CalibAll).

        Raises:
            CalibAllError: the prompt names nothing.
        """
        text = self._tokenizer(prompt_text(prompt), return_tensors="pt").to(self._device)
        pixels = self._torch.from_numpy(input_pixels(image))[None].to(self._device)
        with self._torch.inference_mode():
            answer = self._model(pixel_values=pixels, **text)
        return detections(
            answer.logits[0].cpu().numpy(),
            answer.pred_boxes[0].cpu().numpy(),
            self._tokenizer.convert_ids_to_tokens(text["input_ids"][0].tolist()),
            (image.shape[1], image.shape[0]),
            box_threshold,
            text_threshold,
        )
