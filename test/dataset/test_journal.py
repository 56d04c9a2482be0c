# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from calib_all_ros.dataset.engine import Failure, SingleProcess, attempt
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.journal import MOST_ATTEMPTS, Journal
from calib_all_ros.dataset.outcomes import Pose, Row, SetupSolved
from calib_all_ros.dataset.survey import Surveyed
from calib_all_ros.errors import CalibAllError

POSE = Pose(tuple(map(float, range(16))), tuple(map(float, range(36))))
OUTCOMES = {
    "look a": Surveyed("stream", "print", 5, 20, True),
    "setup a": SetupSolved("accepted", (), ("a", "b"), POSE, 1.5),
    "episode a": Row("a", "/a", "", "warning", ("images_late",), ("late",), pose=POSE, lag_ms=3.0),
    "episode b": Row("b", "/b", "", "failed", reasons=("broken",)),
}


def test_outcomes_come_back_as_they_were(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for identity, outcome in OUTCOMES.items():
            journal.finish(identity, identity, outcome)
    with Journal(tmp_path) as journal:
        assert {name: journal.outcome(name, name) for name in OUTCOMES} == OUTCOMES


def test_failures_are_told_but_not_kept(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.finish("look a", "a", Failure("broken", "Traceback"))
    assert "Traceback" in journal.path.read_text()
    with Journal(tmp_path) as journal:
        assert journal.outcome("look a", "a") is None


def test_what_was_written_over_is_not_done(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.finish("episode a in x", "episodes/a", OUTCOMES["episode a"])
        journal.finish("episode a in y", "episodes/a", OUTCOMES["episode a"])
    with Journal(tmp_path) as journal:
        assert journal.outcome("episode a in x", "episodes/a") is None
        assert journal.outcome("episode a in y", "episodes/a") is not None


@pytest.mark.parametrize(
    "torn", [b'{"job": "look b", "ki', b"\xff\xfe", b'{"job": "look b"}\n', b"3"]
)
def test_half_a_line_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    with Journal(tmp_path) as journal:
        journal.finish("look a", "a", OUTCOMES["look a"])
    with journal.path.open("ab") as file:
        file.write(torn)
    with Journal(tmp_path) as journal:
        journal.finish("setup a", "s", OUTCOMES["setup a"])
    with Journal(tmp_path) as journal:
        assert journal.outcome("look a", "a") == OUTCOMES["look a"]
        assert journal.outcome("setup a", "s") == OUTCOMES["setup a"]
        assert journal.outcome("look b", "b") is None


def test_only_jobs_that_end_the_process_are_given_up(tmp_path: Path) -> None:
    for _ in range(MOST_ATTEMPTS):
        with Journal(tmp_path) as journal:
            assert not journal.crashes("killed")
            journal.begin("killed")
            for name in ("interrupted", "failed"):
                journal.begin(name)
            journal.interrupt("interrupted")
            journal.finish("failed", "f", Failure("broken"))
    with Journal(tmp_path) as journal:
        assert [journal.crashes(n) for n in ("killed", "interrupted", "failed")] == [
            True,
            False,
            False,
        ]
        journal.forget()
    assert journal.path.read_bytes() == b""


def test_a_job_that_was_given_up_can_be_tried_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.finish("look a", "a", OUTCOMES["look a"])
        for _ in range(MOST_ATTEMPTS):
            journal.begin("killed")
    with Journal(tmp_path) as journal:
        assert journal.crashes("killed")
        journal.retry()
    with Journal(tmp_path) as journal:
        assert not journal.crashes("killed")
        assert journal.outcome("look a", "a") == OUTCOMES["look a"]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(DatasetError, match="another process works on"):
        Journal(tmp_path).__enter__()
    with Journal(tmp_path):
        pass


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        Journal(tmp_path / "file" / "results").__enter__()


def raising(error: BaseException) -> object:
    def job() -> None:
        raise error

    return job


def test_whatever_a_job_raises_is_a_failure_but_ctrl_c() -> None:
    said = attempt(raising(CalibAllError("the file is broken: record it again")))  # type: ignore[arg-type]
    assert said == Failure("the file is broken: record it again")
    internal = attempt(raising(ValueError("no\nway")))  # type: ignore[arg-type]
    assert isinstance(internal, Failure)
    assert internal.sentence.startswith("internal error, ValueError: no way; please report")
    assert "Traceback" in internal.detail
    memory = attempt(raising(MemoryError()))  # type: ignore[arg-type]
    assert isinstance(memory, Failure) and "not enough memory" in memory.sentence
    with pytest.raises(KeyboardInterrupt):
        attempt(raising(KeyboardInterrupt()))  # type: ignore[arg-type]


def test_a_single_process_goes_through_in_order() -> None:
    jobs = [lambda i=i: i * i for i in range(3)]
    assert list(SingleProcess().map_unordered(jobs)) == [(0, 0), (1, 1), (2, 4)]
