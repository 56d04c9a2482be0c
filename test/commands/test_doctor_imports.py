# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from calib_all_ros.commands.doctor_imports import Trial, try_imports


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the other process finds packages in."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_what_comes_of_imports(packages: Path) -> None:
    (packages / "calibtrial_good.py").write_text("print('hello'); __version__ = '1.2'")
    (packages / "calibtrial_bad.py").write_text("raise OSError('lib.so:\\nnot found')")
    (packages / "calibtrial_needy.py").write_text("import calibtrial_absent")
    trials = try_imports(
        ["calibtrial_good", "calibtrial_bad", "calibtrial_needy", "calibtrial_absent", "numba"]
    )
    assert trials["calibtrial_good"] == Trial("calibtrial_good", version="1.2")
    assert trials["calibtrial_bad"].problem == "OSError: lib.so: not found"
    assert "calibtrial_absent" in str(trials["calibtrial_needy"].problem)
    assert trials["calibtrial_absent"] == Trial("calibtrial_absent", installed=False)
    assert trials["numba"].facts["threads"] >= 1
    works = {name for name, trial in trials.items() if trial.works}
    assert works == {"calibtrial_good", "numba"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended the process (signal 11)"),
        ("import sys; sys.exit(4)", "ended the process (exit code 4)"),
        ("import time; time.sleep(60)", "did not end within 2 s"),
    ],
)
def test_an_import_that_ends_the_process_is_found(packages: Path, text: str, problem: str) -> None:
    (packages / "calibtrial_fatal.py").write_text(text)
    trials = try_imports(["json", "calibtrial_fatal", "csv"], timeout_s=2.0)
    assert trials["calibtrial_fatal"].problem == f"the import of calibtrial_fatal {problem}"
    assert trials["json"].works
    assert trials["csv"].works


def test_the_version_is_that_of_the_distribution_where_the_module_does_not_say() -> None:
    trial = try_imports(["dacite"])["dacite"]
    assert trial.version is not None
    assert trial.version[0].isdigit()


def test_torch_says_what_it_can() -> None:
    pytest.importorskip("torch", reason="no torch: pip install '.[foundation]'")
    trial = try_imports(["torch"])["torch"]
    assert trial.works
    usable = trial.facts["cuda_obstacle"] is None
    assert usable == bool(trial.facts["devices"])
