# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.models import libraries
from calib_all_ros.models.libraries import (
    ModelError,
    ModelUnavailableError,
    choose_device,
    cuda_obstacle,
    failures_of,
    require,
)


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


Pretend = Callable[..., None]


class Tensor:
    def add_(self, number: float) -> Tensor:
        return self

    def item(self) -> float:
        return 1.0


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Puts a torch in place that says what a test wants."""

    def torch(cuda: str | None, devices: int = 0, failure: str | None = None) -> None:
        def zeros(count: int, *, device: str) -> Tensor:
            if failure is not None:
                raise RuntimeError(f"{device}: {failure}")
            return Tensor()

        fake: Any = SimpleNamespace(
            __version__="2.9.0",
            version=SimpleNamespace(cuda=cuda),
            cuda=SimpleNamespace(is_available=lambda: devices > 0, device_count=lambda: devices),
            zeros=zeros,
        )
        monkeypatch.setattr(libraries, "require", lambda module, extra: fake)

    return torch


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_cuda_is_taken_where_it_works(pretend: Pretend, name: str) -> None:
    pretend("13.0", devices=2)
    assert choose_device(name) == {"auto": "cuda"}.get(name, name)
    assert cuda_obstacle() is None


@pytest.mark.parametrize(
    ("cuda", "devices", "failure", "reason"),
    [
        (None, 0, None, "built without CUDA"),
        ("13.0", 0, None, "finds no NVIDIA GPU"),
        ("13.0", 1, "no kernel image\nis available", "no kernel image is available"),
    ],
)
def test_the_cpu_is_taken_or_the_reason_said_where_cuda_does_not_work(
    pretend: Pretend,
    caplog: pytest.LogCaptureFixture,
    cuda: str | None,
    devices: int,
    failure: str | None,
    reason: str,
) -> None:
    pretend(cuda, devices, failure)
    with caplog.at_level("INFO", "calib_all_ros.models.libraries"):
        assert choose_device("auto") == "cpu"
    assert reason in caplog.text
    with pytest.raises(ModelUnavailableError, match=rf"^cuda was asked for, but .*{reason}.*: "):
        choose_device("cuda")


def test_a_gpu_that_is_not_there_is_said(pretend: Pretend) -> None:
    pretend("13.0", devices=2)
    with pytest.raises(ModelUnavailableError, match="2 CUDA device"):
        choose_device("cuda:2")
    pretend(None)
    with pytest.raises(ModelUnavailableError, match=r"cuda:2 was asked for.*without CUDA"):
        choose_device("cuda:2")


def test_the_cpu_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str, extra: str) -> None:
        raise ModelUnavailableError(f"{module} is not installed")

    monkeypatch.setattr(libraries, "require", absent)
    assert choose_device("cpu") == "cpu"
    with pytest.raises(ModelUnavailableError, match="torch is not installed"):
        choose_device("auto")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "CUDA", "mps", "cuda:1x"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="is no device; use auto, cpu, cuda or cuda:N"):
        choose_device(name)


def test_with_the_torch_that_is_installed() -> None:
    torch = pytest.importorskip("torch", reason="no torch: pip install '.[foundation]'")
    chosen = choose_device("auto")
    assert chosen == ("cuda" if torch.cuda.is_available() else "cpu")
    assert torch.ones(2, device=chosen).sum().item() == 2.0


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("CUDA out of memory.\n Tried 2 GiB"), "CUDA out of memory. Tried 2 GiB"),
        (TypeError("forward() got an unexpected argument"), "forward() got an unexpected argument"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_a_library_raises_is_the_failure_of_its_model(error: Exception, sentence: str) -> None:
    with pytest.raises(ModelError) as raised, failures_of("SAM 2"):
        raise error
    assert str(raised.value) == f"SAM 2 failed: {sentence}"


@pytest.mark.parametrize("error", [CalibAllError("unsure"), KeyboardInterrupt()])
def test_what_is_said_already_and_interrupts_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, failures_of("SAM 2"):
        raise error
    assert raised.value is error
