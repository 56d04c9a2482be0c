# SPDX-License-Identifier: Apache-2.0
"""One object through a sequence of images, by the memory of SAM 2 (Ravi et al., 2024)."""

from __future__ import annotations

from calib_all_ros.masks.sam2_inference import Sam2Inference
from calib_all_ros.masks.segmentation import Image, Mask, ScoredMasks

# Seeds that a track remembers; with all of them its memory would grow with the recording.
MAX_SEEDS = 4


class Sam2Track:
    """The robot through images in the order in which they are given; satisfies ``MaskTrack``.

    Running backward in time is nothing but giving the images in reverse, for SAM 2's memory knows
    how many images ago something was, not which way time ran. The memory is bounded: a mask's
    features for the images that can be looked up, and the last few seeds.
    """

    def __init__(self, model: Sam2Inference) -> None:
        self._model = model
        self._session = model.session()
        self._object = self._session.obj_id_to_idx(0)
        self._next = 0

    def seed(self, image: Image, mask: Mask) -> None:
        """Say where the robot is, (H, W) bool, in the next image, (H, W, 3) RGB."""
        planes = self._model.square(self._model.tensor(mask)[None, None].float())
        self._session.add_mask_inputs(self._object, self._next, (planes >= 0.5).float())
        self._session.obj_with_new_inputs = [0]
        self._advance(image)

    def step(self, image: Image) -> tuple[Mask, float]:
        """Return mask (H, W) and predicted IoU in the next image; empty and 0 if it vanished."""
        seen = self._advance(image)
        return seen.masks[0], float(seen.predicted_iou[0])

    def forget(self) -> None:
        """Take the last step back, which turned out wrong, so that nothing is learnt from it."""
        self._next -= 1
        self._session.output_dict_per_obj[self._object]["non_cond_frame_outputs"].pop(self._next)
        self._session.frames_tracked_per_obj[self._object].pop(self._next)

    def _advance(self, image: Image) -> ScoredMasks:
        # The features of an image are kept under its number, which a forgotten one may have had.
        self._session.cache.clear_all()
        seen = self._model.run(self._session, image, self._next)
        self._next += 1
        self._let_go()
        return seen

    def _let_go(self) -> None:
        """Drop what no later image looks at."""
        outputs = self._session.output_dict_per_obj[self._object]
        seeds, steps = outputs["cond_frame_outputs"], outputs["non_cond_frame_outputs"]
        old_seeds = sorted(seeds)[:-MAX_SEEDS]
        old_steps = [frame for frame in steps if frame < self._next - self._model.reach]
        for frame in (*old_seeds, *old_steps):
            seeds.pop(frame, None)
            steps.pop(frame, None)
            self._session.frames_tracked_per_obj[self._object].pop(frame, None)
        self._session.mask_inputs_per_obj[self._object].clear()
        for output in (*seeds.values(), *steps.values()):
            output.pop("high_res_masks", None)
