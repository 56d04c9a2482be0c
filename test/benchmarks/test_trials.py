# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from benchmarks.faults import FAULTS, MASKS
from benchmarks.trials import SCENES, Row, all_trials, append_row, read_rows
from benchmarks.verdict_analysis import confusion, coverage, is_right, is_wrong
from benchmarks.verdict_report import report_sections

ROW = Row(
    trial="masks-clean-1-demo",
    route="masks",
    robot="demo",
    scene="demo",
    scene_seed=0,
    fault="clean",
    cause="clean",
    strength=1,
    detail="",
    status="accepted",
    rotation_deg=0.1,
    position_mm=1.0,
    add_mm=1.0,
    pose_error=(0.001, 0.0, 0.0, 0.0, 0.0, 0.0),
    covariance=tuple(tuple(row) for row in (1e-6 * np.eye(6)).tolist()),
)


def faulty(cause: str, status: str, *named: str, **changes: object) -> Row:
    return replace(ROW, cause=cause, fault="x", status=status, causes=named, **changes)  # type: ignore[arg-type]


def test_trials_have_unique_ids_and_a_beginning_with_everything_in_it() -> None:
    everything = list(all_trials())
    assert len({trial.id for trial in everything}) == len(everything)
    trials = list(all_trials([MASKS]))
    assert {trial.id for trial in trials} < {trial.id for trial in everything}
    in_round = sum(len(fault.strengths) for fault in FAULTS if MASKS in fault.routes)
    first = {(trial.fault, trial.strength) for trial in islice(trials, in_round)}
    assert len(first) == in_round
    even = np.mean([trial.scene.seed % 2 == 0 for trial in trials])
    assert even == pytest.approx(0.5, abs=0.02)
    copies = {trial.scene for trial in trials if trial.fault == "everyday"}
    assert len(copies) > SCENES
    assert [trial.id for trial in all_trials([MASKS])] == [trial.id for trial in trials]


def test_rows_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert read_rows(path) == []
    append_row(path, ROW)
    with path.open("a") as file:
        file.write('{"trial": "cut sh')
    (row,) = read_rows(path)
    assert row.trial == ROW.trial and row.position_mm == ROW.position_mm


def test_coverage_of_errors_that_follow_their_covariance() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T
    rows = [
        replace(ROW, pose_error=tuple(error), covariance=tuple(map(tuple, covariance)))
        for error in (2.0 * root @ rng.normal(size=(6, 4000))).T
    ]
    found = coverage(rows)
    assert found.scale == pytest.approx(4.0, rel=0.05)
    assert found.covered == pytest.approx(chi2.cdf(chi2.ppf(0.9, 6) / 4.0, 6), abs=0.03)
    assert coverage(rows, found.scale).covered == pytest.approx(0.9, abs=0.001)
    assert coverage([replace(ROW, covariance=None)]).trials == 0


def test_confusion_counts_the_first_cause_of_what_was_not_accepted() -> None:
    rows = [
        faulty("bad_masks", "rejected", "bad_masks", "camera_moved"),
        faulty("bad_masks", "warning", "camera_moved", "bad_masks"),
        faulty("bad_masks", "accepted"),
        faulty("bad_masks", "refused"),
        faulty("camera_moved", "rejected"),
        replace(ROW, status="warning", causes=("bad_masks",)),
    ]
    table = confusion(rows)
    assert table.share("bad_masks") == 0.5
    assert table.share("camera_moved") == 0.0
    assert table.share_of_all == pytest.approx(1 / 3)
    assert table.refused["bad_masks"] == 1
    assert table.anywhere["bad_masks"] == 2


def test_wrong_is_over_2_cm_or_2_deg_or_without_any_right_pose() -> None:
    assert not is_wrong(ROW) and is_right(ROW)
    assert is_wrong(replace(ROW, position_mm=20.1))
    assert is_wrong(replace(ROW, rotation_deg=2.1))
    between = replace(ROW, position_mm=15.0)
    assert not is_wrong(between) and not is_right(between)
    assert is_wrong(replace(ROW, position_mm=None, rotation_deg=None))
    assert not is_wrong(replace(ROW, position_mm=None, rotation_deg=None, status="refused"))


def test_report_lists_wrong_poses_that_were_accepted_and_right_ones_that_were_not() -> None:
    rows = [
        ROW,
        replace(ROW, trial="masks-clean-2-demo", status="rejected", reasons=("because",)),
        faulty("bad_masks", "accepted", trial="masks-x-1-demo", position_mm=300.0),
        faulty("bad_masks", "failed", trial="masks-x-2-demo", reasons=("Traceback",)),
    ]
    text = "\n\n".join(report_sections(rows))
    assert "1 of 2 (50.0 %), of 4 trials" in text
    assert "masks-x-1-demo" in text and "masks-clean-2-demo: because" in text
    assert "Traceback" in text
