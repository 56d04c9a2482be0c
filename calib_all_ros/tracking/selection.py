# SPDX-License-Identifier: Apache-2.0
"""Selection of the tracker."""

from __future__ import annotations

from pathlib import Path

from calib_all_ros.models.checkpoints import find_checkpoint
from calib_all_ros.models.libraries import ModelError, choose_device, failures_of
from calib_all_ros.settings import TRACKERS
from calib_all_ros.tracking.cotracker import CoTracker3
from calib_all_ros.tracking.lucas_kanade import LucasKanade
from calib_all_ros.tracking.track import Tracker, TrackingError

_ASKED = "as asked for"


def make_tracker(name: str, checkpoints: Path, device: str) -> tuple[Tracker, str]:
    """Return a tracker, and why it is this one, to follow its name in brackets.

    Args:
        name: ``lucas_kanade``; ``cotracker`` is CoTracker3 offline, which sees ahead, and
            ``cotracker_online`` the other; ``auto`` is CoTracker3 offline where that can run and
            Lucas-Kanade elsewhere.
        checkpoints: Folder in which CoTracker3's checkpoint is looked for.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ModelError: CoTracker3 was asked for by name and cannot run here.
        TrackingError: There is no such tracker.
    """
    if name not in TRACKERS:
        raise TrackingError(f"there is no tracker '{name}'; use {', '.join(TRACKERS)}")
    if name == "lucas_kanade":
        return LucasKanade(), _ASKED
    model = "cotracker3_online" if name == "cotracker_online" else "cotracker3_offline"
    try:
        checkpoint = find_checkpoint(model, checkpoints)
        where = choose_device(device)
        with failures_of("CoTracker3"):
            tracker = CoTracker3(checkpoint, where)
    # What works without models must not fail for a damaged one.
    except ModelError as error:
        if name != "auto":
            raise
        return LucasKanade(), f"CoTracker3 cannot be used: {error}"
    why = "its library and its checkpoint are here" if name == "auto" else _ASKED
    return tracker, f"{why}; on {where} with {checkpoint.path}"
