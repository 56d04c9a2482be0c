# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.dataset import Feature, LerobotDataset, read_features

pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")


def test_what_a_dataset_holds(truth: Any, dataset_path: Path) -> None:
    dataset = LerobotDataset.open(dataset_path)
    assert dataset.version == {"v21": "v2.1", "v30": "v3.0"}[dataset_path.name]
    assert dataset.fps == truth.fps
    assert dataset.robot_type == "demo_arm"
    assert dataset.episode_indices == (0, 1, 2)
    assert dataset.cameras == (truth.top, truth.side)
    assert dataset.features["observation.state"].names == truth.state_names
    assert [dataset.episode(i).length for i in (0, 1, 2)] == list(truth.lengths)
    assert all(dataset.episode(i).data.is_file() for i in (0, 1, 2))


def test_episodes_share_files_in_version_3(truth: Any, dataset_v30: Path) -> None:
    dataset = LerobotDataset.open(dataset_v30)
    first, second, third = (dataset.episode(i) for i in (0, 1, 2))
    assert first.data == second.data != third.data
    assert first.videos[truth.top].path == second.videos[truth.top].path
    assert [e.videos[truth.top].from_s for e in (first, second, third)] == [0.0, 1.25, 0.0]


@pytest.fixture
def copied(dataset_v21: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset_v21 / "meta", tmp_path / "d" / "meta")).parent


def changed(root: Path, **entries: Any) -> None:
    path = root / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize(
    "entries, message",
    [
        ({"codebase_version": "v1.6"}, "'v1.6': v2.1 and v3.0 are read"),
        ({"fps": 0}, "has no frame rate"),
        ({"features": None}, "describes no features"),
    ],
)
def test_what_cannot_be_read_is_told(copied: Path, entries: Any, message: str) -> None:
    changed(copied, **entries)
    with pytest.raises(LerobotError, match=message):
        LerobotDataset.open(copied)


def test_a_path_must_not_lead_out_of_the_dataset(copied: Path) -> None:
    changed(copied, data_path="../../{episode_index}.parquet")
    with pytest.raises(LerobotError, match="leads out of the dataset"):
        LerobotDataset.open(copied).episode(0)


def test_missing_metadata_is_told(copied: Path) -> None:
    (copied / "meta/episodes.jsonl").write_text('{"tasks": []}\n')
    with pytest.raises(LerobotError, match="does not number its episodes"):
        LerobotDataset.open(copied)
    (copied / "meta/episodes.jsonl").unlink()
    with pytest.raises(LerobotError, match=r"episodes\.jsonl cannot be read"):
        LerobotDataset.open(copied)
    changed(copied, codebase_version="v3.0")
    with pytest.raises(LerobotError, match="the dataset is not complete"):
        LerobotDataset.open(copied)


@pytest.mark.parametrize(
    "names, expected",
    [
        (["a", "b"], ("a", "b")),
        ({"motors": ["a", "b"]}, ("a", "b")),
        ({"axes": ["a", "b"]}, ("a", "b")),
        ([["a", "b"]], ("a", "b")),
        ({"b": 1, "a": 0}, ("a", "b")),
        ({"left": ["a", "b"], "right": ["c"]}, ("a", "b", "c")),
        ({"left": ["waist"], "right": ["waist"]}, ("left.waist", "right.waist")),
        (None, ()),
    ],
)
def test_names_of_every_form(names: Any, expected: tuple[str, ...]) -> None:
    entry = {"dtype": "float32", "shape": [2], "names": names}
    assert read_features({"state": entry}, "info")["state"].names == expected


@pytest.mark.parametrize(
    "shape, names",
    [
        ((48, 64, 3), ("height", "width", "channels")),
        ((48, 64, 3), ("height", "width", "rgb")),
        ((3, 48, 64), ("channels", "height", "width")),
        ((48, 64, 3), ()),
        ((3, 48, 64), ()),
    ],
)
def test_image_size_of_both_layouts(shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    assert Feature("observation.images.top", "video", shape, names).size == (64, 48)


def test_depth_maps_and_annotations_are_no_cameras() -> None:
    picture = {"dtype": "video", "shape": [4, 6, 3], "names": ["height", "width", "channels"]}
    features = read_features(
        {
            "observation.images.top": picture,
            "observation.images.depth": {**picture, "info": {"is_depth_map": True}},
            "observation.images.old": {**picture, "video_info": {"video.is_depth_map": True}},
            "annotation.top.mask": {**picture, "dtype": "image"},
            "action": {"dtype": "float32", "shape": [6]},
        },
        "info",
    )
    assert [key for key, f in features.items() if f.is_camera] == ["observation.images.top"]


def test_what_is_missing_is_told() -> None:
    with pytest.raises(LerobotError, match=r"info\.json does not describe the feature state"):
        read_features({"state": {"dtype": "float32"}}, "info.json")
    with pytest.raises(LerobotError, match="describes no features"):
        read_features(None, "info.json")
    with pytest.raises(LerobotError, match=r"shape \(7,\): it is no image"):
        _ = Feature("state", "float32", (7,)).size
