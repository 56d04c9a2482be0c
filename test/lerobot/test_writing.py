# SPDX-License-Identifier: Apache-2.0
"""Calibrations in a dataset, checked against the format itself."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.calibrations import VERDICTS, write_calibrations
from calib_all_ros.lerobot.dataset import LerobotDataset
from calib_all_ros.lerobot.episodes import load_episode
from calib_all_ros.lerobot.tables import read_columns
from calib_all_ros.results.records import Verdict

pa = pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")
pq = pytest.importorskip("pyarrow.parquet", reason="pip install '.[datasets]'")

QUANTITIES = ("T_base_camera", "K", "distortion", "verdict", "quality")


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def results(truth: Any, calibrated: Any) -> Any:
    doubtful = dataclasses.replace(calibrated, verdict=Verdict("warning", ("the light changed",)))
    return {(0, truth.top): calibrated, (1, truth.top): doubtful}


@pytest.fixture
def written(dataset_path: Path, results: Any, tmp_path: Path) -> Path:
    return write_calibrations(LerobotDataset.open(dataset_path), tmp_path / "out", results)


def test_the_original_stays_and_the_rest_is_the_same(dataset_path: Path, written: Path) -> None:
    before, after = hashes(dataset_path), hashes(written)
    assert set(before) == set(after)
    changed = {name for name in before if before[name] != after[name]}
    assert all(name.startswith(("data/", "meta/")) for name in changed)
    assert not any("tasks" in name for name in changed)
    for path in dataset_path.rglob("*.mp4"):
        assert (written / path.relative_to(dataset_path)).stat().st_ino == path.stat().st_ino
    assert (dataset_path / "meta/info.json").stat().st_nlink == 1
    info = json.loads((dataset_path / "meta/info.json").read_text())
    assert not any(key.startswith("calibration") for key in info["features"])


def test_info_describes_every_column(dataset_path: Path, written: Path) -> None:
    info = json.loads((written / "meta/info.json").read_text())
    old = json.loads((dataset_path / "meta/info.json").read_text())
    assert {k: v for k, v in info.items() if k != "features"} == {
        k: v for k, v in old.items() if k != "features"
    }
    assert list(info["features"])[: len(old["features"])] == list(old["features"])
    added = {k: v for k, v in info["features"].items() if k not in old["features"]}
    assert set(added) == {f"calibration.top.{quantity}" for quantity in QUANTITIES}
    assert {k.rpartition(".")[2]: (v["dtype"], v["shape"]) for k, v in added.items()} == {
        "T_base_camera": ("float32", [16]),
        "K": ("float32", [9]),
        "distortion": ("float32", [5]),
        "verdict": ("int64", [1]),
        "quality": ("float32", [3]),
    }
    for key, feature in added.items():
        # LeRobot takes these names for pictures, and for input of policies.
        assert "image" not in key and "observation" not in key and "/" not in key
        assert feature["names"] is None or len(feature["names"]) == feature["shape"][0]
    assert added["calibration.top.distortion"]["info"]["distortion_model"] == "plumb_bob"
    assert added["calibration.top.T_base_camera"]["info"]["base_frame"] == "base_link"
    for path in written.glob("data/*/*.parquet"):
        schema = pq.read_schema(path)
        numbers = [key for key, f in info["features"].items() if f["dtype"] != "video"]
        assert set(schema.names) == set(numbers)
        for key in numbers:
            feature, kind = info["features"][key], schema.field(key).type
            inner = pa.from_numpy_dtype(np.dtype(feature["dtype"]))
            if feature["shape"] == [1]:
                assert kind == inner, key
            else:
                assert kind == pa.list_(inner, feature["shape"][0]), key


def test_rows_and_row_groups_stay(dataset_path: Path, written: Path) -> None:
    for path in dataset_path.glob("data/*/*.parquet"):
        before, after = (
            pq.ParquetFile(root) for root in (path, written / path.relative_to(dataset_path))
        )
        assert before.metadata.num_row_groups == after.metadata.num_row_groups
        names = before.schema_arrow.names
        assert after.read(columns=names).select(names).equals(before.read())


def test_every_frame_has_its_calibration(truth: Any, calibrated: Any, written: Path) -> None:
    dataset = LerobotDataset.open(written)
    keys = [f"calibration.top.{quantity}" for quantity in QUANTITIES]
    for episode, code in ((0, VERDICTS["accepted"]), (1, VERDICTS["warning"])):
        columns = read_columns(dataset.episode(episode).data, episode, keys)
        T, K, lens, verdict, quality = (columns[key] for key in keys)
        assert len(T) == truth.lengths[episode]
        for row in range(len(T)):
            np.testing.assert_allclose(T[row].reshape(4, 4), calibrated.T_base_camera, atol=1e-6)
            np.testing.assert_allclose(K[row].reshape(3, 3), truth.camera.K, rtol=1e-6)
        assert not lens.any()
        assert (verdict == code).all()
        np.testing.assert_allclose(quality[0], [0.004, np.radians(0.5), 0.012], rtol=1e-6)
    columns = read_columns(dataset.episode(2).data, 2, keys)
    assert (columns["calibration.top.verdict"] == VERDICTS["not calibrated"]).all()
    assert not columns["calibration.top.T_base_camera"].any()


def test_statistics_are_those_of_the_columns(truth: Any, written: Path) -> None:
    dataset = LerobotDataset.open(written)
    key = "calibration.top.T_base_camera"
    parts = [read_columns(dataset.episode(i).data, i, [key])[key] for i in (0, 1, 2)]
    whole = np.concatenate(parts).astype(float)
    if dataset.version == "v2.1":
        lines = (written / "meta/episodes_stats.jsonl").read_text().splitlines()
        documents = [json.loads(line) for line in lines]
        assert [document["episode_index"] for document in documents] == [0, 1, 2]
        assert set(documents[1]["stats"]) >= {"action", truth.top, "calibration.top.verdict"}
        per_episode = [document["stats"][key] for document in documents]
        assert set(per_episode[0]) == {"min", "max", "mean", "std", "count"}
        assert not (written / "meta/stats.json").exists()
    else:
        table = pq.read_table(written / "meta/episodes/chunk-000/file-000.parquet")
        names = [name for name in table.column_names if name.startswith(f"stats/{key}/")]
        assert {name.rpartition("/")[2] for name in names} == {
            *("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
        }
        assert f"stats/{truth.top}/mean" in table.column_names
        per_episode = [
            {name.rpartition("/")[2]: table.column(name)[i].as_py() for name in names}
            for i in range(3)
        ]
        stats = json.loads((written / "meta/stats.json").read_text())
        assert set(stats) >= {"action", truth.top}
        np.testing.assert_allclose(stats[key]["mean"], whole.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(stats[key]["std"], whole.std(axis=0), atol=1e-6)
        np.testing.assert_allclose(stats[key]["min"], whole.min(axis=0), atol=1e-6)
        assert stats[key]["count"] == [29]
    for part, stats in zip(parts, per_episode, strict=True):
        np.testing.assert_allclose(stats["mean"], part.mean(axis=0), atol=1e-6)
        assert stats["count"] == [len(part)]


def test_metadata_of_the_episodes(truth: Any, calibrated: Any, written: Path) -> None:
    rows = LerobotDataset.open(written).rows
    assert [row["calibration/top/status"] for row in rows] == ["accepted", "warning", None]
    assert rows[1]["calibration/top/reasons"] == ["the light changed"]
    np.testing.assert_array_equal(
        rows[0]["calibration/top/T_base_camera"], calibrated.T_base_camera
    )
    np.testing.assert_array_equal(
        rows[0]["calibration/top/covariance"], calibrated.covariance.matrix
    )
    assert rows[0]["calibration/top/base_frame"] == "base_link"
    assert rows[0]["tasks"] == ["wave"]


def test_intrinsics_are_read_back(truth: Any, written: Path) -> None:
    dataset = LerobotDataset.open(written)
    camera = load_episode(dataset, 0, truth.top).camera
    np.testing.assert_allclose(camera.K, truth.camera.K, rtol=1e-6)
    assert (camera.model, camera.frame_id) == ("plumb_bob", truth.camera.frame_id)
    with pytest.raises(LerobotError, match="no intrinsics"):
        load_episode(dataset, 2, truth.top)


def test_a_second_calibration_replaces_the_first(
    truth: Any, calibrated: Any, written: Path, tmp_path: Path
) -> None:
    dataset = LerobotDataset.open(written)
    again = write_calibrations(dataset, tmp_path / "again", {(2, truth.top): calibrated})
    rows = LerobotDataset.open(again).rows
    assert [row["calibration/top/status"] for row in rows] == [None, None, "accepted"]
    assert set(LerobotDataset.open(again).features) == set(dataset.features)
    schema = pq.read_schema(next(again.glob("data/*/*.parquet")))
    assert len(schema.names) == len(set(schema.names))


def test_what_the_hub_library_says_of_columns_is_kept_up(
    truth: Any, calibrated: Any, dataset_v30: Path, tmp_path: Path
) -> None:
    described = tmp_path / "described"
    shutil.copytree(dataset_v30, described)
    path = described / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    hub = {"info": {"features": {"index": {"dtype": "int64", "_type": "Value"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(hub)}), path)
    dataset = LerobotDataset.open(described)
    out = write_calibrations(dataset, tmp_path / "out", {(0, truth.top): calibrated})
    schema = pq.read_schema(out / "data/chunk-000/file-000.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["index"] == {"dtype": "int64", "_type": "Value"}
    assert features["calibration.top.verdict"] == {"dtype": "int64", "_type": "Value"}
    assert features["calibration.top.K"]["length"] == 9


def test_nothing_is_left_of_what_fails(
    truth: Any, calibrated: Any, dataset_path: Path, tmp_path: Path
) -> None:
    dataset = LerobotDataset.open(dataset_path)
    place = tmp_path / "place"
    place.mkdir()
    lens = dataclasses.replace(
        calibrated.camera, model="equidistant", distortion=np.array([0.1, 0, 0, 0])
    )
    other = dataclasses.replace(calibrated, camera=lens)
    for results, message in (
        ({(9, truth.top): calibrated}, "no episode 9"),
        ({(0, "front"): calibrated}, "no camera front"),
        ({}, "nothing to add"),
        ({(0, truth.top): calibrated, (1, truth.top): other}, "differ in their distortion_model"),
    ):
        with pytest.raises(LerobotError, match=message):
            write_calibrations(dataset, place / "out", results)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    good = {(0, truth.top): calibrated}
    with pytest.raises(KeyboardInterrupt):
        write_calibrations(dataset, place / "out", good, on_progress=interrupt)
    assert list(place.iterdir()) == []
    (place / "full").mkdir()
    (place / "full" / "file").touch()
    with pytest.raises(LerobotError, match="exists already"):
        write_calibrations(dataset, place / "full", good)
    with pytest.raises(LerobotError, match="lies in the original"):
        write_calibrations(dataset, dataset_path / "out", good)


def test_wide_lenses_keep_their_model(
    truth: Any, calibrated: Any, dataset_v21: Path, tmp_path: Path
) -> None:
    lens = dataclasses.replace(
        calibrated.camera, model="equidistant", distortion=np.array([0.1, 0.2, 0.3, 0.4])
    )
    result = dataclasses.replace(calibrated, camera=lens, focal_scale=1.01)
    out = write_calibrations(
        LerobotDataset.open(dataset_v21), tmp_path / "out", {(0, truth.side): result}
    )
    camera = load_episode(LerobotDataset.open(out), 0, truth.side).camera
    assert camera.model == "equidistant"
    np.testing.assert_allclose(camera.distortion, [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(camera.K[0, 0], 1.01 * truth.camera.K[0, 0], rtol=1e-6)


def test_progress_counts_data_files(
    truth: Any, calibrated: Any, dataset_v30: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    write_calibrations(
        LerobotDataset.open(dataset_v30),
        tmp_path / "out",
        {(0, truth.top): calibrated},
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
