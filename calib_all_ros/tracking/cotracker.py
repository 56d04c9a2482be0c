# SPDX-License-Identifier: Apache-2.0
"""CoTracker3 (Karaev et al., 2024), offline and online, from its authors' own library.

The library's predictors drop the confidence (offline) or cut it off (online), so the models inside
them are called. Images and points are scaled as there: bilinear with aligned corners, which leaves
pixel centres at integer coordinates. Trust is visibility times confidence, as in the evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pickle import PickleError
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from calib_all_ros.models.checkpoints import FoundCheckpoint
from calib_all_ros.models.libraries import ModelUnavailableError, require
from calib_all_ros.tracking.neighbours import PointTracks
from calib_all_ros.tracking.track import ImageSequence, Track
from calib_all_ros.tracking.windows import Array, Image, follow, sliding

_ITERATIONS = 6  # as in the library's predictors
_ENCODED_AT_ONCE = 8  # images; more take memory but no less time
_UNREADABLE = (OSError, EOFError, LookupError, AttributeError, RuntimeError, PickleError)


class CoTracker3:
    """A :class:`~calib_all_ros.tracking.track.Tracker`.

    Args:
        checkpoint: ``scaled_offline.pth`` or ``scaled_online.pth``.
        device: As torch calls it.

    Raises:
        ModelUnavailableError: A library is missing, or the file is no such checkpoint.
    """

    def __init__(self, checkpoint: FoundCheckpoint, device: str) -> None:
        self._torch, self._device = require("torch", "foundation"), device
        library = require("cotracker.predictor", "foundation")
        online = checkpoint.variant.endswith("online")
        predictor = library.CoTrackerOnlinePredictor if online else library.CoTrackerPredictor
        try:
            state = self._torch.load(checkpoint.path, map_location="cpu", weights_only=True)
            state = state.get("model", state)
            self._window = int(state["time_emb"].shape[1])
            model = predictor(checkpoint=None, window_len=self._window).model
            model.load_state_dict(state)
        except _UNREADABLE as error:
            reason = f"is no checkpoint of CoTracker3 ({type(error).__name__}): download it again"
            raise ModelUnavailableError(f"{checkpoint.path} {reason}") from error
        self._model: Any = model.to(device).eval()
        self.name = "CoTracker3 online" if online else "CoTracker3 offline"
        self.longest = None if online else self._window
        self.most_images = 120 if device == "cpu" else 1200  # 1.3 s an image on one CPU core
        self.longest_step_s = 0.1  # it is trained at varied rates

    def __call__(self, images: ImageSequence, pixel: ArrayLike, start: int) -> Track:
        """Follow a mark, see :func:`~calib_all_ros.tracking.windows.follow`."""
        return follow(images, pixel, start, self)

    def track_points(self, images: Iterable[Image], points: Array) -> PointTracks:
        """Return where (P, 2) points of the first image are in all images."""
        remaining = iter(images)
        first = next(remaining)
        resolution = np.array(self._model.model_resolution[::-1])
        scale = (resolution - 1) / (np.array(first.shape[1::-1]) - 1)
        queries = np.concatenate([np.zeros((len(points), 1)), points * scale], axis=1)
        with self._torch.inference_mode():
            tracks = self._run(map(self._resized, chain([first], remaining)), queries)
            pixels, visibility, confidence = (t[0].double().cpu().numpy() for t in tracks[:3])
        return PointTracks(pixels / scale, visibility * confidence)

    def _run(self, frames: Iterator[Any], points: Array) -> Any:
        queries = self._torch.tensor(points, device=self._device).float()[None]
        if self.longest:
            video = self._torch.cat(list(frames))[None]
            return self._model(video, queries, iters=_ITERATIONS, fmaps_chunk_size=_ENCODED_AT_ONCE)
        self._model.init_video_online_processing()
        for window in sliding(frames, self._window // 2):
            video = self._torch.cat(window)[None]
            tracks = self._model(video, queries, iters=_ITERATIONS, is_online=True)
        return tracks

    def _resized(self, image: Image) -> Any:
        size, resize = self._model.model_resolution, self._torch.nn.functional.interpolate
        tensor = self._torch.tensor(np.ascontiguousarray(image), device=self._device)
        planes = tensor.permute(2, 0, 1)[None].float()
        return resize(planes, tuple(size), mode="bilinear", align_corners=True)
