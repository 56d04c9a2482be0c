# SPDX-License-Identifier: Apache-2.0
"""Masks of the robot that a model makes of the images that a pose was fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.evidence.sources import EvidenceSources
from calib_all_ros.masks.segmentation import SegmentationError, UncertainMasksError
from calib_all_ros.models.libraries import ModelError, ModelUnavailableError, failures_of
from calib_all_ros.recording.recording import FrameList, Mask, Recording
from calib_all_ros.rendering.raw_view import raw_silhouette
from calib_all_ros.settings import Settings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.image_measurer import require_contour
from calib_all_ros.solving.observations import Observations


def require_masks(recording: Recording, settings: Settings, sources: EvidenceSources) -> None:
    """Check that masks can be made where they have to be: it must not turn up after the work.

    Args:
        recording: With or without masks.
        settings: What needs masks.
        sources: What makes them.

    Raises:
        SettingsError: The settings want masks and forbid them.
        ModelUnavailableError: A model that they are to be made by is not there.
    """
    descent = settings.refinement.method == "adam"
    if recording.masks is not None:
        return
    if settings.masks.source == "images":
        require_contour(settings.refinement)
        return
    if not descent and settings.masks.source != "grounded_sam2":
        return
    try:
        sources.mask_maker(recording)
    except ModelUnavailableError as error:
        if not descent:
            raise
        raise ModelUnavailableError(
            "setting refinement.method is adam, which needs masks of the robot: give a folder of "
            f"masks, or have them made ({error})"
        ) from error


def may_go_without(error: CalibAllError, settings: Settings) -> bool:
    """Return whether a calibration may go on without the masks that could not be used.

    What a model makes of the images must not stop what works without it, unless the user asked for
    the model by name, for what needs masks, or by clicks that cannot be used.
    """
    if settings.refinement.method == "adam":
        return False
    if settings.masks.source == "grounded_sam2" and isinstance(error, ModelError):
        return False
    unsure = isinstance(error, UncertainMasksError)
    about_clicks = isinstance(error, SegmentationError) and not unsure
    return not (settings.masks.clicks and about_clicks)


def with_model_masks(
    recording: Recording,
    observations: Observations,
    estimate: Estimate | None,
    sources: EvidenceSources,
) -> tuple[Recording, str]:
    """Return the recording with masks of the fitted and the held-out images, and how they came.

    Args:
        recording: The recording, which has no masks.
        observations: Its images in use.
        estimate: A pose to tell the robot from other things by, None where there is none to trust.
        sources: What makes masks.

    Raises:
        ModelError: The model is not there or fails.
        SegmentationError: It is not sure which pixels are robot, or a click is outside the images.
    """
    positions = np.union1d(observations.solve, observations.held_out())
    frames = tuple(int(n) for n in observations.frames[positions])
    guesses = None
    if estimate is not None:
        guesses = _silhouettes(observations, positions, estimate, recording)
    with failures_of("Grounded SAM 2"):
        segmented = sources.mask_maker(recording).segment(recording.images, guesses, frames)
    masks: list[Mask | None] = [None] * len(recording)
    for frame, mask in zip(frames, segmented.masks, strict=True):
        masks[frame] = mask
    return replace(recording, masks=FrameList(masks)), segmented.summary


def _silhouettes(
    observations: Observations,
    positions: NDArray[np.intp],
    estimate: Estimate,
    recording: Recording,
) -> NDArray[np.bool_]:
    """Return the (N, H, W) robot as the recording's own camera would show it."""
    T_base_link = estimate.link_poses(observations.motion.subset(positions))
    camera = estimate.camera(recording.camera)
    return np.stack(
        [
            raw_silhouette(observations.surface, estimate.T_camera_base @ T, camera)
            for T in T_base_link
        ]
    )
