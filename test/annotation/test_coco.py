# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.annotation.coco import CocoDocument, encoded_mask


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    found = [np.zeros((7, 5), bool), np.ones((7, 5), bool), np.eye(4, dtype=bool)]
    for number in range(60):
        height, width = rng.integers(1, 12, 2)
        small = rng.random((height, width)) < rng.random()
        scale = 1 if number % 2 else 9
        large = cv2.resize(
            small.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST
        )
        found.append(large.astype(bool))
    return found


def test_runs_go_down_the_columns_and_begin_with_background() -> None:
    mask = np.array([[1, 0], [1, 0], [0, 1]], bool)
    # Runs 0, 2, 3, 1; of the fourth the second is taken off, as the COCO API does: 1 - 2 = -1.
    assert encoded_mask(mask) == {"size": [3, 2], "counts": "023O"}


def test_encoding_is_that_of_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pip install pycocotools")
    for mask in masks():
        expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        found = encoded_mask(mask)
        assert found["counts"] == expected["counts"].decode()
        assert found["size"] == list(expected["size"])
        assert np.array_equal(coco.decode(found).astype(bool), mask)


def links() -> np.ndarray:
    image = np.full((12, 20), -1, dtype=np.int16)
    image[2:5, 3:9] = 0
    image[6:8, 10:11] = 2
    return image


def test_document_has_one_annotation_for_each_link_that_is_seen() -> None:
    document = CocoDocument()
    document.add(4, 99, "link_masks/000004.png", links())
    content = document.document(("base", "bare", "hand"), ("base", "hand"), "test")
    assert content["images"] == [
        {
            "id": 4,
            "file_name": "link_masks/000004.png",
            "width": 20,
            "height": 12,
            "stamp_ns": 99,
        }
    ]
    assert content["categories"] == [
        {"id": 1, "name": "base", "supercategory": "robot"},
        {"id": 3, "name": "hand", "supercategory": "robot"},
    ]
    first, second = content["annotations"]
    assert (first["category_id"], first["area"], first["bbox"]) == (1, 18, [3.0, 2.0, 6.0, 3.0])
    assert (second["category_id"], second["area"], second["bbox"]) == (3, 2, [10.0, 6.0, 1.0, 2.0])
    assert [a["id"] for a in content["annotations"]] == [1, 2]
    assert {a["image_id"] for a in content["annotations"]} == {4}


def test_coco_api_reads_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pip install pycocotools")
    document = CocoDocument()
    document.add(0, 1, "a.png", links())
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document.document(("base", "bare", "hand"), ("base",), "test")))
    api = coco.COCO(str(path))
    shown = api.annToMask(api.loadAnns(api.getAnnIds(imgIds=[0], catIds=[1]))[0])
    assert np.array_equal(shown.astype(bool), links() == 0)
