# SPDX-License-Identifier: Apache-2.0
"""Work in a process of its own, whoever dies meanwhile; needs no ROS."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from calib_all_ros.nodes.worker_process import (
    Done,
    Failed,
    LogLine,
    Message,
    StageProgress,
    WorkerProcess,
)

PATIENCE_S = 60.0
JOBS = """
import logging, os, signal
from calib_all_ros.errors import CalibAllError

logger = logging.getLogger("calib_all_ros.example")

def double(number, work):
    for share in (0.0, 0.001, 0.5, 1.0):
        work.progress("doubling", share)
    logger.warning("%d is small", number)
    logger.debug("nobody need know")
    if work.folder:
        (work.folder / "new.txt").write_text(str(2 * number))
        work.copy_log_to(work.folder)
    return 2 * number

def refuse(work):
    (work.folder / "new.txt").write_text("half")
    raise CalibAllError("no such camera")

def crash(work):
    return 1 / 0

def vanish(work):
    os.kill(os.getpid(), signal.SIGKILL)

def toil(work):
    if work.folder:
        (work.folder / "new.txt").write_text("half")
    work.progress(str(os.getpid()), 0.0)
    while True:
        pass
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that the worker can import as well."""
    (tmp_path / "example_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, "example_jobs", raising=False)
    return importlib.import_module("example_jobs")


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def all_messages(worker: WorkerProcess) -> list[Message]:
    """Return everything up to the last message."""
    heard: list[Message] = []

    def ended() -> bool:
        heard.extend(worker.messages())
        return bool(heard) and isinstance(heard[-1], Done | Failed)

    wait_for(ended, "the end of the work")
    worker.close()
    assert worker.messages() == []
    return heard


def toiling(worker: WorkerProcess) -> int:
    """Wait until the worker is in the midst of its work; return its process number."""
    heard: list[Message] = []

    def begun() -> bool:
        heard.extend(worker.messages())
        return bool(heard)

    wait_for(begun, "the work to begin")
    assert isinstance(heard[0], StageProgress)
    return int(heard[0].stage)


def alive(pid: int) -> bool:
    """Whether a process still runs; what nobody has waited for counts as ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def temporary_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("calib_all-*"))


def test_result_progress_log_and_files_arrive(jobs: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    heard = all_messages(WorkerProcess(functools.partial(jobs.double, 21), out))
    shares = [message.share for message in heard if isinstance(message, StageProgress)]
    assert shares == [0.0, 0.5, 1.0]
    lines = [message.text for message in heard if isinstance(message, LogLine)]
    assert lines[-1] == "21 is small" and "nobody need know" not in lines
    assert heard[-1] == Done(42)
    assert sorted(path.name for path in out.iterdir()) == ["calib_all.log", "new.txt"]
    assert (out / "new.txt").read_text() == "42"
    assert "nobody need know" in (out / "calib_all.log").read_text()
    assert temporary_files(tmp_path) == []


def test_work_without_a_folder(jobs: ModuleType) -> None:
    assert all_messages(WorkerProcess(functools.partial(jobs.double, 4)))[-1] == Done(8)


def test_earlier_results_give_way_to_new_ones_only(jobs: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old_1.txt").write_text("1")
    assert isinstance(all_messages(WorkerProcess(jobs.refuse, out, ("old_*",)))[-1], Failed)
    assert [path.name for path in out.iterdir()] == ["old_1.txt"]
    all_messages(WorkerProcess(functools.partial(jobs.double, 1), out, ("old_*",)))
    assert sorted(path.name for path in out.iterdir()) == ["calib_all.log", "new.txt"]


def test_bad_input_is_its_sentence(jobs: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    heard = all_messages(WorkerProcess(jobs.refuse, out))
    assert heard == [Failed("no such camera", internal=False)]
    assert not out.exists()
    assert temporary_files(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_found_before_the_work(
    jobs: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    (failed,) = all_messages(WorkerProcess(jobs.toil, tmp_path / "file" / "out"))
    assert isinstance(failed, Failed) and not failed.internal
    assert f"cannot write to the folder {tmp_path / 'file' / 'out'}" in failed.sentence


def test_a_bug_is_reported_with_its_traceback(jobs: ModuleType, tmp_path: Path) -> None:
    failed = all_messages(WorkerProcess(jobs.crash, tmp_path / "out"))[-1]
    assert isinstance(failed, Failed) and failed.internal
    assert "ZeroDivisionError: division by zero" in failed.sentence
    log = Path(failed.sentence.split()[-1])
    assert "Traceback" in log.read_text()
    assert not (tmp_path / "out").exists()


def test_a_sudden_end_is_noticed(jobs: ModuleType, tmp_path: Path) -> None:
    (failed,) = all_messages(WorkerProcess(jobs.vanish, tmp_path / "out"))
    assert isinstance(failed, Failed) and failed.internal
    assert "killed by SIGKILL" in failed.sentence
    assert not (tmp_path / "out").exists()
    assert temporary_files(tmp_path) == []


def test_cancelled_work_leaves_nothing(jobs: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    worker = WorkerProcess(jobs.toil, out)
    pid = toiling(worker)
    assert list(out.glob("*/new.txt"))
    worker.cancel()
    wait_for(lambda: not worker.running, "the supervisor's end")
    assert not alive(pid)
    assert worker.messages() == []
    assert not out.exists()
    assert temporary_files(tmp_path) == []


def test_work_is_cancelled_before_it_begins(jobs: ModuleType, tmp_path: Path) -> None:
    worker = WorkerProcess(jobs.toil, tmp_path / "out")
    worker.close()
    assert not worker.running
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of the other's end")
def test_nothing_outlives_the_supervisor(jobs: ModuleType, tmp_path: Path) -> None:
    worker = WorkerProcess(jobs.toil)
    pid = toiling(worker)
    os.kill(worker.pid, signal.SIGKILL)
    heard = all_messages(worker)
    assert isinstance(heard[-1], Failed) and "SIGKILL" in heard[-1].sentence
    wait_for(lambda: not alive(pid), "the worker's end")


def test_nothing_outlives_a_killed_owner(jobs: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f"""
import sys, time
sys.path.insert(0, {str(tmp_path)!r})
import example_jobs
from pathlib import Path
from calib_all_ros.nodes.worker_process import WorkerProcess
worker = WorkerProcess(example_jobs.toil, Path({str(out)!r}))
messages = []
while not messages:
    messages = worker.messages()
print(worker.pid, messages[0].stage, flush=True)
time.sleep(1e6)
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert [alive(pid) for pid in pids] == [True, True]
    assert list(out.glob("*/new.txt"))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_for(lambda: not any(alive(pid) for pid in pids), "supervisor and worker to end")
    assert not out.exists()
    assert temporary_files(tmp_path) == []


def test_the_current_folder_does_not_matter(
    jobs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "logging.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(elsewhere)
    assert all_messages(WorkerProcess(functools.partial(jobs.double, 3)))[-1] == Done(6)
