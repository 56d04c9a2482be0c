# SPDX-License-Identifier: Apache-2.0
"""A library with the interface of CoTracker3's that follows a bright dot."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from calib_all_ros.models.checkpoints import FoundCheckpoint

WINDOW = 12


@dataclass
class FakeCoTracker:
    """What the library in the tests was asked.

    Attributes:
        lengths: of the clips it was given.
        misses: (u, v) how far from the dot its first query was, in its own pixels.
        points: how many queries it was given.
    """

    lengths: list[int] = field(default_factory=list)
    misses: list[np.ndarray] = field(default_factory=list)
    points: list[int] = field(default_factory=list)


@pytest.fixture
def fake_cotracker(monkeypatch: pytest.MonkeyPatch) -> FakeCoTracker:
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[foundation]'")
    asked = FakeCoTracker()
    predictor = ModuleType("cotracker.predictor")
    for name, kind in _predictors(torch, asked).items():
        setattr(predictor, name, kind)
    library = ModuleType("cotracker")
    library.predictor = predictor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cotracker", library)
    monkeypatch.setitem(sys.modules, "cotracker.predictor", predictor)
    return asked


@pytest.fixture
def checkpoints(tmp_path: Path) -> dict[str, FoundCheckpoint]:
    """Checkpoints of the fake library, one plain and one as its trainer saves them."""
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[foundation]'")
    found = {}
    for mode in ("offline", "online"):
        state: dict[str, Any] = {"time_emb": torch.zeros(1, WINDOW, 4), "weight": torch.ones(1)}
        path = tmp_path / f"scaled_{mode}.pth"
        torch.save({"model": state} if mode == "online" else state, path)
        found[mode] = FoundCheckpoint(path, "original", f"scaled_{mode}")
    return found


def _predictors(torch: Any, asked: FakeCoTracker) -> dict[str, type]:
    """Return both predictors; names and arguments are those of the library, version 3.0."""

    def see(frame: Any) -> tuple[np.ndarray, float, float]:
        """Return the dot's centre, whether it is there, and what the corner says of confidence."""
        confident = float(frame[0, 0, 0]) / 255
        bright = torch.where(frame[1] > 40, frame[1], 0.0).double()
        total = float(bright.sum())
        if total == 0:
            return np.zeros(2), 0.05, confident
        sums = (bright.sum(dim=0).numpy(), bright.sum(dim=1).numpy())
        centre = np.array([np.arange(len(s)) @ s / total for s in sums])
        return centre, 0.98, confident

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        model_resolution = (384, 512)

        def __init__(self, window_len: int) -> None:
            super().__init__()
            self.window_len = window_len
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.register_buffer("time_emb", torch.zeros(1, window_len, 4))

        def check(self, video: Any, queries: Any, iters: int) -> None:
            asked.lengths.append(video.shape[1])
            assert iters == 6 and 1 <= video.shape[1] <= self.window_len
            assert not torch.is_grad_enabled() and not self.training
            assert float(self.weight) == 1.0, "the checkpoint was not loaded"
            assert video.dtype == queries.dtype == torch.float32 and video.max() > 1.0
            assert video.shape[0] == 1 and tuple(video.shape[2:]) == (3, *self.model_resolution)
            assert queries.shape[0] == 1 and queries.shape[2] == 3 and not queries[..., 0].any()
            asked.points.append(queries.shape[1])

        def answers(self, seen: list[Any], queries: Any) -> tuple[Any, Any, Any, None]:
            centres = torch.tensor(np.array([s[0] for s in seen]), dtype=torch.float32)
            pixels = queries[:, None, :, 1:] + (centres - centres[0])[None, :, None]
            asked.misses.append((queries[0, 0, 1:] - centres[0]).numpy())
            each = torch.ones(1, 1, queries.shape[1])
            visible = torch.tensor([s[1] for s in seen])[None, :, None] * each
            confident = torch.tensor([s[2] for s in seen])[None, :, None] * each
            return pixels, visible, confident, None

    class Offline(Model):
        def forward(
            self,
            video: Any,
            queries: Any,
            iters: int = 4,
            is_train: bool = False,
            add_space_attn: bool = True,
            fmaps_chunk_size: int = 200,
        ) -> Any:
            self.check(video, queries, iters)
            return self.answers([see(frame) for frame in video[0]], queries)

    class Online(Model):
        def init_video_online_processing(self) -> None:
            self.seen: list[Any] = []
            self.last = None

        def forward(
            self,
            video: Any,
            queries: Any,
            iters: int = 4,
            is_train: bool = False,
            add_space_attn: bool = True,
            fmaps_chunk_size: int = 200,
            is_online: bool = False,
        ) -> Any:
            self.check(video, queries, iters)
            assert is_online
            step = self.window_len // 2
            known = 0 if self.last is None else step
            if self.last is not None:
                assert video.shape[1] > step
                torch.testing.assert_close(self.last[:, step:], video[:, :step])
            self.last = video
            self.seen += [see(frame) for frame in video[0, known:]]
            return self.answers(self.seen, queries)

    class CoTrackerPredictor(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(
            self,
            checkpoint: str | None = "./checkpoints/scaled_offline.pth",
            offline: bool = True,
            v2: bool = False,
            window_len: int = 60,
        ) -> None:
            super().__init__()
            assert checkpoint is None, "the library loads without weights_only"
            self.model = Offline(window_len)

    class CoTrackerOnlinePredictor(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(
            self,
            checkpoint: str | None = "./checkpoints/scaled_online.pth",
            offline: bool = False,
            v2: bool = False,
            window_len: int = 16,
        ) -> None:
            super().__init__()
            assert checkpoint is None, "the library loads without weights_only"
            self.model = Online(window_len)

    return {
        "CoTrackerPredictor": CoTrackerPredictor,
        "CoTrackerOnlinePredictor": CoTrackerOnlinePredictor,
    }
