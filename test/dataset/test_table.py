# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.dataset import page
from calib_all_ros.dataset.outcomes import Pose, Row
from calib_all_ros.dataset.page import write_page
from calib_all_ros.dataset.table import flat, write_csv, write_parquet, write_tables
from calib_all_ros.geometry import se3

T_CAMERA_BASE = se3.from_rotvec([0.1, -0.2, 0.3], [0.4, 0.5, 0.6])
POSE = Pose(tuple(T_CAMERA_BASE.ravel().tolist()), tuple(np.eye(6).ravel().tolist()))
ROWS = (
    Row(
        "a/top", "/data/a", "top", "warning", ("images_late", "bad_masks"),
        ("three images are late: sort them out", "and <b>bold</b> masks"), "a-12345678", 3,
        4.25, 0.5, -3.0, 0.75, 16, 2.5, POSE, "base_link", "top_optical", "episodes/a/top",
        "setups/a-12345678/report.html", "0.1.0",
    ),
    Row("b", "/data/b", "", "failed", reasons=("b has no images: record them",)),
)  # fmt: skip


def test_a_row_carries_its_pose_as_numbers() -> None:
    content = flat(ROWS[0])
    position = [content[name] for name in ("x_m", "y_m", "z_m")]
    np.testing.assert_allclose(position, se3.invert(T_CAMERA_BASE)[:3, 3])
    quaternion = [content[name] for name in ("qx", "qy", "qz", "qw")]
    back = se3.from_quaternion_xyzw(quaternion, position)
    np.testing.assert_allclose(back, se3.invert(T_CAMERA_BASE), atol=1e-12)


def test_csv_can_be_read_back(tmp_path: Path) -> None:
    with write_csv(tmp_path, ROWS).open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first["episode"] == "a/top" and float(first["lag_ms"]) == -3.0
    assert first["causes"] == "images_late | bad_masks"
    assert second["verdict"] == "failed"
    assert second["x_m"] == second["expected_position_mm"] == ""
    assert second["reasons"] == "b has no images: record them"


def test_parquet_can_be_read_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install '.[datasets]'")
    table = parquet.read_table(write_parquet(tmp_path, ROWS))
    first, second = table.to_pylist()
    assert first["causes"] == ["images_late", "bad_masks"] and first["solved_with"] == 3
    assert len(first["covariance"]) == 36 and first["x_m"] == flat(ROWS[0])["x_m"]
    assert second["covariance"] is None and second["contour_px"] is None
    # A column in which nothing is known has its type all the same.
    alone = parquet.read_table(write_parquet(tmp_path, ROWS[1:]))
    assert alone.schema.equals(table.schema)


def test_without_pyarrow_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "table.parquet").touch()
    files, missing = write_tables(tmp_path, ROWS)
    assert [path.name for path in files] == ["table.csv"]
    assert missing[0].startswith("table.parquet was not written: pyarrow is not installed")
    assert not (tmp_path / "table.parquet").exists()


class Page(HTMLParser):
    """Collects what a browser would load, and the texts of the cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.rows: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.tags.add(tag)
        for name in ("href", "src"):
            if values.get(name):
                self.links.append(str(values[name]))
        if tag == "tr" and "data-verdict" in values:
            self.rows.append(str(values["data-verdict"]))


def test_the_page_stands_alone_with_the_worst_first(tmp_path: Path) -> None:
    found = Page(write_page(tmp_path, "/data", ROWS).read_text())
    assert found.rows == ["failed", "warning"]
    assert found.links == ["data:,", "table.csv", "setups/a-12345678/report.html"]
    # What a name or a sentence says is text.
    assert "b" not in found.tags


def test_of_very_many_rows_the_worst_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_ROWS", 1)
    text = write_page(tmp_path, "/data", ROWS).read_text()
    assert Page(text).rows == ["failed"]
    assert "The 1 worst of 2 rows" in text
