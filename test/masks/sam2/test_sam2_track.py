# SPDX-License-Identifier: Apache-2.0
"""A mask followed through images by a tiny model, against transformers' own whole-video call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.masks.sam2 import Sam2
from calib_all_ros.masks.sam2_inference import DEVIATION, MEAN
from calib_all_ros.masks.sam2_track import MAX_SEEDS, Sam2Track
from calib_all_ros.masks.sam2_weights import load_sam2
from calib_all_ros.models.checkpoints import FoundCheckpoint, find_checkpoint


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
    model = load_sam2(checkpoint)
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
    model = load_sam2(checkpoint)
    model.mask_decoder.pred_obj_score_head.proj_out.bias.data.fill_(-100.0)
    model.save_pretrained(tmp_path)
    blind = Sam2(find_checkpoint("sam2", tmp_path), "cpu")
    track = blind.track()
    track.seed(images[0], mask)
    found, predicted_iou = track.step(images[1])
    assert not found.any() and predicted_iou == 0
    boxed = blind.box_masks(images[0], np.array([[10.0, 10.0, 60.0, 60.0]]))
    assert not boxed.masks.any() and boxed.predicted_iou[0] == 0
