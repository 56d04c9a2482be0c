# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO, the open-vocabulary detector of Liu et al. (2023), as transformers runs it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.masks.bert_tokenizer import load_tokenizer
from calib_all_ros.masks.detections import Detections
from calib_all_ros.masks.grounding_dino_arrays import detections, input_pixels, prompt_text
from calib_all_ros.masks.grounding_dino_loading import load_grounding_dino
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import require


class GroundingDino:
    """Finds boxes that answer a text.

    Args:
        checkpoint: A transformers folder (``grounding-dino-tiny``), or the authors' file
            (``groundingdino_swint_ogc.pth``) with BERT's ``vocab.txt`` beside it.
        device: As torch calls it, from ``choose_device``.

    Raises:
        ModelUnavailableError: torch, transformers or the vocabulary is missing.
        ModelError: the checkpoint is damaged or another model's.
    """

    def __init__(self, checkpoint: FoundCheckpoint, device: str) -> None:
        self._torch = require("torch", "foundation")
        folder = checkpoint.path.parent if checkpoint.kind == "original" else checkpoint.path
        self._tokenizer = load_tokenizer(folder)
        self._model = load_grounding_dino(checkpoint).to(device)
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
            PromptError: the prompt names nothing.
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
