# SPDX-License-Identifier: Apache-2.0
"""Which tracker is taken, and what is said of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from calib_all_ros.models.libraries import ModelError, ModelUnavailableError
from calib_all_ros.tracking.cotracker import CoTracker3
from calib_all_ros.tracking.lucas_kanade import LucasKanade
from calib_all_ros.tracking.selection import make_tracker
from calib_all_ros.tracking.track import TrackingError


def test_lucas_kanade_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    tracker, why = make_tracker("lucas_kanade", tmp_path, "auto")
    assert tracker == LucasKanade() and why == "as asked for"


def test_without_a_checkpoint_lucas_kanade_is_taken_and_that_is_said(tmp_path: Path) -> None:
    tracker, why = make_tracker("auto", tmp_path, "auto")
    assert tracker == LucasKanade()
    assert why.startswith("CoTracker3 cannot be used: there is no checkpoint")
    assert "scaled_offline.pth" in why and str(tmp_path) in why


def test_without_torch_lucas_kanade_is_taken_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "scaled_offline.pth").write_bytes(b"weights")
    tracker, why = make_tracker("auto", tmp_path, "cpu")
    assert tracker == LucasKanade() and "torch is not installed" in why
    with pytest.raises(ModelUnavailableError, match="torch is not installed"):
        make_tracker("cotracker", tmp_path, "cpu")


@pytest.mark.parametrize(
    ("name", "file"),
    [("cotracker", "scaled_offline.pth"), ("cotracker_online", "scaled_online.pth")],
)
def test_what_is_asked_for_by_name_and_missing_is_an_error(
    name: str, file: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelUnavailableError, match=file):
        make_tracker(name, tmp_path, "auto")


@pytest.mark.parametrize(
    ("name", "called", "why"),
    [
        ("auto", "CoTracker3 offline", "its library and its checkpoint are here"),
        ("cotracker", "CoTracker3 offline", "as asked for"),
        ("cotracker_online", "CoTracker3 online", "as asked for"),
    ],
)
def test_cotracker_is_taken_where_it_is(
    name: str, called: str, why: str, tmp_path: Path, fake_cotracker: Any, checkpoints: Any
) -> None:
    tracker, said = make_tracker(name, tmp_path, "cpu")
    assert isinstance(tracker, CoTracker3) and tracker.name == called
    assert said == f"{why}; on cpu with {checkpoints[called.split()[1]].path}"


def test_a_broken_checkpoint_is_said(tmp_path: Path, fake_cotracker: Any) -> None:
    (tmp_path / "scaled_offline.pth").write_bytes(b"half of the weights")
    tracker, why = make_tracker("auto", tmp_path, "cpu")
    assert tracker == LucasKanade() and "scaled_offline.pth is no checkpoint of CoTracker3" in why
    with pytest.raises(ModelUnavailableError, match="download it again"):
        make_tracker("cotracker", tmp_path, "cpu")


def test_misspelt_names_are_refused(tmp_path: Path, fake_cotracker: Any, checkpoints: Any) -> None:
    with pytest.raises(TrackingError, match="no tracker 'kcf'; use auto, lucas_kanade, cotracker"):
        make_tracker("kcf", tmp_path, "auto")
    with pytest.raises(ModelError, match="'gpu' is no device"):
        make_tracker("cotracker", tmp_path, "gpu")


def test_a_device_that_fails_is_said(
    tmp_path: Path, fake_cotracker: Any, checkpoints: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", fail)
    with pytest.raises(ModelError, match="CoTracker3 failed: CUDA out of memory"):
        make_tracker("cotracker", tmp_path, "cpu")
    tracker, why = make_tracker("auto", tmp_path, "cpu")
    assert tracker.name == "Lucas-Kanade" and "CUDA out of memory" in why
