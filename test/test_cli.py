# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, writes and returns."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import pytest

import calib_all_ros
from calib_all_ros import solve_job
from calib_all_ros.calibration import CalibrationRun
from calib_all_ros.cli import COMMANDS, main, parse
from calib_all_ros.commands.options import CommandOptions
from calib_all_ros.geometry.se3 import difference
from calib_all_ros.loading import load_recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Verdict

HEAVY = ("numpy", "scipy", "cv2", "numba", "trimesh", "rosbags", "yourdfpy", "yaml", "tqdm")
HEAVY += ("matplotlib", "jinja2")


class Run(NamedTuple):
    """One run of `calib_all calibrate`: its folder of results, and what it printed."""

    out: Path
    printed: str


@pytest.fixture(scope="session")
def run(simulated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A calibration with the simulated recording's masks."""
    out = tmp_path_factory.mktemp("calibrated") / "result"
    arguments = ["calibrate", str(simulated_folder), "--masks", "recorded", "--out", str(out)]
    with redirect_stdout(StringIO()) as printed:
        assert main([*arguments, "--frames", "8"]) == 0
    return Run(out, printed.getvalue())


@pytest.fixture(scope="session")
def result(run: Run) -> Path:
    """The folder of results of that calibration."""
    return run.out


def commands() -> Iterator[tuple[str, type[CommandOptions]]]:
    """All commands, as they are typed, and their options."""
    for name, kind in COMMANDS.items():
        if isinstance(kind, tuple):
            yield from ((f"{name} {action}", options) for action, options in kind[1].items())
        else:
            yield name, kind


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["mark", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from calib_all_ros.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)))"
    )
    command_line = [sys.executable, "-c", program, *arguments]
    printed = subprocess.run(command_line, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("command", "kind"), list(commands()))
def test_help_has_examples_that_work_and_exit_codes(
    command: str, kind: type[CommandOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "exit codes: 0 " in words
    assert kind.EXAMPLES
    for example in kind.EXAMPLES:
        assert example in words
        assert example.startswith(f"calib_all {command}")
        parsed, options = parse(shlex.split(example)[1:])
        assert (parsed, type(options)) == (command.split()[0], kind)


@pytest.mark.parametrize("arguments", [[], ["mark"]])
def test_no_command_prints_the_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert "usage: calib_all" in printed.err and not printed.out


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("calibrat bag --out o", "calibrate"),
        ("marc list", "mark"),
        ("mark ad", "add"),
        ("--versoin", "--version"),
        ("calibrate bag --out o --mash-path x", "--mesh-path"),
        ("calibrate bag --uot o", "--out"),
        ("calibrate bag --out o --tracker cotraker", "cotracker"),
        ("mark find bag --similarty=0.5", "--similarity"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(
    line: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert f"did you mean {near}?" in capsys.readouterr().err


def test_nothing_is_suggested_for_what_is_like_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "bag", "--out", "o", "--xyzzy"]) == 2
    assert "did you mean" not in capsys.readouterr().err
    # Shortened options and what follows "--" are no mistakes.
    assert parse(["calibrate", "--out", "o", "--image-t", "/a", "--", "--bag"])[1].image_topic


def test_module_is_the_command() -> None:
    command_line = [sys.executable, "-m", "calib_all_ros", "--version"]
    printed = subprocess.run(command_line, check=True, capture_output=True, text=True).stdout
    assert printed == f"calib_all {calib_all_ros.__version__}\n"


def test_result_files(result: Path) -> None:
    names = {path.name for path in result.iterdir()}
    assert {"calibration.yaml", "calib_all.log", "contact_sheet.png", "report.html"} <= names
    assert any(name.startswith("overlay_") and name.endswith(".png") for name in names)
    log = (result / "calib_all.log").read_text()
    assert "--masks recorded" in log
    assert "verdict: accepted" in log


def test_result_is_right(result: Path, simulated_folder: Path) -> None:
    calibration = Calibration.load(result)
    assert len(calibration.frames) == 8
    truth = load_recording(simulated_folder).reference_T_camera_base
    assert truth is not None
    degrees, metres = difference(calibration.T_camera_base, truth)
    assert degrees < 0.3
    assert metres < 0.005
    assert {"read", "pictures", "report"} < set(calibration.provenance.stage_times_s)


def test_table_tells_what_was_found(run: Run) -> None:
    position = Calibration.load(run.out).T_base_camera[:3, 3]
    assert "Verdict        ACCEPTED" in run.printed
    assert all(f"{coordinate:+.5f}" in run.printed for coordinate in position)
    assert "ADD" in run.printed
    assert str(run.out / "calibration.yaml") in run.printed


def test_json_is_one_object(
    simulated_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    quick = tmp_path / "quick.yaml"
    quick.write_text("search: {hypotheses: 3000}\n")
    arguments = ["calibrate", str(simulated_folder), "--masks", "recorded", "--out", str(out)]
    options = ["--frames", "8", "--seed", "3", "--config", str(quick), "--json"]
    assert main([*arguments, *options]) == 0
    document = json.loads(capsys.readouterr().out)
    calibration = Calibration.load(out)
    assert document["verdict"] == "accepted"
    np.testing.assert_allclose(document["T_base_camera"], calibration.T_base_camera)
    np.testing.assert_allclose(document["T_camera_base"], calibration.T_camera_base)
    assert document["errors"]["add_mm"] < 3.0
    assert {Path(file) for file in document["files"]} == set(out.iterdir())
    settings = calibration.provenance.settings
    assert (settings["seed"], settings["search"]["hypotheses"]) == (3, 3000)


class _Solved:
    """Stands in for the solve, whose result was computed before."""

    def __init__(self, result: Path, verdict: Verdict) -> None:
        self._result, self._verdict = result, verdict

    def __call__(self, *args: object, **kwargs: object) -> CalibrationRun:
        solved = Calibration.load(self._result)
        object.__setattr__(solved, "verdict", self._verdict)
        return CalibrationRun(solved, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "exit_code"),
    [
        (Verdict("accepted"), 0),
        (Verdict("warning", ("it is late",)), 0),
        (Verdict("rejected", ("it does not fit",)), 3),
    ],
)
def test_exit_code_of_each_verdict(
    result: Path,
    simulated_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    verdict: Verdict,
    exit_code: int,
) -> None:
    monkeypatch.setattr(solve_job, "calibrate", _Solved(result, verdict))
    out = tmp_path / "out"
    assert main(["calibrate", str(simulated_folder), "--out", str(out)]) == exit_code
    printed = capsys.readouterr().out
    assert verdict.status.upper() in printed
    assert all(reason in printed for reason in verdict.reasons)
    assert Calibration.load(out).verdict == verdict


def raising(error: BaseException) -> object:
    def solve(*args: object, **kwargs: object) -> NoReturn:
        raise error

    return solve


def test_interruption_leaves_nothing(
    simulated_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(solve_job, "calibrate", raising(KeyboardInterrupt()))
    out = tmp_path / "out"
    assert main(["calibrate", str(simulated_folder), "--out", str(out)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not out.exists()


def test_internal_error_is_one_line_and_a_log(
    simulated_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(solve_job, "calibrate", raising(ZeroDivisionError("bad luck")))
    out = tmp_path / "out"
    assert main(["calibrate", str(simulated_folder), "--out", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "ZeroDivisionError: bad luck" in line
    log = Path(line.split()[-1]).read_text()
    assert "Traceback" in log
    assert not out.exists()


def test_simulate_writes_what_was_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "recording"
    options = ["--frames", "2", "--size", "160x120", "--focal", "150", "--seed", "7"]
    distortion = ["--distortion", "plumb_bob:-0.3,0.1,0,0,0"]
    assert main(["simulate", str(out), *options, *distortion]) == 0
    assert str(out) in capsys.readouterr().out
    recording = load_recording(out)
    camera = recording.camera
    assert (len(recording), camera.width, camera.height) == (2, 160, 120)
    assert camera.K[0, 0] == 150.0
    assert camera.model == "plumb_bob"
    np.testing.assert_allclose(camera.distortion, [-0.3, 0.1, 0, 0, 0])


def test_simulate_keeps_what_is_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert main(["simulate", str(tmp_path), "--frames", "2"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--distortion", "plumb_bob:a"], "MODEL:K1,K2"),
        (["--distortion", "fisheye9:1"], "fisheye9"),
        (["--size", "640"], "WxH"),
        (["--frames", "0"], "frames must be positive"),
    ],
)
def test_simulate_refuses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    assert main(["simulate", str(tmp_path / "out"), *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_demo_compares_with_the_truth(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", str(out), "--frames", "20", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["errors"]["add_mm"] < 3.0
    assert (out / "recording" / "camera.json").is_file()
    assert (out / "result" / "calibration.yaml").is_file()
