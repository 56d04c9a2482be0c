# SPDX-License-Identifier: Apache-2.0
"""Sources of evidence beside the images themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.marks.finder import FoundMark, make_mark_finder
from calib_all_ros.masks.following import read_clicks
from calib_all_ros.masks.grounded_sam2 import make_segmenter
from calib_all_ros.masks.segmentation import SegmentedImages
from calib_all_ros.models.checkpoints import checkpoint_folder
from calib_all_ros.models.libraries import choose_device
from calib_all_ros.recording.recording import Recording
from calib_all_ros.settings import Settings
from calib_all_ros.tracking.selection import make_tracker
from calib_all_ros.tracking.track import ImageSequence, Tracker


class MarkFinder(Protocol):
    """What finds the mark in an image."""

    def find(self, image: NDArray[np.uint8]) -> FoundMark:
        """Return where the mark is in an (H, W, 3) RGB image.

        Raises:
            UncertainMarkError: It is not clear where, or whether at all.
        """
        ...


class MaskMaker(Protocol):
    """What finds the robot's pixels."""

    def segment(
        self,
        images: ImageSequence,
        guesses: NDArray[np.bool_] | None = None,
        frames: Sequence[int] | None = None,
    ) -> SegmentedImages:
        """Return the masks of N images of a recording.

        Args:
            images: All its images as recorded, in the order of time.
            guesses: (N, H, W) the robot drawn with a coarse pose, None without one.
            frames: Numbers of the N images, ascending; all where None.

        Raises:
            UncertainMasksError: It is not clear which pixels are robot.
        """
        ...


@dataclass(frozen=True)
class EvidenceSources:
    """Makes each source when it is needed, so that one model at a time is in memory.

    Each raises `ModelUnavailableError` where a library, a checkpoint or a reference is missing.

    Attributes:
        mark_finder: Makes what finds the mark.
        tracker: Makes what follows it, and says why that.
        mask_maker: Makes what finds the robot's pixels in a recording.
    """

    mark_finder: Callable[[], MarkFinder]
    tracker: Callable[[], tuple[Tracker, str]]
    mask_maker: Callable[[Recording], MaskMaker]


def evidence_sources(settings: Settings) -> EvidenceSources:
    """Return the sources that the settings ask for; nothing is imported or loaded yet.

    Raises:
        SegmentationError: A click is not written as one.
    """
    mark, masks, models = settings.mark, settings.masks, settings.models
    folder = checkpoint_folder(Path(models.checkpoints) if models.checkpoints else None)
    references = Path(mark.references) if mark.references else None

    def mark_finder() -> MarkFinder:
        return make_mark_finder(references, folder, models.device)

    def tracker() -> tuple[Tracker, str]:
        return make_tracker(mark.tracker, folder, models.device)

    def mask_maker(recording: Recording) -> MaskMaker:
        return make_segmenter(masks, folder, choose_device(models.device), recording)

    read_clicks(masks.clicks, masks.clicks_beside)
    return EvidenceSources(mark_finder, tracker, mask_maker)
