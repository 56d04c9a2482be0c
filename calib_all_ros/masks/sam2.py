# SPDX-License-Identifier: Apache-2.0
"""SAM 2 (Ravi et al., 2024): masks from boxes and clicks, followed from image to image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.masks.sam2_inference import Sam2Inference
from calib_all_ros.masks.sam2_pixels import BOTTOM_RIGHT, OFF, ON, TOP_LEFT, model_points
from calib_all_ros.masks.sam2_track import Sam2Track
from calib_all_ros.masks.segmentation import Image, ScoredMasks
from calib_all_ros.models.checkpoints import FoundCheckpoint


class Sam2:
    """A loaded model; satisfies ``Segmenter``.

    Args:
        checkpoint: A folder of transformers' format or a file of the authors.
        device: What ``choose_device`` returned.

    Raises:
        ModelUnavailableError: torch or transformers is missing.
        ModelError: the checkpoint cannot be used.
    """

    def __init__(self, checkpoint: FoundCheckpoint, device: str) -> None:
        self._model = Sam2Inference(checkpoint, device)

    def box_masks(self, image: Image, boxes: NDArray[np.float64]) -> ScoredMasks:
        """Return the mask in each of (K, 4) boxes u0, v0, u1, v1 of an (H, W, 3) RGB image."""
        corners = model_points(boxes.reshape(-1, 2, 2), image.shape, self._model.size)
        return self._prompted(image, corners, [TOP_LEFT, BOTTOM_RIGHT])

    def clicked_mask(
        self, image: Image, pixels: NDArray[np.float64], on_robot: NDArray[np.bool_]
    ) -> ScoredMasks:
        """Return the one mask that (P, 2) clicks mean, (P,) of them on the robot."""
        points = model_points(pixels[None], image.shape, self._model.size)
        return self._prompted(image, points, np.where(on_robot, ON, OFF).tolist())

    def track(self) -> Sam2Track:
        """Return a track that knows nothing yet."""
        return Sam2Track(self._model)

    def _prompted(
        self, image: Image, points: NDArray[np.float32], labels: list[int]
    ) -> ScoredMasks:
        """Return the masks of K prompts with (K, P, 2) points that have the same P labels."""
        if not len(points):
            return ScoredMasks(np.zeros((0, *image.shape[:2]), dtype=bool), np.zeros(0))
        session = self._model.session()
        for number, own in enumerate(points):
            coordinates, kinds = self._model.tensor(own[None, None]), [[labels]]
            prompt = {"point_coords": coordinates, "point_labels": self._model.tensor(kinds)}
            session.add_point_inputs(session.obj_id_to_idx(number), 0, prompt)
        session.obj_with_new_inputs = list(range(len(points)))
        return self._model.run(session, image, 0, remember=False)
