# SPDX-License-Identifier: Apache-2.0
"""One image after the other through SAM 2 (Ravi et al., 2024) as transformers implements it.

Its image processors are not used, for they need torchvision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from calib_all_ros.masks.sam2_pixels import image_masks
from calib_all_ros.masks.sam2_weights import load_sam2
from calib_all_ros.masks.segmentation import Image, ScoredMasks
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import require

# Of ImageNet, which the image encoder was trained with.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Sam2Inference:
    """A loaded model. Raises what :func:`load_sam2` raises."""

    def __init__(self, checkpoint: FoundCheckpoint, device: str) -> None:
        self._torch = require("torch", "foundation")
        self._transformers = require("transformers", "foundation")
        self._model = load_sam2(checkpoint).to(device)
        self._device = device
        self.size = int(self._model.config.image_size)
        # Older images than these are not looked up: the pointers reach farther than the masks.
        self.reach = max(
            self._model.config.max_object_pointers_in_encoder, self._model.config.num_maskmem
        )
        self._iou: list[float] = []
        # The video model keeps the predicted IoU to itself; its mask decoder tells.
        self._model.mask_decoder.register_forward_hook(
            lambda _module, _inputs, output: self._iou.append(float(output[1].max()))
        )

    def session(self) -> Any:
        """Return the state of a sequence whose images are handed over one by one."""
        return self._transformers.Sam2VideoInferenceSession(
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=self._torch.float32,
        )

    def run(self, session: Any, image: Image, frame: int, remember: bool = True) -> ScoredMasks:
        """Return what is seen of the objects of a session in an (H, W, 3) RGB image.

        Args:
            session: Where the prompts were added.
            image: The image.
            frame: Its number in the session.
            remember: Whether later images are to learn from it.
        """
        self._iou.clear()
        pixels = self._pixels(image)
        out = self._model(session, frame=pixels, frame_idx=frame, run_mem_encoder=remember)
        session.processed_frames.clear()
        logits = out.pred_masks.float().flatten(0, -3).cpu().numpy()
        seen = out.object_score_logits.flatten().cpu().numpy() > 0
        return ScoredMasks(image_masks(logits, image.shape), np.array(self._iou) * seen)

    def tensor(self, values: Any) -> Any:
        """Return values as a tensor on the model's device."""
        return self._torch.as_tensor(values, device=self._device)

    def square(self, planes: Any) -> Any:
        """Return a (1, C, H, W) tensor resized to what the model sees, (1, C, size, size)."""
        return self._torch.nn.functional.interpolate(
            planes, (self.size, self.size), mode="bilinear", align_corners=False, antialias=True
        )

    def _pixels(self, image: Image) -> Any:
        planes = self.tensor(image).permute(2, 0, 1)[None].float() / 255.0
        mean, deviation = (self.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        return (self.square(planes) - mean) / deviation
