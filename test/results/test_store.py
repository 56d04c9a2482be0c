# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.store import ResultStore


def test_old_results_are_kept(calibration: Calibration, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for lag_ms in range(12):
        path = store.save("kitchen_cam", replace(calibration, lag_ms=float(lag_ms)))
    assert path == tmp_path / "results" / "kitchen_cam.yaml"
    assert store.load("kitchen_cam").lag_ms == 11
    earlier = store.earlier("kitchen_cam")
    assert [file.name for file in earlier] == [f"kitchen_cam.{n}.yaml" for n in range(1, 12)]
    assert [Calibration.load(file).lag_ms for file in earlier] == list(range(11))


def test_names_lists_each_result_once(calibration: Calibration, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    assert store.names() == ()
    for name in ("b", "a", "a", "a-1"):
        store.save(name, calibration)
    (tmp_path / "notes.txt").touch()
    assert store.names() == ("a", "a-1", "b")
    assert store.earlier("b") == ()


def test_unknown_name_offers_the_known(calibration: Calibration, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    with pytest.raises(ResultError, match="it has: none"):
        store.load("kitchen")
    store.save("hall", calibration)
    store.save("lab", calibration)
    with pytest.raises(ResultError, match=r"no result called 'kitchen' .* it has: hall, lab"):
        store.load("kitchen")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a.b", ".hidden", "-flag", "ä", "x" * 101])
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultError, match="cannot name a result"):
        ResultStore(tmp_path).path(name)


def test_default_folder_follows_ros_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    assert ResultStore().folder == tmp_path / "calib_all_ros"
    monkeypatch.delenv("ROS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert ResultStore().folder == tmp_path / "home" / ".ros" / "calib_all_ros"
