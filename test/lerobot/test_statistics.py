# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from calib_all_ros.lerobot.added_features import AddedFeature
from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.lerobot.statistics import aggregate, as_document, episode_statistics

VECTOR = AddedFeature("annotation.top.v", "float32", (2,))


def test_of_one_episode() -> None:
    values = np.array([[0.0, 10.0], [1.0, 10.0], [5.0, 10.0]])
    found = episode_statistics(VECTOR, values, "v2.1")
    assert found is not None
    assert as_document(found) == {
        "min": [0.0, 10.0],
        "max": [5.0, 10.0],
        "mean": [2.0, 10.0],
        "std": [pytest.approx(np.sqrt(14 / 3)), 0.0],
        "count": [3],
    }
    with_quantiles = episode_statistics(VECTOR, values, "v3.0")
    assert with_quantiles is not None
    assert with_quantiles["q50"].tolist() == [1.0, 10.0]
    assert with_quantiles["q90"][0] == pytest.approx(1.0 + 0.8 * 4.0)


def test_episodes_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(count, 2)) for count in (5, 20, 3)]
    of_parts = [episode_statistics(VECTOR, part, "v3.0") for part in parts]
    whole = episode_statistics(VECTOR, np.concatenate(parts), "v3.0")
    assert whole is not None
    found = aggregate([part for part in of_parts if part is not None])
    for name in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(found[name], whole[name], err_msg=name)
    # Quantiles do not add up: the outermost are kept.
    known = [part for part in of_parts if part is not None]
    np.testing.assert_array_equal(found["q10"], np.min([p["q10"] for p in known], axis=0))
    np.testing.assert_array_equal(found["q90"], np.max([p["q90"] for p in known], axis=0))


def test_of_pictures_by_channel_from_0_to_1() -> None:
    feature = AddedFeature("annotation.top.p", "image", (2, 2, 3))
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[:, :, 0] = 255
    rgb[0, :, 2] = 51
    content = cv2.imencode(".png", np.ascontiguousarray(rgb[:, :, ::-1]))[1].tobytes()
    found = episode_statistics(feature, [content] * 30, "v2.1")
    assert found is not None
    np.testing.assert_allclose(found["mean"], [[[1.0]], [[0.0]], [[0.1]]])
    np.testing.assert_allclose(found["max"], [[[1.0]], [[0.0]], [[0.2]]])
    assert found["count"].tolist() == [15]
    with pytest.raises(LerobotError, match="no PNG of the shape"):
        episode_statistics(feature, [b"nothing"], "v2.1")


def test_strings_have_none() -> None:
    assert (
        episode_statistics(AddedFeature("calibration.a.b", "string", (1,)), ["x"], "v3.0") is None
    )
