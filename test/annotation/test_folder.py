# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.annotation.folder import PARTS, write_folder
from calib_all_ros.annotation.frame_annotation import FrameAnnotation
from calib_all_ros.annotation.frames import AnnotatedRecording
from calib_all_ros.annotation.trajectory_table import COLUMNS


@pytest.fixture(scope="session")
def folder(annotated: AnnotatedRecording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of every fifth frame; do not change it."""
    path = tmp_path_factory.mktemp("annotations")
    write_folder(path, annotated.every(5), list(PARTS), {"recording": "simulated"})
    return path


@pytest.fixture(scope="session")
def sixth(annotated: AnnotatedRecording) -> FrameAnnotation:
    return next(annotated.annotations([5]))


def test_every_part_is_there(folder: Path) -> None:
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    frames = [0, 5, 10, 15]
    expected = [
        *(f"depth_png/{i:06d}.png" for i in frames),
        *(f"depth_npy/{i:06d}.npy" for i in frames),
        *(f"link_masks/{i:06d}.png" for i in frames),
        *(f"gripper_masks/{i:06d}.png" for i in frames),
        "annotated.mp4",
        "annotations.json",
        "coco.json",
        "links.csv",
        "trajectory.csv",
    ]
    assert names == sorted(expected)


def test_depth_files(folder: Path, sixth: FrameAnnotation) -> None:
    metres = np.load(folder / "depth_npy" / "000005.npy")
    assert metres.dtype == np.float32
    assert np.array_equal(metres, sixth.depth_m)
    millimetres = cv2.imread(str(folder / "depth_png" / "000005.png"), cv2.IMREAD_UNCHANGED)
    assert millimetres.dtype == np.uint16
    assert np.array_equal(millimetres == 0, sixth.links < 0)
    assert np.abs(millimetres / 1e3 - metres).max() <= 0.0005 + 1e-6


def test_masks_and_their_table(folder: Path, sixth: FrameAnnotation) -> None:
    with (folder / "links.csv").open(newline="") as file:
        table = {int(row["label"]): row for row in csv.DictReader(file)}
    shown = cv2.imread(str(folder / "link_masks" / "000005.png"))[..., ::-1]
    for link in np.unique(sixth.links[sixth.links >= 0]).tolist():
        row = table[link + 1]
        colour = [int(row[name]) for name in ("red", "green", "blue")]
        assert (shown[sixth.links == link] == colour).all()
        assert row["drawn"] == "1"
    assert not shown[sixth.links < 0].any()
    assert table[9]["link"] == "hand" and table[9]["gripper"] == "1"
    gripper = cv2.imread(str(folder / "gripper_masks" / "000005.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(gripper, np.where(sixth.gripper, 255, 0))


def test_trajectory(folder: Path, sixth: FrameAnnotation) -> None:
    with (folder / "trajectory.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [int(row["frame"]) for row in rows] == [0, 5, 10, 15]
    row, eef = rows[1], sixth.eef
    assert int(row["stamp_ns"]) == sixth.stamp_ns
    assert float(row["time_s"]) == pytest.approx(1.25)
    pixel = [float(row["u_px"]), float(row["v_px"])]
    np.testing.assert_allclose(pixel, eef.pixel, atol=1e-5)
    assert float(row["depth_m"]) == pytest.approx(eef.depth_m, abs=1e-8)
    for name, T in (("camera", eef.T_camera_eef), ("base", eef.T_base_eef)):
        place = [float(row[f"{name}_{axis}_m"]) for axis in "xyz"]
        np.testing.assert_allclose(place, T[:3, 3], atol=1e-8)
    assert row["visible"] == str(int(eef.visible)) and row["hidden_by"] == eef.hidden_by


def test_coco_document_agrees_with_the_masks(folder: Path, sixth: FrameAnnotation) -> None:
    content = json.loads((folder / "coco.json").read_text())
    assert [image["id"] for image in content["images"]] == [0, 5, 10, 15]
    names = {c["id"]: c["name"] for c in content["categories"]}
    areas = {
        names[a["category_id"]]: a["area"] for a in content["annotations"] if a["image_id"] == 5
    }
    counts = np.bincount(sixth.links[sixth.links >= 0])
    assert sorted(areas.values()) == sorted(int(n) for n in counts if n)
    assert all((folder / image["file_name"]).is_file() for image in content["images"])


def test_document_explains_the_folder(folder: Path) -> None:
    content = json.loads((folder / "annotations.json").read_text())
    assert content["recording"] == "simulated"
    assert content["end_effector"]["link"] == "hand"
    assert content["frames"] == [0, 5, 10, 15] and content["frames_in_recording"] == 20
    assert list(content["parts"]) == list(PARTS)
    assert content["camera"]["width"] == 320


def test_parts_can_be_chosen(annotated: AnnotatedRecording, tmp_path: Path) -> None:
    write_folder(tmp_path, annotated.every(10), ["trajectory"], {})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["annotations.json", "links.csv", "trajectory.csv"]


def test_unknown_parts_and_empty_recordings_are_told(
    annotated: AnnotatedRecording, tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError, match="no part 'colour'; there are: depth_png"):
        write_folder(tmp_path, annotated, ["colour"], {})
    from dataclasses import replace

    nothing = replace(annotated, frames=annotated.frames[:0])
    with pytest.raises(AnnotationError, match="no frame of simulated is left"):
        write_folder(tmp_path, nothing, ["masks"], {})
