# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.tables import read_columns, read_json, read_json_lines, rows_of

pa = pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")
pq = pytest.importorskip("pyarrow.parquet", reason="pip install '.[datasets]'")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Episode 3 in the rows 4, 2 and 3, in this order; row groups of two."""
    path = tmp_path / "data.parquet"
    table = {
        "episode_index": [1, 1, 3, 3, 3],
        "frame_index": [0, 1, 1, 2, 0],
        "scalar": [0.0, 1.0, 31.0, 32.0, 30.0],
        "vector": [[0, 0], [1, 1], [31, 1], [32, 2], [30, 0]],
        "ragged": [[0], [1], [1, 2], [1], [1]],
        "empty": pa.array([None] * 5, pa.list_(pa.int64())),
    }
    fixed = pa.array([[k, k] for k in range(5)], pa.list_(pa.float32(), 2))
    nested = pa.array([[[k, 1], [2, 3]] for k in range(5)])
    pq.write_table(pa.table({**table, "fixed": fixed, "nested": nested}), path, row_group_size=2)
    return path


def test_columns_of_every_kind_in_the_order_of_the_frames(data: Path) -> None:
    found = read_columns(data, 3, ["scalar", "vector", "fixed", "nested"])
    assert found["scalar"].tolist() == [30.0, 31.0, 32.0]
    assert found["vector"].tolist() == [[30, 0], [31, 1], [32, 2]]
    assert found["fixed"].tolist() == [[4, 4], [2, 2], [3, 3]]
    assert found["nested"].shape == (3, 2, 2)
    assert found["nested"][:, 0, 0].tolist() == [4, 2, 3]


def test_rows_of_an_episode(data: Path) -> None:
    rows, groups = rows_of(data, 3)
    assert rows.tolist() == [4, 2, 3]
    np.testing.assert_array_equal(groups, [0, 2, 4, 5])


@pytest.mark.parametrize(
    "episode, keys, message",
    [
        (2, ["scalar"], "holds no frame of episode 2"),
        (3, ["state"], "has no column state; it has: episode_index, frame_index, scalar"),
        (3, ["ragged"], "ragged in .* is no array of numbers"),
        (3, ["empty"], "empty in .* is no array of numbers"),
    ],
)
def test_what_is_missing_is_told(data: Path, episode: int, keys: Any, message: str) -> None:
    with pytest.raises(LerobotError, match=message):
        read_columns(data, episode, keys)


def test_broken_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    for read in (
        lambda: read_columns(path, 0, ["scalar"]),
        lambda: rows_of(path, 0),
        lambda: read_json(path),
        lambda: read_json_lines(path),
    ):
        with pytest.raises(LerobotError, match=r"broken cannot be read .*not complete"):
            read()
    path.write_text("{")
    with pytest.raises(LerobotError, match="cannot be read"):
        read_json_lines(path)
    with pytest.raises(LerobotError, match="cannot be read"):
        read_columns(path, 0, ["scalar"])
