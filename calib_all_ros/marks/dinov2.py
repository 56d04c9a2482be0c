# SPDX-License-Identifier: Apache-2.0
"""DINOv2 (Oquab et al., 2023) as transformers implements it, with or without registers.

The features are the patch tokens after the last layer and its norm, as in the code of CalibAll's
authors. Unlike there, images keep their aspect ratio and are normalised as DINOv2 was trained.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.marks.matching import FeatureMap, on_patch_grid, unit_length
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import failures_of, load_pretrained, require

WORKING_PX = 784
"""Working size of an image's longer side, 56 patches; the authors of CalibAll take as many."""


class Dinov2Features:
    """Features of images, computed with DINOv2.

    Args:
        checkpoint: Folder of transformers' format.
        device: As torch calls it.
        longer_side_px: Working size of an image's longer side.

    Raises:
        ModelUnavailableError: torch or transformers is missing.
        ModelError: The checkpoint cannot be loaded, or is not complete.
    """

    def __init__(
        self, checkpoint: FoundCheckpoint, device: str, longer_side_px: int = WORKING_PX
    ) -> None:
        self.name = f"DINOv2 ({checkpoint.variant})"
        model = load_pretrained("AutoModel", checkpoint.path, "DINOv2")
        with failures_of(self.name):
            self._model = model.to(device)
        self._device = device
        self._longer_side_px = longer_side_px

    def __call__(self, image: NDArray[np.uint8], /) -> FeatureMap:
        """Return the features of an RGB image, (H, W, 3).

        Raises:
            MarkError: It is no RGB image, or the features are not finite.
            ModelError: The device fails.
        """
        torch = require("torch", "foundation")
        config = self._model.config
        pixels, grid = on_patch_grid(image, config.patch_size, self._longer_side_px)
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        with failures_of(self.name), torch.inference_mode():
            output = self._model(pixel_values=torch.from_numpy(batch).to(self._device))
            tokens = output.last_hidden_state[0].cpu().numpy()
        first = 1 + getattr(config, "num_register_tokens", 0)
        rows, columns = (side // config.patch_size for side in pixels.shape[:2])
        return FeatureMap(unit_length(tokens[first:].reshape(rows, columns, -1)), grid)
