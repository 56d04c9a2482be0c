# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.features import Feature, read_features


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
