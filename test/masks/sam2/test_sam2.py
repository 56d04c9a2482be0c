# SPDX-License-Identifier: Apache-2.0
"""Masks from boxes and clicks by a tiny model, against transformers' own calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.masks.sam2 import (
    DEVIATION,
    MAX_SEEDS,
    MEAN,
    Sam2,
    Sam2Track,
    image_masks,
    model_points,
)
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint
from calib_all_ros.models.libraries import ModelError, load_pretrained

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


def test_outer_edges_and_centre_fall_on_those_of_the_square() -> None:
    corners = np.array([[-0.5, -0.5], [639.5, 479.5], [319.5, 239.5]])
    found = model_points(corners, (480, 640, 3), 1024)
    np.testing.assert_allclose(found, [[-0.5, -0.5], [1023.5, 1023.5], [511.5, 511.5]])


def test_the_pixels_of_an_image_of_the_models_size_stay() -> None:
    points = np.array([[[3.0, 4.0], [100.25, 7.5]]])
    np.testing.assert_allclose(model_points(points, (128, 128, 3), 128), points)


def test_planted_logits_become_the_pixels_that_they_cover() -> None:
    logits = np.full((2, 64, 64), -3.0, dtype=np.float32)
    logits[0, 10:20, 30:50] = 3.0
    logits[1, 63, 0] = 3.0
    masks = image_masks(logits, (128, 256, 3))
    expected = np.zeros((2, 128, 256), dtype=bool)
    expected[0, 20:40, 120:200] = True
    assert masks.dtype == bool and masks.shape == (2, 128, 256)
    # Interpolation takes the corners off, nothing else.
    differing = np.argwhere(masks[0] != expected[0]).tolist()
    assert differing == [[20, 120], [20, 199], [39, 120], [39, 199]]
    rows, columns = np.nonzero(masks[1])
    # A lone cell shrinks towards its centre, and reaches the corner of the image.
    assert (rows.max(), columns.min()) == (127, 0) and rows.min() >= 126 and columns.max() <= 3


def test_a_mask_is_not_moved_by_resizing_to_an_odd_size() -> None:
    v, u = np.mgrid[0:64, 0:64]
    logits = (12.0 - np.hypot(u - 31.5, v - 31.5)).astype(np.float32)[None]
    rows, columns = np.nonzero(image_masks(logits, (97, 131))[0])
    assert (rows.mean(), columns.mean()) == (48.0, 65.0)


def test_no_logits_no_masks() -> None:
    assert image_masks(np.zeros((0, 8, 8), dtype=np.float32), (20, 30)).shape == (0, 20, 30)


def test_resizing_is_that_of_the_authors() -> None:
    torch = pytest.importorskip("torch", reason="pip install '.[foundation]'")
    logits = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], (45, 77), mode="bilinear", align_corners=False
    )[0]
    assert np.mean(image_masks(logits, (45, 77)) != (theirs.numpy() > 0)) < 1e-3


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    seed = np.zeros((128, 128), dtype=bool)
    seed[40:80, 10:40] = True
    return seed


def followed(sam2: Sam2, images: list[np.ndarray], seed: np.ndarray) -> list[np.ndarray]:
    track = sam2.track()
    track.seed(images[0], seed)
    return [track.step(image)[0] for image in images[1:]]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_track_is_that_of_a_whole_video(
    sam2: Sam2,
    checkpoint: FoundCheckpoint,
    images: list[np.ndarray],
    mask: np.ndarray,
    reverse: bool,
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = load_pretrained("Sam2VideoModel", checkpoint.path, "SAM 2")
    video = np.stack([((i / 255.0 - MEAN) / DEVIATION).transpose(2, 0, 1) for i in images])
    session = transformers.Sam2VideoInferenceSession(
        video=torch.from_numpy(video.astype(np.float32)), dtype=torch.float32
    )
    first = len(images) - 1 if reverse else 0
    session.add_mask_inputs(
        session.obj_id_to_idx(0), first, torch.from_numpy(mask)[None, None].float()
    )
    session.obj_with_new_inputs = [0]
    outputs = model.propagate_in_video_iterator(
        session, start_frame_idx=first, max_frame_num_to_track=len(images), reverse=reverse
    )
    theirs = [
        torch.nn.functional.interpolate(out.pred_masks, (128, 128), mode="bilinear")[0, 0] > 0
        for out in outputs
    ]
    mine = followed(sam2, images[::-1] if reverse else images, mask)
    assert len(theirs) == len(images) and len(mine) == len(images) - 1
    assert np.mean(theirs[0].numpy() != mask) < 0.01
    for expected, found in zip(theirs[1:], mine, strict=True):
        assert np.mean(found != expected.numpy()) < 1e-3


def test_what_is_let_go_is_not_missed_and_memory_stays_bounded(
    sam2: Sam2, images: list[np.ndarray], mask: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = sam2.track()
    track.seed(images[0], mask)
    mine = [track.step(images[k % 20])[0] for k in range(1, 24)]
    outputs = track._session.output_dict_per_obj[0]
    assert len(outputs["non_cond_frame_outputs"]) <= 16
    assert len(track._session.processed_frames) == 0
    assert len(track._session.frames_tracked_per_obj[0]) <= 16
    assert all("high_res_masks" not in out for out in outputs["cond_frame_outputs"].values())
    monkeypatch.setattr(Sam2Track, "_let_go", lambda _track: None)
    other = sam2.track()
    other.seed(images[0], mask)
    for k in range(1, 24):
        np.testing.assert_array_equal(other.step(images[k % 20])[0], mine[k - 1])
    assert len(other._session.output_dict_per_obj[0]["non_cond_frame_outputs"]) == 23


def test_a_forgotten_step_leaves_no_trace(
    sam2: Sam2, images: list[np.ndarray], mask: np.ndarray
) -> None:
    plain, disturbed = sam2.track(), sam2.track()
    for track in (plain, disturbed):
        track.seed(images[0], mask)
        track.step(images[1])
    disturbed.step(images[15])
    disturbed.forget()
    for image in images[2:6]:
        expected, found = plain.step(image), disturbed.step(image)
        np.testing.assert_array_equal(found[0], expected[0])
        assert found[1] == expected[1]


def test_a_new_seed_is_believed_and_the_last_ones_are_kept(
    sam2: Sam2, images: list[np.ndarray], mask: np.ndarray
) -> None:
    seeded, unseeded = sam2.track(), sam2.track()
    for track in (seeded, unseeded):
        track.seed(images[0], mask)
    seeded.step(images[1])
    seeded.forget()
    seeded.seed(images[1], ~mask)
    unseeded.step(images[1])
    assert (seeded.step(images[2])[0] != unseeded.step(images[2])[0]).any()
    for image in images[3:12]:
        seeded.seed(image, mask)
    kept = seeded._session.output_dict_per_obj[0]["cond_frame_outputs"]
    assert len(kept) == MAX_SEEDS


def test_masks_have_the_size_of_the_images(sam2: Sam2) -> None:
    rng = np.random.default_rng(2)
    images = rng.integers(0, 255, (2, 90, 161, 3), dtype=np.uint8)
    seed = np.zeros((90, 161), dtype=bool)
    seed[20:50, 30:90] = True
    track = sam2.track()
    track.seed(images[0], seed)
    mask, predicted_iou = track.step(images[1])
    assert mask.shape == (90, 161) and 0 <= predicted_iou <= 1


def test_what_is_not_seen_has_no_mask(
    checkpoint: FoundCheckpoint, tmp_path: Path, images: list[np.ndarray], mask: np.ndarray
) -> None:
    model = load_pretrained("Sam2VideoModel", checkpoint.path, "SAM 2")
    model.mask_decoder.pred_obj_score_head.proj_out.bias.data.fill_(-100.0)
    model.save_pretrained(tmp_path)
    blind = Sam2(find_checkpoint("sam2", tmp_path), "cpu")
    track = blind.track()
    track.seed(images[0], mask)
    found, predicted_iou = track.step(images[1])
    assert not found.any() and predicted_iou == 0
    boxed = blind.box_masks(images[0], np.array([[10.0, 10.0, 60.0, 60.0]]))
    assert not boxed.masks.any() and boxed.predicted_iou[0] == 0


def test_half_precision_on_disk_is_computed_in_single(
    checkpoint: FoundCheckpoint, tmp_path: Path
) -> None:
    load_pretrained("Sam2VideoModel", checkpoint.path, "SAM 2").half().save_pretrained(tmp_path)
    loaded = load_pretrained("Sam2VideoModel", tmp_path, "SAM 2")
    assert {str(p.dtype) for p in loaded.parameters()} == {"torch.float32"}
    assert not loaded.training


def test_a_folder_without_the_memory_is_no_checkpoint(
    checkpoint: FoundCheckpoint, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.Sam2Model.from_pretrained(checkpoint.path).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks \d+ of SAM 2's weights .*download it again"):
        Sam2(find_checkpoint("sam2", tmp_path), "cpu")
