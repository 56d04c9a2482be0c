# SPDX-License-Identifier: Apache-2.0
"""Columns of pictures and words in data files that were written anew."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.lerobot.added_features import AddedFeature, FeatureSource, Values
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.data_files import aggregate, as_document, episode_statistics
from calib_all_ros.lerobot.dataset import Episode, LerobotDataset
from calib_all_ros.lerobot.images import StoredImages
from calib_all_ros.lerobot.tables import parquet
from calib_all_ros.lerobot.writing import write_features

pa = pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")

MASK = AddedFeature("annotation.top.mask", "image", (4, 6, 1), ("height", "width", "channels"))
WORD = AddedFeature("annotation.top.word", "string", (1,))


def picture(frame: int) -> bytes:
    """As many white pixels as the number of the frame."""
    pixels = np.zeros(24, np.uint8)
    pixels[:frame] = 255
    return cv2.imencode(".png", pixels.reshape(4, 6))[1].tobytes()


def known(episode: Episode) -> Values | None:
    if episode.index == 1:
        return None
    frames = range(episode.length)
    return {MASK.key: [picture(k) for k in frames], WORD.key: [f"frame {k}" for k in frames]}


SOURCE = FeatureSource((MASK, WORD), known)


def test_pictures_and_words_come_out(dataset_path: Path, tmp_path: Path) -> None:
    out = write_features(LerobotDataset.open(dataset_path), tmp_path / "out", [SOURCE])
    for index in (0, 1, 2):
        episode = LerobotDataset.open(out).episode(index)
        masks = StoredImages(out, episode, MASK.key)
        for frame in range(episode.length):
            expected = 0 if index == 1 else frame
            assert (masks.image(frame)[:, :, 0] == 255).sum() == expected
        table = parquet().read_table(episode.data, filters=[("episode_index", "=", index)])
        words = table.column(WORD.key).to_pylist()
        frames = range(episode.length)
        assert words == ["" if index == 1 else f"frame {k}" for k in frames]


def test_statistics_of_pictures(dataset_v30: Path, tmp_path: Path) -> None:
    out = write_features(LerobotDataset.open(dataset_v30), tmp_path / "out", [SOURCE])
    table = parquet().read_table(out / "meta/episodes/chunk-000/file-000.parquet")
    means = table.column(f"stats/{MASK.key}/mean").to_pylist()
    expected = [(0 + 1 + 2 + 3 + 4) / 5 / 24, 0.0, (0 + 1 + 2 + 3) / 4 / 24]
    assert means == [[[[pytest.approx(mean)]]] for mean in expected]
    assert not any(name.startswith(f"stats/{WORD.key}") for name in table.column_names)


def test_pictures_that_were_there_stay(
    truth: Any, dataset_v30_images: Path, tmp_path: Path
) -> None:
    out = write_features(LerobotDataset.open(dataset_v30_images), tmp_path / "out", [SOURCE])
    episode = LerobotDataset.open(out).episode(1)
    image = StoredImages(out, episode, truth.side).image(9)
    np.testing.assert_array_equal(image, truth.images[truth.side][truth.frames(1)][9])


def test_what_does_not_fit_is_told(dataset_v21: Path, tmp_path: Path) -> None:
    dataset = LerobotDataset.open(dataset_v21)
    short = FeatureSource((WORD,), lambda episode: {WORD.key: ["a"]})
    foreign = FeatureSource((AddedFeature("action", "float32", (8,)),), known)
    for sources, message in (
        ([short], "has 1 values for the 5 frames of episode 0"),
        ([foreign], "action cannot be added"),
        ([SOURCE, SOURCE], r"two cameras of .* would share annotation\.top\.mask"),
    ):
        with pytest.raises(LerobotError, match=message):
            write_features(dataset, tmp_path / "out", sources)
    assert list(tmp_path.iterdir()) == []


def test_a_data_file_that_is_not_what_the_metadata_say(dataset_v21: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(dataset_v21, damaged)
    first, last = (damaged / f"data/chunk-000/episode_00000{k}.parquet" for k in (0, 2))
    last.unlink()
    with pytest.raises(LerobotError, match="no data of 1 episodes, the first of them 2"):
        write_features(LerobotDataset.open(damaged), tmp_path / "out", [SOURCE])
    table = parquet().read_table(first)
    frames = pa.array([0, 1, 2, 3, 9])
    place = table.column_names.index("frame_index")
    parquet().write_table(table.set_column(place, "frame_index", frames), first)
    with pytest.raises(LerobotError, match=r"holds frame 9 of episode 0, which .* has 5"):
        write_features(LerobotDataset.open(damaged), tmp_path / "out", [SOURCE])
    first.write_bytes(b"nothing")
    with pytest.raises(LerobotError, match="it is damaged"):
        write_features(LerobotDataset.open(damaged), tmp_path / "out", [SOURCE])


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
