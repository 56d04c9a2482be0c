# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.recording.image_coding import png
from calib_all_ros.recording.masks import mask_from_image, masks_from_folder, match_by_stamp
from calib_all_ros.recording.recording import RecordingError

MS = 1_000_000
IMAGES = np.arange(5) * 100 * MS + 1_700_000_000_000_000_000


def write_masks(bags: Any, names: list[str]) -> Path:
    folder: Path = bags.folder / "my_masks"
    folder.mkdir()
    for i, name in enumerate(names):
        (folder / f"{name}.png").write_bytes(png(bags.mask(i)))
    return folder


def test_equal_stamps_match_exactly() -> None:
    assert match_by_stamp(IMAGES, IMAGES[[1, 3]], "/m") == (None, 0, None, 1, None)


def test_nearest_within_half_the_interval() -> None:
    masks = IMAGES[[0, 2, 3]] + np.array([30, -49, 51]) * MS
    assert match_by_stamp(IMAGES, masks, "/m") == (0, None, 1, None, 2)


def test_one_millisecond_is_always_allowed() -> None:
    images = np.array([0, MS, 2 * MS]) + IMAGES[0]
    assert match_by_stamp(images, images[[2]] + MS // 2, "/m") == (None, None, 0)


def test_no_match_is_an_error() -> None:
    with pytest.raises(RecordingError, match=r"/m has the stamp.*5000.0 ms away"):
        match_by_stamp(IMAGES, IMAGES[-1:] + 5000 * MS, "/m")
    with pytest.raises(RecordingError, match="/m holds no masks"):
        match_by_stamp(IMAGES, IMAGES[:0], "/m")


def test_above_127_is_robot() -> None:
    image = np.dstack([np.array([[0, 127, 128, 255]], np.uint8)] * 3)
    assert mask_from_image(image, "m").tolist() == [[False, False, True, True]]


def test_zero_and_one_are_refused() -> None:
    with pytest.raises(RecordingError, match=r"m\.png has the values 0 and 1"):
        mask_from_image(np.ones((2, 2, 3), np.uint8), "m.png")


def test_files_are_matched_by_name(bags: Any) -> None:
    folder = write_masks(bags, ["c", "a"])
    masks = masks_from_folder(folder, ("a", "b", "c"), bags.camera)
    assert masks[1] is None
    np.testing.assert_array_equal(masks[0], bags.mask(1))
    np.testing.assert_array_equal(masks[2], bags.mask(0))


def test_files_are_matched_in_order_if_there_are_as_many(bags: Any) -> None:
    folder = write_masks(bags, ["m0", "m1", "m2"])
    masks = masks_from_folder(folder, ("a", "b", "c"), bags.camera)
    np.testing.assert_array_equal(masks[2], bags.mask(2))


def test_neither_names_nor_numbers_match(bags: Any) -> None:
    folder = write_masks(bags, ["m0", "m1"])
    with pytest.raises(RecordingError, match="my_masks holds 2 masks for 3 images"):
        masks_from_folder(folder, ("a", "b", "c"), bags.camera)


def test_wrong_size_names_file_and_both_sizes(bags: Any) -> None:
    folder = write_masks(bags, ["a", "b"])
    cv2.imwrite(str(folder / "a.png"), np.zeros((24, 32), np.uint8))
    with pytest.raises(RecordingError, match=r"a\.png is 32x24 but the images are 64x48"):
        masks_from_folder(folder, ("a", "b"), bags.camera)


def test_folder_of_masks_for_a_bag(bags: Any) -> None:
    path = bags.write(bags.everything())
    folder = write_masks(bags, [f"{i:06d}" for i in range(6)])
    masks = load_recording(RecordingSource(path, masks=folder, start_s=0.1)).masks
    assert masks is not None and len(masks) == 5
    np.testing.assert_array_equal(masks[0], bags.mask(1))


def test_masks_of_a_bag_named_by_stamp(bags: Any) -> None:
    path = bags.write(bags.everything())
    folder = write_masks(bags, [str(stamp) for stamp in bags.stamps[2:4]])
    masks = load_recording(RecordingSource(path, masks=str(folder))).masks
    assert masks is not None and masks[1] is None
    np.testing.assert_array_equal(masks[3], bags.mask(1))


def test_mask_folder_that_is_not_there(bags: Any, shared_data: Path) -> None:
    with pytest.raises(RecordingError, match="no masks at /nowhere"):
        load_recording(RecordingSource(shared_data / "d1", masks="/nowhere"))
    with pytest.raises(RecordingError, match="0 topics called masks"):
        load_recording(RecordingSource(bags.write(bags.everything()), masks="recorded"))
