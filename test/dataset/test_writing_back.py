# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.dataset import writing_back
from calib_all_ros.dataset.episodes import EpisodeRef
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.outcomes import Row
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.dataset.writing_back import (
    check_target,
    is_written,
    one_lerobot_dataset,
    write_back,
)


def ref(name: str, episode: int, path: str = "/data") -> EpisodeRef:
    return EpisodeRef(name, "lerobot", Path(path), episode, "top")


def test_results_are_read_as_they_are_asked_for_and_failures_left_out(
    whole: DatasetRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def write(dataset: object, out: Path, results: Any) -> Path:
        given.update(dataset=dataset, results=results)
        return out

    monkeypatch.setattr(writing_back, "write_calibrations", write)
    monkeypatch.setattr(writing_back.LerobotDataset, "open", lambda path: path)
    refs = [ref("a0", 0), ref("b0", 1), ref("c", 2)]
    rows = [whole.rows["a0"], whole.rows["b0"], Row("c", "/data", "top", "failed")]
    assert write_back(refs, rows, whole.plan.out, tmp_path / "new") == tmp_path / "new"
    results = given["results"]
    assert given["dataset"] == Path("/data")
    assert list(results) == [(0, "top"), (1, "top")] and len(results) == 2
    pose = whole.rows["b0"].pose
    assert pose is not None
    np.testing.assert_allclose(results[1, "top"].T_camera_base, pose.matrix)


def test_only_one_lerobot_dataset_can_be_written_anew() -> None:
    assert one_lerobot_dataset([ref("a", 0), ref("b", 1)]) == Path("/data")
    for others in (ref("b", 1, "/other"), EpisodeRef("b", "bag", Path("/data"))):
        with pytest.raises(DatasetError, match="not one such dataset"):
            one_lerobot_dataset([ref("a", 0), others])


def test_what_was_written_before_stays_where_it_is_the_same(
    whole: DatasetRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(dataset: object, out: Path, results: Any) -> Path:
        out.mkdir()
        (out / "meta").touch()
        return out

    monkeypatch.setattr(writing_back, "write_calibrations", write)
    monkeypatch.setattr(writing_back.LerobotDataset, "open", lambda path: path)
    refs, rows = [ref("a0", 0)], [whole.rows["a0"]]
    folder, out = tmp_path / "results", tmp_path / "new"
    folder.mkdir()
    check_target(refs, folder, out)
    assert not is_written(rows, folder, out)
    write_back(refs, rows, folder, out)
    check_target(refs, folder, out)
    assert is_written(rows, folder, out)
    assert is_written([replace(rows[0], seconds=99.0)], folder, out)
    with pytest.raises(DatasetError, match="which have changed since"):
        is_written([replace(rows[0], lag_ms=99.0)], folder, out)
    with pytest.raises(DatasetError, match="was not written from"):
        check_target(refs, tmp_path / "other", out)


def test_a_new_dataset_needs_a_place_of_its_own(tmp_path: Path) -> None:
    original, taken = tmp_path / "original", tmp_path / "taken"
    original.mkdir()
    refs = [ref("a", 0, str(original))]
    for inside in (original, original / "new"):
        with pytest.raises(DatasetError, match="lies in the original dataset"):
            check_target(refs, tmp_path, inside)
    taken.mkdir()
    check_target(refs, tmp_path, taken)
    (taken / "thesis.tex").touch()
    for full in (taken, taken / "thesis.tex"):
        with pytest.raises(DatasetError, match="exists already and was not written"):
            check_target(refs, tmp_path, full)
