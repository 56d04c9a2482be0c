# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.collection.finding import CollectionError
from calib_all_ros.collection.stop_and_go import (
    JointConfigurations,
    read_configurations,
    write_configurations,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = JointConfigurations(("b", "a"), np.array([[0.1, -1 / 3], [2.0, 1e-9]]))
    write_configurations(tmp_path / "poses.yaml", written)
    read = read_configurations(tmp_path / "poses.yaml")
    assert read.joint_names == ("b", "a")
    assert np.array_equal(read.positions, written.positions)
    assert len(read) == 2


def test_one_list_a_line(tmp_path: Path) -> None:
    (tmp_path / "joints.txt").write_text("[0.1, -0.2]\n\n[0, 1.5e-1]\n")
    read = read_configurations(tmp_path / "joints.txt", ("a", "b"))
    assert np.array_equal(read.positions, [[0.1, -0.2], [0.0, 0.15]])


def test_names_in_the_file_go_first(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("joint_names: [a]\nconfigurations: [[1.0]]\n")
    assert read_configurations(tmp_path / "p.yaml", ("b",)).joint_names == ("a",)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("p.txt", "[1.0, 2.0]\n", "does not name the joints"),
        ("p.yaml", "configurations: [[1.0]]\n", "does not name the joints"),
        ("p.yaml", "joint_names: [a, b]\nconfigurations: [[1.0]]\n", "one value for each joint"),
        ("p.yaml", "joint_names: [a, a]\nconfigurations: [[1.0, 1.0]]\n", "named twice in a, a"),
        ("p.yaml", "joint_names: [a]\nconfigurations: [[.nan]]\n", "must be finite"),
        ("p.yaml", "joint_names: [a]\nconfigurations: []\n", "holds no|does not fit"),
        ("p.yaml", "joint_names: [a]\nconfigurations: [[1], [1, 2]]\n", "holds no joint config"),
        ("p.yaml", "joint_names: [a]\nconfigurations: [[x]]\n", "holds no joint config"),
        ("p.yaml", "joint_names: [a]\n", "'configurations' is missing"),
        ("p.yaml", "just text", "'configurations' is missing"),
        ("p.yaml", "a: [", "holds no joint config"),
        ("p.txt", "[1.0, 2.0\n", "holds no joint config"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CollectionError, match=complaint) as error:
        read_configurations(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="cannot read the joint configurations"):
        read_configurations(tmp_path / "none.yaml")


def test_a_text_file_gets_one_list_a_line(tmp_path: Path) -> None:
    written = JointConfigurations(("b", "a"), np.array([[0.1, -1 / 3], [2.0, 1e-9]]))
    write_configurations(tmp_path / "joints.txt", written)
    assert (tmp_path / "joints.txt").read_text().splitlines()[1] == "[2.0, 1e-09]"
    read = read_configurations(tmp_path / "joints.txt", ("b", "a"))
    assert np.array_equal(read.positions, written.positions)
