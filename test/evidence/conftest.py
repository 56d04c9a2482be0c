# SPDX-License-Identifier: Apache-2.0
"""Models that say what a test has them say."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.evidence.sources import EvidenceSources
from calib_all_ros.masks.segmentation import SegmentedImages
from calib_all_ros.models.libraries import ModelUnavailableError
from calib_all_ros.recording.recording import Recording
from calib_all_ros.tracking.lucas_kanade import LucasKanade

Masks = Callable[[int], NDArray[np.bool_] | None]


@dataclass
class ScriptedMasks:
    """Makes the masks that a function gives for the number of each image in the recording."""

    recording: Recording
    masks: Masks
    guesses: NDArray[np.bool_] | None = None
    numbers: list[int] = field(default_factory=list)

    def segment(
        self,
        images: Any,
        guesses: NDArray[np.bool_] | None = None,
        frames: Sequence[int] | None = None,
    ) -> SegmentedImages:
        assert frames is not None
        self.guesses, self.numbers = guesses, list(frames)
        masks = tuple(self.masks(number) for number in self.numbers)
        scores = np.ones(len(masks))
        return SegmentedImages(masks, scores, scores, (None,) * len(masks), "scripted masks")


def unavailable(*_: Any) -> Any:
    raise ModelUnavailableError("torch is not installed: install it")


@pytest.fixture
def scripted() -> Callable[..., tuple[EvidenceSources, list[ScriptedMasks]]]:
    """Makes sources with masks given by a function of the image's number, no mark finder."""

    def make(
        masks: Masks | None = None, mark_finder: Any = unavailable
    ) -> tuple[EvidenceSources, list[ScriptedMasks]]:
        made: list[ScriptedMasks] = []

        def mask_maker(recording: Recording) -> ScriptedMasks:
            if masks is None:
                unavailable()
            made.append(ScriptedMasks(recording, masks))
            return made[-1]

        def tracker() -> tuple[LucasKanade, str]:
            return LucasKanade(), "the test says so"

        return EvidenceSources(mark_finder, tracker, mask_maker), made

    return make


def _fixture_of(path: str, name: str) -> Any:
    """Return a fixture of another folder's conftest.py."""
    place = Path(__file__).resolve().parents[1] / path
    spec = importlib.util.spec_from_file_location(f"fixtures_of_{place.parent.name}", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


tiny_dinov2 = _fixture_of("marks/conftest.py", "tiny_dinov2")
tiny_grounding_dino = _fixture_of("masks/conftest.py", "tiny_grounding_dino")
sam2_folder = _fixture_of("masks/sam2/conftest.py", "sam2_folder")
