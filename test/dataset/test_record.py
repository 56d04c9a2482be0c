# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from calib_all_ros.dataset import record
from calib_all_ros.dataset.episodes import DatasetSelection
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.plan import DatasetPlan
from calib_all_ros.input_files import InputSelection
from calib_all_ros.settings import FrameSettings, Settings


@pytest.fixture
def plan(tmp_path: Path) -> DatasetPlan:
    urdf = tmp_path / "robot.urdf"
    urdf.write_text("<robot/>")
    common = InputSelection(urdf=urdf, mesh_paths=(tmp_path,))
    return DatasetPlan(tmp_path / "results", DatasetSelection(common), Settings())


def test_the_same_run_has_no_changes(plan: DatasetPlan) -> None:
    assert record.changes_since("data", plan) == ()
    record.write_record("data", plan)
    assert record.changes_since("data", plan) == ()
    assert record.changes_since("data", replace(plan, reports="none")) == ()


def test_changes_are_named(plan: DatasetPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    record.write_record("data", plan)
    other = replace(plan, settings=Settings(frames=FrameSettings(count=24)), joint_episodes=4)
    changes = record.changes_since("elsewhere", other)
    assert "source was data, is elsewhere" in changes
    assert "settings.frames.count was 16, is 24" in changes
    assert "setups.joint_episodes was 8, is 4" in changes
    assert "(source was data" in str(record.refusal(other, changes))
    assert "--redo" in str(record.refusal(other, changes))
    monkeypatch.setattr(record, "__version__", "99.0")
    assert record.changes_since("data", plan) == ("package_version was 0.1.0, is 99.0",)


def test_a_changed_robot_description_is_a_change(plan: DatasetPlan) -> None:
    record.write_record("data", plan)
    assert plan.selection.common.urdf is not None
    plan.selection.common.urdf.write_text("<robot name='other'/>")
    (change,) = record.changes_since("data", plan)
    assert change.startswith("files.")
    plan.selection.common.urdf.unlink()
    with pytest.raises(DatasetError, match=r"cannot read .*robot\.urdf"):
        record.changes_since("data", plan)


def test_a_folder_of_something_else_is_left_alone(plan: DatasetPlan) -> None:
    plan.out.mkdir()
    assert record.changes_since("data", plan) == ()
    (plan.out / "thesis.tex").touch()
    with pytest.raises(DatasetError, match="choose an empty or a new folder"):
        record.changes_since("data", plan)


def test_results_are_removed_and_nothing_else(plan: DatasetPlan) -> None:
    for name in ("episodes", "setups", ".survey", "mine"):
        (plan.out / name).mkdir(parents=True)
    record.remove_results(plan)
    assert [path.name for path in plan.out.iterdir()] == ["mine"]


def test_somebody_elses_dataset_yaml_is_no_record(plan: DatasetPlan) -> None:
    plan.out.mkdir()
    (plan.out / "dataset.yaml").write_text("train: images\nnames: [robot]\n")
    with pytest.raises(DatasetError, match="choose an empty or a new folder"):
        record.changes_since("data", plan)


def test_a_folder_with_nothing_but_an_empty_journal_is_free(plan: DatasetPlan) -> None:
    plan.out.mkdir()
    journal = plan.out / "journal.jsonl"
    journal.touch()
    assert record.changes_since("data", plan) == ()
    journal.write_text("{}\n")
    with pytest.raises(DatasetError, match="choose an empty or a new folder"):
        record.changes_since("data", plan)
