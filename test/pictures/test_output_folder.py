# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from calib_all_ros.pictures.output_folder import whole_or_nothing
from calib_all_ros.results.atomic_file import ResultError


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_arrives_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "other.txt").write_text("other")
    (tmp_path / "a.txt").write_text("old")
    with whole_or_nothing(tmp_path) as folder:
        (folder / "a.txt").write_text("new")
        (folder / "sub" / "deep").mkdir(parents=True)
        (folder / "sub" / "deep" / "b.txt").write_text("b")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert content(tmp_path) == {"a.txt": "new", "sub/deep/b.txt": "b", "sub/other.txt": "other"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "sub"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "new" / "out"
    with pytest.raises(failure), whole_or_nothing(target) as folder:
        (folder / "a.txt").write_text("half")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), whole_or_nothing(tmp_path) as folder:
        (folder / "a.txt").write_text("half")
        raise RuntimeError
    assert content(tmp_path) == {"a.txt": "old"}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["file", "file/out"])
def test_unwritable_folder_is_noticed_before_the_work(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    unwritable = pytest.raises(ResultError, match="cannot write to the folder")
    with unwritable, whole_or_nothing(tmp_path / place):
        pytest.fail("the body must not run")


def test_files_of_an_earlier_result_go_when_the_new_one_arrives(tmp_path: Path) -> None:
    for name in ("overlay_00_old.png", "overlay_01_same.png", "notes.txt"):
        (tmp_path / name).write_text("old")
    with whole_or_nothing(tmp_path, ("overlay_*.png",)) as folder:
        (folder / "overlay_01_same.png").write_text("new")
        assert (tmp_path / "overlay_00_old.png").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "overlay_01_same.png"]
    assert (tmp_path / "overlay_01_same.png").read_text() == "new"
