# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from calib_all_ros.models import device
from calib_all_ros.models.device import choose_device, cuda_obstacle
from calib_all_ros.models.errors import ModelError, ModelUnavailableError

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
        monkeypatch.setattr(device, "require", lambda module, extra: fake)

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
    with caplog.at_level("INFO", "calib_all_ros.models.device"):
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

    monkeypatch.setattr(device, "require", absent)
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
