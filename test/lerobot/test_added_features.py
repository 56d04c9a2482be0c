# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.lerobot.added_features import (
    AddedFeature,
    calibration_key,
    camera_name,
    matrix_names,
)
from calib_all_ros.lerobot.address import LerobotError

pa = pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")


@pytest.mark.parametrize(
    "dtype, shape, values, kind, description",
    [
        ("int64", (1,), [3, 4], pa.int64(), {"dtype": "int64", "_type": "Value"}),
        ("bool", (1,), [True, False], pa.bool_(), {"dtype": "bool", "_type": "Value"}),
        ("string", (1,), ["a", "b"], pa.string(), {"dtype": "string", "_type": "Value"}),
        (
            "float32",
            (2,),
            [[1.0, 2.0], [3.0, 4.0]],
            pa.list_(pa.float32(), 2),
            {"feature": {"dtype": "float32", "_type": "Value"}, "length": 2, "_type": "Sequence"},
        ),
    ],
)
def test_columns(
    dtype: str, shape: tuple[int, ...], values: Any, kind: Any, description: Any
) -> None:
    feature = AddedFeature("calibration.top.x", dtype, shape)
    column = feature.column(feature.checked(values))
    assert column.type == kind
    assert column.to_pylist() == values
    assert feature.hub_description() == description
    missing = feature.column(feature.checked(feature.missing(3)))
    assert missing.type == kind and len(missing) == 3


def test_pictures_are_files() -> None:
    feature = AddedFeature("annotation.top.d", "image", (4, 6, 1), info={"is_depth_map": True})
    column = feature.column(feature.missing(2))
    content = column[1].as_py()["bytes"]
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.dtype == np.uint16 and picture.shape == (4, 6) and not picture.any()
    assert feature.hub_description() == {"_type": "Image"}


def test_what_lerobot_fails_on_is_refused() -> None:
    with pytest.raises(LerobotError, match="write matrices row by row"):
        AddedFeature("calibration.top.T", "float32", (4, 4))
    feature = AddedFeature("calibration.top.v", "float32", (2,))
    with pytest.raises(LerobotError, match="are not finite"):
        feature.checked([[1.0, np.nan]])
    with pytest.raises(LerobotError, match=r"are not \(2,\) each"):
        feature.checked([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize(
    "key, name",
    [
        ("observation.images.top", "top"),
        ("observation.images.cam.left", "cam.left"),
        ("observation.image", "camera"),
        ("observation.images.wrist_image", "wrist_camera"),
        ("image", "camera"),
        ("exterior_image_1_left", "exterior_camera_1_left"),
    ],
)
def test_names_that_lerobot_does_not_take_for_pictures(key: str, name: str) -> None:
    assert camera_name(key) == name
    assert "image" not in calibration_key(key, "K")


def test_matrices_row_by_row() -> None:
    assert matrix_names("K", 2) == ("K_00", "K_01", "K_10", "K_11")
