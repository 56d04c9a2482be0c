# SPDX-License-Identifier: Apache-2.0
"""Jobs on Ray; what kills workers here kills them as a real fault would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calib_all_ros.dataset.discovery import find_episodes
from calib_all_ros.dataset.engine import Failure, Job
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.dataset.jobs import SetupJob
from calib_all_ros.dataset.journal import Journal
from calib_all_ros.dataset.plan import DatasetPlan
from calib_all_ros.dataset.ray_engine import RayEngine
from calib_all_ros.dataset.run import DatasetRun
from calib_all_ros.errors import CalibAllError

ray = pytest.importorskip("ray", reason="pip install '.[ray]'")


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    # Workers cannot import this file by its name.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    engine = RayEngine(workers=2, retries=2)
    yield engine
    engine.close()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Squared:
    """Squares a number; for some it goes wrong."""

    number: int
    marks: Path

    def __call__(self) -> int:
        if self.number == 1:
            raise CalibAllError("one is not wanted: take another number")
        if self.number == 2:
            die()
        if self.number == 3 and not (self.marks / "died").exists():
            (self.marks / "died").touch()
            die()
        return self.number**2


def test_a_worker_that_dies_once_is_no_failure(engine: RayEngine, tmp_path: Path) -> None:
    jobs = [Squared(number, tmp_path) for number in range(6)]
    outcomes = dict(engine.map_unordered(jobs))
    assert [outcomes[n] for n in (0, 3, 4, 5)] == [0, 9, 16, 25]
    assert outcomes[1] == Failure("one is not wanted: take another number")
    lost = outcomes[2]
    assert isinstance(lost, Failure) and "worker was lost again and again" in lost.sentence


@dataclass(frozen=True)
class Sleeping:
    seconds: float

    def __call__(self) -> float:
        time.sleep(self.seconds)
        return self.seconds


def test_a_straggler_holds_nobody_up_and_is_given_up(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = engine.map_unordered([Sleeping(600.0), Sleeping(0.0), Sleeping(0.01)])
    assert sorted([next(outcomes), next(outcomes)]) == [(1, 0.0), (2, 0.01)]
    monkeypatch.setattr(engine, "_time_limit_s", 0.01)
    ((number, late),) = outcomes
    assert number == 0 and isinstance(late, Failure)
    assert "it was not finished 0.01 s after it was handed to Ray" in late.sentence


@dataclass(frozen=True)
class KilledOnce:
    """A job whose worker is killed in the middle of it, the first time."""

    job: Any
    mark: Path

    def __call__(self) -> Any:
        if not self.mark.exists():
            self.mark.touch()
            threading.Timer(0.3, die).start()
        return self.job()


@dataclass
class Murderous:
    """Runs jobs on Ray and kills the worker of every solve once."""

    engine: RayEngine
    marks: Path
    isolated = True

    def map_unordered(self, jobs: Iterable[Job[Any]]) -> Iterator[tuple[int, Any]]:
        wrapped = [
            KilledOnce(job, self.marks / f"{number}") if isinstance(job, SetupJob) else job
            for number, job in enumerate(jobs)
        ]
        return self.engine.map_unordered(wrapped)

    def close(self) -> None:
        """Left to the fixture."""


def test_killed_workers_change_no_result(
    engine: RayEngine,
    whole: DatasetRun,
    two_setups: Path,
    tmp_path: Path,
    plan_for: Callable[[Path], DatasetPlan],
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    plan = plan_for(tmp_path / "results")
    with Journal(plan.out) as journal:
        rows = DatasetRun(plan, Murderous(engine, marks), journal)(find_episodes(two_setups))
    assert len(list(marks.iterdir())) == 2
    assert [row.episode for row in rows] == sorted(whole.rows)
    for row in rows:
        expected = whole.rows[row.episode]
        assert (row.verdict, row.setup) == (expected.verdict, expected.setup)
        assert row.pose is not None and expected.pose is not None
        # Workers have one thread each, which adds numbers up in another order.
        np.testing.assert_allclose(row.pose.matrix, expected.pose.matrix, atol=1e-8)
        assert row.lag_ms == pytest.approx(expected.lag_ms, abs=1e-4)
    assert not list(plan.out.rglob(".unfinished-*"))


OUT_OF_MEMORY = """
import sys
from functools import partial
from calib_all_ros.dataset.ray_engine import RayEngine
if __name__ == "__main__":
    engine = RayEngine(workers=1, retries=1)
    import time
    print(dict(engine.map_unordered([partial(time.sleep, 60.0)]))[0].sentence)
    engine.close()
"""


def test_what_memory_runs_out_for_is_a_failure_in_the_end() -> None:
    # A limit that the machine exceeds before the job begins.
    limits = {"RAY_memory_usage_threshold": "0.0001", "RAY_memory_monitor_refresh_ms": "100"}
    run = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY],
        env={**os.environ, **limits},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "memory ran out again and again: give each job more" in run.stdout, run.stderr


def test_more_memory_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0, "memory": 2.0**30})
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(DatasetError, match="--memory 2048 MB is more than the 1024 MB"):
        RayEngine(memory_mb=2048)


def test_where_nobody_listens_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray would try for minutes"))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(DatasetError, match=f"no Ray cluster at {address}.*ray start --head"):
            RayEngine(address)


@pytest.mark.parametrize("error", [ConnectionError, RuntimeError, ValueError])
def test_what_ray_says_of_an_address_is_told(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def init(**_: object) -> None:
        raise error("no\nsuch thing")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(DatasetError, match=r"no Ray cluster at auto .*\(no such thing\)"):
        RayEngine("auto")
    with pytest.raises(DatasetError, match=r"Ray does not start here \(no such thing\)"):
        RayEngine()


def test_no_more_jobs_wait_in_ray_than_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[int] = []

    class Task:
        """Never runs anything; hands out numbers."""

        def remote(self, job: Sleeping) -> float:
            return job.seconds

    def wait(tasks: list[float], **_: object) -> tuple[list[float], list[float]]:
        waiting.append(len(tasks))
        return tasks[:1], tasks[1:]

    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "memory": 3.5 * 2**30})
    monkeypatch.setattr(ray, "wait", wait)
    monkeypatch.setattr(ray, "get", lambda task: task)
    engine = RayEngine(memory_mb=1024, time_limit_s=60.0)
    monkeypatch.setattr(engine, "_task", Task())
    jobs = [Sleeping(float(seconds)) for seconds in range(6)]
    assert len(list(engine.map_unordered(jobs))) == 6
    assert max(waiting) == 3
