# SPDX-License-Identifier: Apache-2.0
"""The wrapper around a library that follows a dot, and around the real one where there is one."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.tracking.cotracker import CoTracker3
from calib_all_ros.tracking.track import Tracker

WIDTH, HEIGHT = 200, 160
COUNT = 40
TIMES = np.arange(COUNT)
PATH = np.stack([100 + 60 * np.sin(TIMES / 7), 80 + 40 * np.cos(TIMES / 5)], axis=1)
MODES = pytest.mark.parametrize("mode", ["offline", "online"])


class Dots:
    """Images with a dot along ``PATH``; the corner's red says how sure a tracker is to be."""

    def __init__(self, hidden: tuple[int, ...] = (), doubtful: tuple[int, ...] = ()) -> None:
        self.hidden, self.doubtful = hidden, doubtful

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        if index not in self.hidden:
            v, u = np.mgrid[:HEIGHT, :WIDTH]
            square = (u - PATH[index, 0]) ** 2 + (v - PATH[index, 1]) ** 2
            image[..., 1] = np.rint(250 * np.exp(-square / 50))
        image[:6, :6, 2] = 120 if index in self.doubtful else 250
        # As what turns OpenCV's colours round without copying.
        return image[:, :, ::-1]


@MODES
@pytest.mark.parametrize("start", [0, 17, COUNT - 1])
def test_follows_both_ways_through_windows(
    mode: str, start: int, fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    tracker: Tracker = CoTracker3(checkpoints[mode], "cpu")
    track = tracker(Dots(), PATH[start], start)
    assert track.visible.all()
    np.testing.assert_allclose(track.pixels, PATH, atol=0.1)
    np.testing.assert_array_equal(track.pixels[start], PATH[start])
    np.testing.assert_allclose(np.delete(track.confidence, start), 0.98 * 250 / 255, atol=1e-6)
    # Pixel centres lie at integers in the images and in what the library sees of them.
    np.testing.assert_allclose(fake_cotracker.misses, 0.0, atol=0.15)
    assert tracker.name == f"CoTracker3 {mode}"


def test_windows_of_the_offline_model_start_where_the_mark_is_sure(
    fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    CoTracker3(checkpoints["offline"], "cpu")(Dots(), PATH[0], 0)
    # 12 images at a time, of which the next window sees the last four again.
    assert fake_cotracker.lengths == [12, 12, 12, 12, 8]


def test_the_online_model_slides_by_half_a_window(
    fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    CoTracker3(checkpoints["online"], "cpu")(Dots(), PATH[0], 0)
    assert fake_cotracker.lengths == [12, 12, 12, 12, 12, 10]


@MODES
def test_visibility_and_confidence_both_count(
    mode: str, fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    hidden, doubtful = tuple(range(8, 14)), (20, 33)
    track = CoTracker3(checkpoints[mode], "cpu")(Dots(hidden, doubtful), PATH[2], 2)
    lost = np.isin(TIMES, [*hidden, *doubtful])
    np.testing.assert_array_equal(track.visible, ~lost)
    np.testing.assert_allclose(track.pixels[~lost], PATH[~lost], atol=0.1)
    assert not track.confidence[lost].any() and np.isnan(track.pixels[lost]).all()


def test_neighbours_and_a_grid_are_tracked_with_the_mark(
    fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    CoTracker3(checkpoints["offline"], "cpu")(Dots(), PATH[0], 0)
    assert set(fake_cotracker.points) == {1 + 2 * 8 + 6 * 6}


@MODES
def test_images_are_decoded_as_they_are_taken(
    mode: str, fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    images = Dots()
    taken: list[int] = []

    def decoded() -> Any:
        for index in range(COUNT if mode == "online" else 12):
            taken.append(index)
            yield images[index]
            # The library has been given all windows that are complete.
            if mode == "online":
                assert len(fake_cotracker.lengths) == max(0, (index + 1) // 6 - 1)

    tracks = CoTracker3(checkpoints[mode], "cpu").track_points(decoded(), PATH[:1])
    assert tracks.pixels.shape == (len(taken), 1, 2) and tracks.trust.shape == (len(taken), 1)
    assert tracks.pixels.dtype == tracks.trust.dtype == np.float64
    np.testing.assert_allclose(tracks.pixels[:, 0], PATH[: len(taken)], atol=0.1)


@MODES
@pytest.mark.parametrize("count", [1, 2, 6, 7, 12, 13])
def test_any_number_of_images(
    mode: str, count: int, fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    images = Dots()
    track = CoTracker3(checkpoints[mode], "cpu")([images[i] for i in range(count)], PATH[0], 0)
    np.testing.assert_allclose(track.pixels, PATH[:count], atol=0.1)


def test_what_is_no_checkpoint_is_said(
    tmp_path: Path, fake_cotracker: Any, checkpoints: dict[str, FoundCheckpoint]
) -> None:
    import torch

    good = checkpoints["offline"].path.read_bytes()
    cut, text, other = tmp_path / "cut.pth", tmp_path / "text.pth", tmp_path / "other.pth"
    cut.write_bytes(good[: len(good) // 2])
    text.write_text("<html>not found</html>")
    torch.save({"time_emb": torch.zeros(1, 12, 4), "something": torch.zeros(3)}, other)
    tensor, code = tmp_path / "tensor.pth", tmp_path / "code.pth"
    torch.save(torch.zeros(3), tensor)
    torch.save({"model": Path}, code)
    for path in (cut, text, other, tensor, code):
        with pytest.raises(ModelUnavailableError, match=f"{path.name} is no checkpoint of CoTr"):
            CoTracker3(FoundCheckpoint(path, "original", "scaled_offline"), "cpu")


@pytest.fixture(scope="module")
def library() -> Any:
    pytest.importorskip("torch", reason="needs torch: pip install '.[foundation]'")
    return pytest.importorskip(
        "cotracker.predictor",
        reason="needs CoTracker3: pip install git+https://github.com/facebookresearch/co-tracker",
    )


@pytest.fixture(scope="module", params=["offline", "online"])
def real(
    request: pytest.FixtureRequest, library: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The real model with random weights on small images, beside the library's predictor."""
    import cotracker.models.build_cotracker as building
    import torch

    online = request.param == "online"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CoTrackerThreeOffline", "CoTrackerThreeOnline"):
            patch.setattr(
                building, name, partial(getattr(building, name), model_resolution=(64, 96))
            )
        if online:
            predictor = library.CoTrackerOnlinePredictor(checkpoint=None, window_len=6)
        else:
            predictor = library.CoTrackerPredictor(checkpoint=None, window_len=8)
        generator = torch.Generator().manual_seed(0)
        for parameter in predictor.model.parameters():
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
        path = tmp_path_factory.mktemp("real") / f"scaled_{request.param}.pth"
        torch.save(predictor.model.state_dict(), path)
        checkpoint = FoundCheckpoint(path, "original", f"scaled_{request.param}")
        tracker = CoTracker3(checkpoint, "cpu")
    path.unlink()
    return tracker, predictor


def test_the_real_library_gives_what_its_predictor_gives(real: Any) -> None:
    import torch

    tracker, predictor = real
    online = tracker.longest is None
    images = np.random.default_rng(0).integers(0, 255, (8, 48, 80, 3), dtype=np.uint8)
    points = np.array([[20.0, 30.0], [40.5, 10.25]])
    video = torch.tensor(images).permute(0, 3, 1, 2)[None].float()
    queries = torch.tensor(np.c_[np.zeros(2), points]).float()[None]
    if online:
        predictor(video, is_first_step=True, queries=queries)
        for first in range(0, 8 - 3, 3):
            expected, _ = predictor(video[:, first : first + 6])
    else:
        # A grid of its own keeps the predictor from adding one.
        expected, _ = predictor(video, queries=queries, grid_size=1)
    tracks = tracker.track_points(iter(images), points)
    assert tracks.pixels.shape == (8, 2, 2) and ((tracks.trust > 0) & (tracks.trust < 1)).all()
    found = expected[0].double().numpy()
    assert np.abs(found[1:] - points).max() > 0.5
    np.testing.assert_allclose(tracks.pixels[1:], found[1:], atol=0.05)


def test_the_real_library_goes_backwards_as_it_goes_forwards(real: Any) -> None:
    tracker, _ = real
    images = list(np.random.default_rng(1).integers(0, 255, (6, 48, 80, 3), dtype=np.uint8))
    forwards = tracker(images, (40.0, 20.0), 0)
    backwards = tracker(images[::-1], (40.0, 20.0), 5)
    np.testing.assert_array_equal(forwards.pixels, backwards.pixels[::-1])
    np.testing.assert_array_equal(forwards.confidence, backwards.confidence[::-1])


def test_the_fake_library_has_the_interface_of_the_real_one(
    library: Any, fake_cotracker: Any
) -> None:
    import cotracker.predictor as fake

    assert fake is not library
    for name in ("CoTrackerPredictor", "CoTrackerOnlinePredictor"):
        theirs, ours = getattr(library, name), getattr(fake, name)
        assert _arguments(theirs.__init__) == _arguments(ours.__init__)
        models = theirs(checkpoint=None).model, ours(checkpoint=None).model
        assert _arguments(models[0].forward) == _arguments(models[1].forward)
        assert models[0].model_resolution == models[1].model_resolution
        assert models[0].time_emb.shape[:2] == models[1].time_emb.shape[:2]
        assert models[0].window_len == models[1].window_len


def _arguments(function: Any) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}
