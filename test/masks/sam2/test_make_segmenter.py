# SPDX-License-Identifier: Apache-2.0
"""From checkpoints on disk to masks beside a recording, with tiny models of random weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.masks.grounded_sam2 import make_segmenter
from calib_all_ros.masks.judgement import MaskLimits
from calib_all_ros.masks.segmentation import SegmentationError, UncertainMasksError
from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.recording.recording import Recording
from calib_all_ros.settings import MaskSettings

COUNT, HEIGHT, WIDTH = 5, 60, 80
# A model of random weights is sure of nothing.
ANYTHING = MaskLimits(predicted_iou=0.0, agreement=0.0, least_masks=1)
CLICKED = MaskSettings(clicks=("20,30@2",))


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    folder = tmp_path / "kitchen"
    (folder / "frames").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(COUNT):
        image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "frames" / f"{10 + k:06d}.png"), image)
    stamps = [k * 100_000_000 for k in range(COUNT)]
    joints = {"names": ["joint"], "stamps_ns": stamps, "positions": [[0.1 * k] for k in range(5)]}
    camera = {"K": [[60, 0, 39.5], [0, 60, 29.5], [0, 0, 1]], "width": WIDTH, "height": HEIGHT}
    for name, content in (
        ("timestamps", {"image_stamps_ns": stamps}),
        ("joint_states", joints),
        ("camera", camera),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return load_recording(folder)


@pytest.fixture
def checkpoints(tmp_path: Path, sam2_folder: Path) -> Path:
    shutil.copytree(sam2_folder, tmp_path / "checkpoints" / "sam2")
    return tmp_path / "checkpoints"


def test_the_first_missing_thing_is_named(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"no checkpoint of SAM 2.*download"):
        make_segmenter(CLICKED, tmp_path / "none", "cpu", recording)


def test_without_clicks_the_detector_is_needed(recording: Recording, checkpoints: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"no checkpoint of Grounding DINO.*download"):
        make_segmenter(MaskSettings(), checkpoints, "cpu", recording)
    assert make_segmenter(CLICKED, checkpoints, "cpu", recording).detector is None


def test_a_click_that_cannot_be_read(recording: Recording, checkpoints: Path) -> None:
    with pytest.raises(SegmentationError, match="'here' is no click"):
        make_segmenter(MaskSettings(clicks=("here",)), checkpoints, "cpu", recording)


def test_from_a_click_to_masks_that_the_package_reads(
    recording: Recording, checkpoints: Path, tmp_path: Path
) -> None:
    segmenter = replace(make_segmenter(CLICKED, checkpoints, "cpu", recording), limits=ANYTHING)
    found = segmenter.segment(recording.images, None, (0, 1, 3))
    assert len(found.masks) == 3 and found.scores.shape == (3,)
    made = {k: mask for k, mask in zip((0, 1, 3), found.masks, strict=True) if mask is not None}
    assert made and all(mask.shape == (HEIGHT, WIDTH) for mask in made.values())
    (place,) = (tmp_path / "kitchen.masks").iterdir()
    read = load_recording(RecordingSource(tmp_path / "kitchen", masks=place)).masks
    assert read is not None
    for k in range(COUNT):
        mask = read[k]
        assert (mask is None) == (k not in made)
        if mask is not None:
            np.testing.assert_array_equal(mask, made[k])
    # The same question again, with no model left to answer it.
    again = replace(segmenter, segmenter=_must_not_load).segment(recording.images, None, (0, 1, 3))
    assert again.summary == f"{found.summary} (kept in {place})"
    assert sorted(path.name for path in (tmp_path / "kitchen").iterdir()) == [
        "camera.json",
        "frames",
        "joint_states.json",
        "timestamps.json",
    ]


def _must_not_load() -> None:
    raise AssertionError("a model was loaded")


def test_random_weights_are_sure_of_nothing(
    recording: Recording, checkpoints: Path, tiny_grounding_dino: FoundCheckpoint
) -> None:
    shutil.copytree(tiny_grounding_dino.path, checkpoints / "grounding-dino")
    segmenter = make_segmenter(MaskSettings(), checkpoints, "cpu", recording)
    with pytest.raises(UncertainMasksError, match=r"found for sure in none of 2 images \(image 0"):
        segmenter.segment(recording.images, None, (0, 1))
    assert not Path(f"{recording.source}.masks").exists()
