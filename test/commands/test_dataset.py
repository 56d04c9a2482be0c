# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from calib_all_ros.cli import parse
from calib_all_ros.commands import dataset
from calib_all_ros.commands.options import CommandError, DatasetOptions
from calib_all_ros.commands.progress import JobBars
from calib_all_ros.dataset.engine import SingleProcess
from calib_all_ros.dataset.errors import DatasetError
from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.results.run_log import RunLog
from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationSettings

QUICK = "search: {hypotheses: 1500, candidates: 8, finalists: 1, attempts: 1}\nframes: {count: 6}\n"
SMALL = SimulationSettings(frames=6, rate_hz=4.0, width=240, height=180, focal_px=210.0)

Run = Callable[..., int]


def options_of(*arguments: str) -> DatasetOptions:
    options = parse(["dataset", *arguments])[1]
    assert isinstance(options, DatasetOptions)
    return options


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An episode, a folder that is none, and the settings."""
    folder = tmp_path_factory.mktemp("source")
    simulate_to(folder / "episodes" / "good", settings=SMALL)
    (folder / "episodes" / "bad" / "frames").mkdir(parents=True)
    (folder / "quick.yaml").write_text(QUICK)
    return folder


@pytest.fixture(scope="module")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the command on the episodes, always into the same folder."""
    out = tmp_path_factory.mktemp("out") / "results"

    def command(*arguments: str) -> int:
        common = ("--out", str(out), "--masks", "recorded", "--config", str(source / "quick.yaml"))
        everything = (str(source / "episodes"), *common, *arguments)
        with RunLog(everything) as log:
            return dataset.run(options_of(*everything), log)

    return command


def test_every_episode_has_a_row_and_failures_an_exit_code(
    run: Run, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 3
    said = capsys.readouterr().out
    assert "2: 1 accepted, 0 warning, 0 rejected, 1 failed" in said
    assert "Failed         bad: no masks at" in said
    assert run("--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert document["jobs_done"] == 1 and document["jobs_done_before"] == 3
    assert document["verdicts"] == {"accepted": 1, "warning": 0, "rejected": 0, "failed": 1}
    files = {Path(name).name for name in document["files"]}
    assert {"index.html", "table.csv"} <= files
    out = Path(document["files"][0]).parent
    setup = next((out / "setups").iterdir())
    assert (setup / "report.html").is_file() and (setup / "setup.yaml").is_file()
    assert (out / "episodes" / "good" / "calibration.yaml").is_file()
    assert (out / "calib_all.log").is_file()
    assert setup.name + "/report.html" in (out / "index.html").read_text()


def test_only_what_is_meant_is_done(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--only-episode", "good", "--quiet") == 0
    assert capsys.readouterr().out == ""
    with pytest.raises(DatasetError, match="holds nothing to calibrate"):
        run("--only-episode", "ugly")


def test_other_settings_are_refused_kept_or_done_again(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--only-episode", "good", "--quiet")
    other = ("--only-episode", "good", "--seed", "3")
    with pytest.raises(DatasetError, match=r"settings.seed was 0, is 3.*--redo.*--keep"):
        run(*other)
    assert run(*other, "--keep", "--json") == 0
    kept = json.loads(capsys.readouterr().out)
    assert kept["jobs_done"] == 0
    assert kept["notes"][0] == "results of before are kept, though settings.seed was 0, is 3"
    assert run(*other, "--redo", "--reports", "none", "--json") == 0
    assert json.loads(capsys.readouterr().out)["jobs_done"] == 3


def run_plainly(*arguments: str) -> int:
    with RunLog(arguments) as log:
        return dataset.run(options_of(*arguments), log)


def test_redo_removes_nothing_of_others(source: Path, tmp_path: Path) -> None:
    data = tmp_path / "episodes" / "0001.mp4"
    data.parent.mkdir()
    data.touch()
    with pytest.raises(DatasetError, match="choose an empty or a new folder"):
        run_plainly(str(source / "episodes"), "--out", str(tmp_path), "--redo")
    assert data.is_file() and not (tmp_path / "journal.jsonl").exists()


def test_a_mistyped_file_leaves_no_folder(source: Path, tmp_path: Path) -> None:
    arguments = (str(source / "episodes"), "--out", str(tmp_path / "o"), "--urdf", "robto.urdf")
    with pytest.raises(DatasetError, match=r"cannot read .*robto\.urdf"):
        run_plainly(*arguments)
    assert not (tmp_path / "o").exists()


def test_a_job_that_was_given_up_is_tried_again_on_request(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = (
        str(source / "episodes"), "--out", str(tmp_path / "o"),
        "--masks", "recorded", "--only-episode", "bad",
    )  # fmt: skip

    def crash(_: object, jobs: Iterable[object]) -> None:
        next(iter(jobs))
        raise SystemExit

    with monkeypatch.context() as crashing:
        crashing.setattr(SingleProcess, "map_unordered", crash)
        for _ in range(3):
            with pytest.raises(SystemExit):
                run_plainly(*arguments)
    assert run_plainly(*arguments) == 3
    assert "ended the whole process 3 times" in (said := capsys.readouterr().out)
    assert "then give --retry" in said
    assert run_plainly(*arguments, "--retry") == 3
    assert "bad: no masks at" in capsys.readouterr().out


def test_a_summary_is_printed_though_nothing_can_be_written_anew(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise LerobotError("the disk is full: make room")

    monkeypatch.setattr(dataset, "check_target", lambda *_: None)
    monkeypatch.setattr(dataset, "write_back", fail)
    anew = ("--only-episode", "good", "--write-lerobot", str(tmp_path / "new"))
    with pytest.raises(LerobotError, match="the disk is full"):
        run(*anew, "--redo", "--reports", "none")
    assert "1: 1 accepted" in capsys.readouterr().out
    monkeypatch.setattr(dataset, "is_written", lambda *_: True)
    assert run(*anew) == 0
    assert "has these results already and stays as it is" in capsys.readouterr().out


def test_sigterm_is_an_interrupt_even_where_the_first_is_passed_over(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_over: list[str] = []

    def terminated(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60.0)
        except KeyboardInterrupt:
            passed_over.append("once")
        time.sleep(60.0)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(dataset, "_AGAIN_S", 0.1)
    monkeypatch.setattr(SingleProcess, "map_unordered", terminated)
    assert run("--redo") == 130
    assert passed_over == ["once"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_130(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SingleProcess, "map_unordered", interrupted)
    assert run("--redo") == 130
    assert "the same command goes on with the rest" in capsys.readouterr().err


def test_arguments(tmp_path: Path) -> None:
    options = options_of(
        "data", "--out", "o", "--only-camera", "*top*", "--only-camera", "side",
        "--intrinsics", "top=top.yaml", "--address", "auto", "--time-limit", "60",
    )  # fmt: skip
    assert options.cameras == ("*top*", "side")
    assert options.intrinsics == (("top", Path("top.yaml")),)
    assert (options.address, options.time_limit_s, options.ray) == ("auto", 60.0, False)
    for wrong in (("--intrinsics", "top"), ("--joint-episodes", "0"), ("--reports", "some")):
        with pytest.raises(CommandError):
            options_of("data", "--out", "o", *wrong)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--workers", "2"), "--workers is for Ray"),
        (("--time-limit", "9"), "--time-limit is for Ray"),
        (("--address", "auto", "--workers", "2"), "a cluster says itself"),
    ],
)
def test_what_is_for_ray_is_refused_without(
    source: Path, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    arguments = (str(source / "episodes"), "--out", str(tmp_path / "o"), *given)
    with RunLog(arguments) as log, pytest.raises(DatasetError, match=said):
        dataset.run(options_of(*arguments), log)


def test_a_folder_of_recordings_is_not_written_anew(source: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    arguments = (
        str(source / "episodes"),
        "--out",
        str(tmp_path / "o"),
        "--write-lerobot",
        str(new),
    )
    with RunLog(arguments) as log, pytest.raises(DatasetError, match="not one such dataset"):
        dataset.run(options_of(*arguments), log)
    assert not new.exists() and not (tmp_path / "o").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_tells_stage_count_and_time_left() -> None:
    terminal = Terminal()
    with JobBars(file=terminal) as bars:
        bars("look", 0, 3)
        bars("look", 3, 3)
        bars("solve", 0, 0)
        bars("episodes", 1, 2)
    text = terminal.getvalue()
    assert "look       3/3" in text and "episodes   1/2" in text and "left" in text
    assert "solve" not in text
    with JobBars(file=terminal, quiet=True) as bars:
        bars("look", 0, 3)
        bars.say("something")
    assert terminal.getvalue() == text


def test_no_bar_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with JobBars(file=file) as bars:
        bars("look", 1, 3)
    assert file.getvalue() == ""
