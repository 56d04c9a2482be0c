# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calib_all_ros.models.errors import ModelUnavailableError
from calib_all_ros.models.libraries import require


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python finds packages in; what a test imports from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(packages: Path, name: str, text: str) -> None:
    path = packages.joinpath(*name.split("."), "__init__.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_module_is_returned(packages: Path) -> None:
    write(packages, "calibtrial", "")
    write(packages, "calibtrial.inner", "answer = 42")
    assert require("calibtrial.inner", "foundation").answer == 42


@pytest.mark.parametrize("module", ["calibtrial_absent", "calibtrial_absent.inner"])
def test_what_is_absent_is_said_with_its_extra(packages: Path, module: str) -> None:
    with pytest.raises(ModelUnavailableError) as error:
        require(module, "foundation")
    assert str(error.value) == (
        "calibtrial_absent is not installed: pip install 'calib_all_ros[foundation]'"
    )


@pytest.mark.parametrize(
    ("module", "address"),
    [("cotracker", "facebookresearch/co-tracker"), ("nvdiffrast", "NVlabs/nvdiffrast")],
)
def test_what_no_index_has_is_said_with_its_source(
    monkeypatch: pytest.MonkeyPatch, module: str, address: str
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr("calib_all_ros.models.libraries.import_module", absent)
    with pytest.raises(ModelUnavailableError, match=rf"pip install .*{address}"):
        require(f"{module}.inner", "cuda")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise OSError('libcudart.so.13:\\ncannot open')", "OSError: libcudart.so.13: cannot"),
        ("raise RuntimeError", "RuntimeError"),
        ("import calibtrial_absent", "No module named 'calibtrial_absent'"),
        ("from os import nothing_of_that_name", "cannot import name"),
        ("syntax error", "SyntaxError"),
    ],
)
def test_what_is_broken_is_told_from_what_is_absent(packages: Path, text: str, reason: str) -> None:
    write(packages, "calibtrial", text)
    with pytest.raises(ModelUnavailableError, match="is installed, but") as error:
        require("calibtrial", "foundation")
    assert reason in str(error.value)
    assert "pip uninstall calibtrial" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_part_of_a_library_is_a_broken_library(packages: Path) -> None:
    write(packages, "calibtrial", "")
    with pytest.raises(ModelUnavailableError, match=r"calibtrial\.inner cannot be imported"):
        require("calibtrial.inner", "foundation")
