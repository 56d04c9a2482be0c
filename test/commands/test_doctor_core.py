# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from importlib import metadata

import pytest

from calib_all_ros.commands import doctor_core
from calib_all_ros.commands.doctor_core import (
    CORE_LIBRARIES,
    core_libraries,
    fits,
    judge,
    requirements,
)
from calib_all_ros.commands.doctor_imports import Trial


def test_the_libraries_are_those_that_the_package_requires() -> None:
    required = set(requirements(metadata.requires("calib_all_ros") or ()))
    assert set(CORE_LIBRARIES) | {"embreex", "rtree"} == required | {"embreex", "rtree"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scipy>=1.15", {"scipy": ">=1.15"}),
        ("opencv-python-headless<5,>=4.5.4", {"opencv-python-headless": "<5,>=4.5.4"}),
        ("PyYAML (>=5.4)", {"pyyaml": ">=5.4"}),
        ("tqdm", {"tqdm": ""}),
        ('embreex>=2.17; platform_machine == "x86_64"', {"embreex": ">=2.17"}),
        ('torch>=2.4; extra == "foundation"', {}),
    ],
)
def test_requirements(line: str, expected: dict[str, str]) -> None:
    assert requirements([line]) == expected


@pytest.mark.parametrize(
    ("version", "needed", "expected"),
    [
        ("1.15", ">=1.15", True),
        ("1.15.0", ">=1.15", True),
        ("1.9", ">=1.15", False),
        ("1.14.3", ">=1.15", False),
        ("4.5.4", "<5,>=4.5.4", True),
        ("4.14.0", "<5,>=4.5.4", True),
        ("5.0.0", "<5,>=4.5.4", False),
        ("4.5.3", "<5,>=4.5.4", False),
        ("2.0.0rc1", ">=1.24", True),
        ("0.1.0", "", True),
    ],
)
def test_versions(version: str, needed: str, expected: bool) -> None:
    assert fits(version, needed) is expected


@pytest.mark.parametrize(
    ("trial", "problem", "todo"),
    [
        (Trial("scipy", version="1.15"), None, None),
        (Trial("scipy", version=None), None, None),
        (
            Trial("scipy", installed=False),
            "scipy is not installed",
            "pip install 'scipy>=1.15'",
        ),
        (
            Trial("scipy", version="1.11"),
            "scipy is 1.11, and >=1.15 is needed",
            "pip install 'scipy>=1.15'",
        ),
        (
            Trial("scipy", version="1.15", problem="OSError: x"),
            "scipy is installed but broken (OSError: x)",
            "pip install --force-reinstall 'scipy>=1.15'",
        ),
    ],
)
def test_judgement(trial: Trial, problem: str | None, todo: str | None) -> None:
    library = judge("scipy", trial, ">=1.15")
    assert (library.problem, library.todo) == (problem, todo)


def test_one_reason_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_core, "_declared", lambda: ["numpy>=1.24"])
    trials = {module: Trial(module, version="9") for module in CORE_LIBRARIES.values()}
    for module in ("numpy", "scipy"):
        trials[module] = Trial(module, problem="ImportError: libopenblas")
    broken = [library for library in core_libraries(trials) if library.problem is not None]
    assert [library.name for library in broken] == ["numpy", "scipy"]
    assert broken[0].todo == "pip install --force-reinstall 'numpy>=1.24'"
    assert broken[1].problem == "scipy cannot be imported, for the same reason as numpy"
    assert broken[1].todo is None


def test_without_installed_metadata_any_version_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    trials = {module: Trial(module, version="0.0.1") for module in CORE_LIBRARIES.values()}
    assert all(library.problem is None for library in core_libraries(trials))
    assert re.fullmatch("[a-z0-9-]+", " ".join(CORE_LIBRARIES).replace(" ", ""))
