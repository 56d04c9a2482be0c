# SPDX-License-Identifier: Apache-2.0
"""Masks kept beside the recording."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.masks.mask_cache import MaskCache, cache_folder, cache_key, frame_names
from calib_all_ros.masks.segmentation import SegmentedImages
from calib_all_ros.recording.folder import ImageFiles
from calib_all_ros.recording.masks import masks_from_folder
from calib_all_ros.recording.recording import FrameList, Recording

NAMES = ("000003", "000007", "000011")
K = np.array([[50.0, 0, 19.5], [0, 50.0, 14.5], [0, 0, 1]])
CAMERA = Camera(K, 40, 30, np.zeros(0))
MADE_BY = {"text": "robotic arm", "box_threshold": 0.35}


@pytest.fixture
def segmented() -> SegmentedImages:
    masks = np.random.default_rng(0).random((2, 30, 40)) < 0.3
    return SegmentedImages(
        (masks[0], None, masks[1]),
        np.array([0.9, np.nan, 0.8]),
        np.array([0.75, np.nan, np.nan]),
        (None, "SAM 2 sees no robot", None),
        "two of three",
    )


@pytest.fixture
def cache(tmp_path: Path) -> MaskCache:
    return MaskCache(tmp_path / "recording.masks")


def test_what_is_kept_comes_back(cache: MaskCache, segmented: SegmentedImages) -> None:
    assert cache.load("key") is None
    place = cache.save("key", NAMES, segmented, MADE_BY)
    assert place == cache.folder / "key"
    found = cache.load("key")
    assert found is not None
    for mask, kept in zip(segmented.masks, found.masks, strict=True):
        np.testing.assert_array_equal(kept, mask)
    np.testing.assert_array_equal(found.scores, segmented.scores)
    np.testing.assert_array_equal(found.agreement, segmented.agreement)
    assert (found.reasons, found.summary) == (segmented.reasons, segmented.summary)
    document = yaml.safe_load((place / "masks.yaml").read_text(encoding="utf-8"))
    assert document["made_by"] == MADE_BY
    assert sorted(path.name for path in cache.folder.iterdir()) == ["key"]


def test_it_is_an_ordinary_folder_of_masks(cache: MaskCache, segmented: SegmentedImages) -> None:
    place = cache.save("key", NAMES, segmented, MADE_BY)
    assert place is not None
    all_names = tuple(f"{k:06d}" for k in range(20))
    masks = masks_from_folder(place, all_names, CAMERA)
    assert [k for k in range(20) if masks[k] is not None] == [3, 11]
    np.testing.assert_array_equal(masks[11], segmented.masks[2])


@pytest.mark.parametrize("damage", ["cut", "gone", "swapped", "yaml", "empty yaml", "other yaml"])
def test_what_is_damaged_is_made_anew(
    cache: MaskCache, segmented: SegmentedImages, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = cache.save("key", NAMES, segmented, MADE_BY)
    assert place is not None
    first, second = (place / f"{name}.png" for name in (NAMES[0], NAMES[2]))
    description = place / "masks.yaml"
    match damage:
        case "cut":
            first.write_bytes(first.read_bytes()[:-10])
        case "gone":
            first.unlink()
        case "swapped":
            first.write_bytes(second.read_bytes())
        case "yaml":
            description.write_text("images: [", encoding="utf-8")
        case "empty yaml":
            description.write_text("", encoding="utf-8")
        case "other yaml":
            description.write_text("images: [{name: a}]", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert cache.load("key") is None
    assert "damaged: making them anew" in caplog.text
    cache.save("key", NAMES, segmented, MADE_BY)
    assert cache.load("key") is not None


def test_an_unfinished_folder_is_none(cache: MaskCache, segmented: SegmentedImages) -> None:
    place = cache.save("key", NAMES, segmented, MADE_BY)
    assert place is not None
    (place / "masks.yaml").unlink()
    assert cache.load("key") is None


def test_what_cannot_be_written_is_said(
    tmp_path: Path, segmented: SegmentedImages, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    cache = MaskCache(tmp_path / "file" / "recording.masks")
    with caplog.at_level(logging.WARNING):
        assert cache.save("key", NAMES, segmented, MADE_BY) is None
    assert len(caplog.records) == 1
    assert "not kept for the next time" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_the_key_knows_all_that_matters() -> None:
    images = list(np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8))
    key = cache_key(MADE_BY, NAMES, images)
    assert key == cache_key(dict(reversed(MADE_BY.items())), NAMES, images)
    changed = [image.copy() for image in images]
    changed[2][0, 0, 0] ^= 1
    others = (
        cache_key({**MADE_BY, "box_threshold": 0.36}, NAMES, images),
        cache_key(MADE_BY, ("000003", "000007", "000012"), images),
        cache_key(MADE_BY, NAMES, changed),
        cache_key(MADE_BY, NAMES[:2], images[:2]),
        cache_key(MADE_BY, NAMES, [image.reshape(5, 4, 3) for image in images]),
    )
    assert len({key, *others}) == 6


def test_masks_are_kept_beside_and_never_in_a_bag(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "metadata.yaml").touch()
    (bag / "bag_0.mcap").touch()
    assert cache_folder(bag) == tmp_path / "bag.masks"
    assert cache_folder(bag / "bag_0.mcap") == tmp_path / "bag.masks"
    (tmp_path / "single.mcap").touch()
    assert cache_folder(tmp_path / "single.mcap") == tmp_path / "single.mcap.masks"


def test_names_are_those_by_which_masks_are_read() -> None:
    stamps = np.arange(6, dtype=np.int64) * 100
    recording = Recording(
        source="",
        camera=CAMERA,
        image_stamps_ns=stamps,
        images=ImageFiles(tuple(Path(f"frames/{k:06d}.jpg") for k in range(6)), CAMERA),
        joints=JointTrajectory(["joint"], stamps, np.zeros((6, 1))),
    )
    assert frame_names(recording)[:2] == ("000000", "000001")
    assert frame_names(recording.subset([1, 3, 5]).subset([0, 2])) == ("000001", "000005")
    bag = replace(recording, images=FrameList([np.zeros((30, 40, 3), np.uint8)] * 6))
    assert frame_names(bag.subset([2, 4])) == ("200", "400")
