# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.annotation.action_table import read_table
from calib_all_ros.annotation.errors import AnnotationError

STAMP = 1_700_000_000_123_456_789


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "pi0.csv"
    path.write_text(f"stamp_ns,x,y,z,note\n{STAMP},1,2,3,up\n{STAMP + 1},4,5,6,down\n")
    table = read_table(str(path))
    assert (table.name, len(table)) == ("pi0", 2)
    assert table.position_columns() == ("x", "y", "z")
    assert table.stacked(("z", "x")).tolist() == [[3.0, 1.0], [6.0, 4.0]]
    # Nanoseconds of today do not fit into a float.
    assert table.columns["stamp_ns"].tolist() == [STAMP, STAMP + 1]
    assert "note" not in table.columns


def test_npy(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6.0).reshape(2, 3))
    assert read_table(str(path)).stacked(("x", "y", "z")).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read_table(f"policy={path}", ["j1", "j2", "j3"]).columns["j3"].tolist() == [2, 5]
    assert read_table(f"policy={path}").name == "policy"
    with pytest.raises(AnnotationError, match="has 3 columns, 2 are named"):
        read_table(str(path), ["j1", "j2"])
    records = np.array([(0.5, 2)], dtype=[("j1", "f4"), ("stamp_ns", "i8")])
    np.save(path, records)
    columns = read_table(str(path)).columns
    assert columns["j1"].tolist() == [0.5] and columns["stamp_ns"].dtype == np.int64


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pip install '.[datasets]'")
    pq = pytest.importorskip("pyarrow.parquet", reason="pip install '.[datasets]'")
    path = tmp_path / "a.parquet"
    columns = {"x": [1.0, 2.0], "stamp_ns": [STAMP, STAMP + 1], "task": ["a", "b"]}
    pq.write_table(pa.table(columns), path)
    table = read_table(str(path))
    assert table.columns["x"].tolist() == [1.0, 2.0]
    assert table.columns["stamp_ns"].tolist() == [STAMP, STAMP + 1]
    assert "task" not in table.columns
    path.write_bytes(b"no parquet")
    with pytest.raises(AnnotationError, match="cannot be read as parquet"):
        read_table(str(path))


def test_our_own_trajectory_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "trajectory.csv"
    path.write_text("frame,hidden_by,base_x_m,base_y_m,base_z_m\n0,,1,2,3\n")
    assert read_table(str(path)).position_columns() == ("base_x_m", "base_y_m", "base_z_m")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x,y,z\n", "holds no rows of numbers"),
        ("a.csv", "x,y,z\n1,2\n", r"row 0 \(from 0\) of .* has 2 cells, its header 3"),
        ("a.csv", "", "cannot be read as CSV"),
        ("a.csv", "x,y,z\n1,nan,3\n", "column 'y' .* is not a finite number in row 0"),
        ("a.npy", "no array", "cannot be read as .npy"),
        ("a.txt", "1 2 3", "is no table that is read"),
    ],
)
def test_broken_tables_are_told(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(AnnotationError, match=message):
        read_table(str(tmp_path / name))


def test_missing_and_odd_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no table"):
        read_table("pi0=nowhere.csv")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(AnnotationError, match=r"has the shape \(3,\)"):
        read_table(str(tmp_path / "a.npy"))
