# SPDX-License-Identifier: Apache-2.0
"""Frames by time, of videos with few key frames and with frames out of order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.lerobot.images import VideoReader

pytest.importorskip("av", reason="pip install '.[datasets]'")

FPS, FRAMES = 10.0, 60


@pytest.fixture(scope="module", params=[("2", "0"), ("24", "0"), ("24", "3")], ids=str)
def video(
    request: pytest.FixtureRequest,
    encoded: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Frame k is of grey level 20 + 3 k."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    group, between = request.param
    images = [np.full((48, 64, 3), 20 + 3 * k, np.uint8) for k in range(FRAMES)]
    encoded(path, images, fps=FPS, g=group, bf=between, crf="1")
    return path


def shown(reader: VideoReader, frame: float, tolerance_s: float = 0.01) -> int:
    return round((float(reader.at(frame / FPS, tolerance_s).mean()) - 20) / 3)


@pytest.mark.parametrize(
    "order",
    [
        range(FRAMES),
        range(FRAMES - 1, -1, -1),
        np.random.default_rng(0).permutation(FRAMES)[:20],
        [30, 30, 31, 30, 29, 59, 59, 0],
    ],
    ids=["forwards", "backwards", "shuffled", "around"],
)
def test_frames_in_any_order(video: Path, order: list[int]) -> None:
    reader = VideoReader(video)
    assert [shown(reader, k) for k in order] == list(order)


def test_the_nearest_frame_within_the_tolerance(video: Path) -> None:
    reader = VideoReader(video)
    assert shown(reader, 12.2, 0.03) == 12
    assert shown(reader, 12.9, 0.03) == 13
    assert shown(reader, 13.0 - 1e-5) == 13
    assert shown(reader, 14.0 - 1e-5) == 14
    with pytest.raises(LerobotError, match=r"no frame at 1\.2400 s \(it has its nearest at 1\.2"):
        reader.at(1.24, 0.03)
    with pytest.raises(LerobotError, match=r"no frame at 6\.0000 s \(it has its nearest at 5\.9"):
        reader.at(6.0, 0.03)
    assert shown(reader, 3) == 3


def test_decoding_in_order_seeks_once(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeks = []
    seek = VideoReader._seek
    monkeypatch.setattr(
        VideoReader, "_seek", lambda self, time_s: seeks.append(time_s) or seek(self, time_s)
    )
    reader = VideoReader(video)
    for k in range(0, FRAMES, 5):
        shown(reader, k)
    assert seeks == [0.0]


def test_what_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video at all")
    with pytest.raises(LerobotError, match=r"broken\.mp4 cannot be decoded at 0\.000 s"):
        VideoReader(path).at(0.0, 0.1)
