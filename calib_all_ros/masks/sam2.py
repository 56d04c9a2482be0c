# SPDX-License-Identifier: Apache-2.0
"""SAM 2 (Ravi et al., 2024): masks from boxes and clicks, followed from image to image.

transformers' image processors are not used, for they need torchvision. SAM 2 sees every image as a
square. Pixel centres lie at integers, so an image of W pixels reaches from -0.5 to W - 0.5.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.masks.segmentation import Image, Mask, ScoredMasks
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import load_pretrained, require

# Labels of SAM's prompt encoder; the last two are the corners of a box.
OFF, ON, TOP_LEFT, BOTTOM_RIGHT = 0, 1, 2, 3
# Of ImageNet, which the image encoder was trained with.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Seeds that a track remembers; with all of them its memory would grow with the recording.
MAX_SEEDS = 4


def model_points(
    points: NDArray[np.float64], image_shape: tuple[int, ...], model_size: int
) -> NDArray[np.float32]:
    """Return where (..., 2) points u, v of an image lie in the square that the model sees.

    Args:
        points: Pixels or corners of boxes.
        image_shape: (H, W, ...) of the image.
        model_size: Side of the square. Its pixel centres lie at integers too.
    """
    scale = model_size / np.array([image_shape[1], image_shape[0]], dtype=np.float64)
    return np.asarray((points + 0.5) * scale - 0.5, dtype=np.float32)


def image_masks(logits: NDArray[np.float32], image_shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (K, H, W) masks at an image's resolution from (K, h, w) logits of the whole image.

    Bilinear, as the authors do, with the outer edges of both grids at the same place.
    """
    height, width = image_shape[:2]
    large = [cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in logits]
    return np.array([one > 0 for one in large]).reshape(len(logits), height, width)


class Sam2Inference:
    """One image after the other through a loaded model."""

    def __init__(self, checkpoint: FoundCheckpoint, device: str) -> None:
        self._torch = require("torch", "foundation")
        self._transformers = require("transformers", "foundation")
        self._model = load_pretrained("Sam2VideoModel", checkpoint.path, "SAM 2").to(device)
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


class Sam2:
    """A loaded model; satisfies ``Segmenter``.

    Args:
        checkpoint: A folder of transformers' format.
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
