# SPDX-License-Identifier: Apache-2.0
"""Masks from boxes and clicks by a tiny model, against transformers' own calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.masks.sam2 import Sam2
from calib_all_ros.masks.sam2_inference import DEVIATION, MEAN
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint

BOXES = np.array([[10.0, 40.0, 60.0, 90.0], [30.5, 5.0, 120.0, 70.0]])


def normalised(image: np.ndarray) -> np.ndarray:
    return ((image / 255.0 - MEAN) / DEVIATION).transpose(2, 0, 1)[None].astype(np.float32)


def test_boxes_give_what_the_model_itself_gives(
    sam2: Sam2, checkpoint: FoundCheckpoint, images: list[np.ndarray]
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.Sam2Model.from_pretrained(checkpoint.path)
    with torch.inference_mode():
        theirs = model(
            pixel_values=torch.from_numpy(normalised(images[3])),
            input_boxes=torch.from_numpy(BOXES.astype(np.float32))[None],
            multimask_output=False,
        )
    low = theirs.pred_masks[0]
    large = torch.nn.functional.interpolate(low, (128, 128), mode="bilinear")[:, 0].numpy()
    found = sam2.box_masks(images[3], BOXES)
    assert found.masks.shape == (2, 128, 128) and found.masks.dtype == bool
    assert 0 < np.mean(found.masks) < 1
    assert np.mean(found.masks != (large > 0)) < 1e-3
    np.testing.assert_allclose(found.predicted_iou, theirs.iou_scores[0, :, 0], atol=1e-5)


def test_boxes_do_not_depend_on_each_other(sam2: Sam2, images: list[np.ndarray]) -> None:
    both = sam2.box_masks(images[0], BOXES)
    alone = [sam2.box_masks(images[0], box[None]) for box in BOXES]
    np.testing.assert_array_equal(both.masks, np.concatenate([one.masks for one in alone]))
    np.testing.assert_allclose(
        both.predicted_iou, np.concatenate([one.predicted_iou for one in alone]), atol=1e-6
    )


def test_masks_come_at_the_images_own_size(sam2: Sam2) -> None:
    image = np.random.default_rng(1).integers(0, 255, (90, 161, 3), dtype=np.uint8)
    found = sam2.box_masks(image, np.array([[5.0, 5.0, 100.0, 80.0]]))
    assert found.masks.shape == (1, 90, 161)
    assert 0 <= found.predicted_iou[0] <= 1 and found.predicted_iou.dtype == np.float64
    assert sam2.box_masks(image, np.zeros((0, 4))).masks.shape == (0, 90, 161)


def test_an_enlarged_image_has_the_enlarged_mask(sam2: Sam2, images: list[np.ndarray]) -> None:
    image = np.zeros((128, 128, 3), np.uint8)
    image[40:80, 32:96] = (200, 180, 90)
    large = image.repeat(3, axis=0).repeat(2, axis=1)
    box = np.array([31.5, 39.5, 95.5, 79.5])
    scale = np.array([2, 3, 2, 3])
    small_mask = sam2.box_masks(image, box[None]).masks[0]
    large_mask = sam2.box_masks(large, (scale * (box + 0.5) - 0.5)[None]).masks[0]
    expected = small_mask.repeat(3, axis=0).repeat(2, axis=1)
    assert large_mask.shape == (384, 256)
    assert np.mean(large_mask != expected) < 0.05


def test_clicks_count_by_place_and_sign(sam2: Sam2, images: list[np.ndarray]) -> None:
    pixels = np.array([[25.0, 60.0], [100.0, 20.0]])
    one = sam2.clicked_mask(images[0], pixels[:1], np.array([True]))
    both = sam2.clicked_mask(images[0], pixels, np.array([True, False]))
    turned = sam2.clicked_mask(images[0], pixels, np.array([False, True]))
    assert one.masks.shape == both.masks.shape == (1, 128, 128)
    assert len({float(m.predicted_iou[0]) for m in (one, both, turned)}) == 3


def test_authors_file_gives_the_same_masks(
    sam2: Sam2, sam2_original: Path, tiny_variant: None, images: list[np.ndarray]
) -> None:
    other = Sam2(find_checkpoint("sam2", sam2_original), "cpu")
    mine, theirs = (model.box_masks(images[5], BOXES) for model in (sam2, other))
    np.testing.assert_array_equal(mine.masks, theirs.masks)
    np.testing.assert_array_equal(mine.predicted_iou, theirs.predicted_iou)


def test_same_masks_on_cuda(
    sam2: Sam2, checkpoint: FoundCheckpoint, images: list[np.ndarray]
) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cuda = Sam2(checkpoint, "cuda").box_masks(images[5], BOXES)
    cpu = sam2.box_masks(images[5], BOXES)
    assert np.mean(cuda.masks != cpu.masks) < 0.01
    np.testing.assert_allclose(cuda.predicted_iou, cpu.predicted_iou, atol=0.01)
