# SPDX-License-Identifier: Apache-2.0
"""Whether cameras of one recording agree, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from calib_all_ros.results.cameras_file import JointRecord
from calib_all_ros.solving.joint_refinement import LEAST_P_VALUE, JointRefinement

# A larger step would leave the range of the linearisation; cameras that agree take none near it.
MOST_STEP_PX = 1.0
# Chance alone leads to a warning in one of a thousand cases.
DOUBTED_P_VALUE = 1e-3


def contradiction(names: Sequence[str], refined: JointRefinement) -> str | None:
    """Return why cameras cannot share the clocks that they were said to, None where they can."""
    worst = int(np.argmax(refined.step_px))
    if refined.step_px[worst] <= MOST_STEP_PX:
        return None
    return (
        "the images contradict the clocks that were given: one lag would move the robot's outline "
        f"in the images of {names[worst]} by {refined.step_px[worst]:.1f} px, so each camera "
        "keeps its own: leave out --clock"
    )


def agreement_doubts(refined: JointRefinement) -> list[str]:
    """Return what is doubtful about values that should be equal."""
    doubts = []
    if refined.offsets is not None and refined.offsets.p_value < DOUBTED_P_VALUE:
        doubts.append(
            "the cameras disagree about the joint offsets "
            f"(p = {refined.offsets.p_value:.1g}), so each keeps its own: check the intrinsics and "
            "the time stamps of each camera"
        )
    if refined.shared is not None and refined.shared.p_value < DOUBTED_P_VALUE:
        doubts.append(
            f"the lags of cameras on one clock disagree (p = {refined.shared.p_value:.1g}): leave "
            "out --clock"
        )
    return doubts


def frame_doubts(frames: Mapping[str, str]) -> list[str]:
    """Return which cameras call their optical frames alike.

    Args:
        frames: Optical frame of each camera, by its name.
    """
    by_frame: dict[str, list[str]] = {}
    for name, frame in frames.items():
        by_frame.setdefault(frame, []).append(name)
    return [
        f"{' and '.join(names)} call their frame '{frame}' alike: TF needs a name for each"
        for frame, names in by_frame.items()
        if len(names) > 1
    ]


def joint_notes(record: JointRecord, refined: JointRefinement) -> list[str]:
    """Return what is shared and what is not."""
    notes = [
        f"{' and '.join(clock)} share a clock: their images lag by "
        f"{1e3 * refined.estimates[record.cameras.index(clock[0])].lag_s:+.1f} ms"
        for clock in record.clocks
        if len(clock) > 1 and refined.lags is not None
    ]
    if len(record.clocks) > 1 and refined.lags is not None:
        lags = ", ".join(
            f"{name} {1e3 * estimate.lag_s:+.1f} ms"
            for name, estimate in zip(record.cameras, refined.estimates, strict=True)
        )
        notes.append(f"the lags are not one (p = {refined.lags.p_value:.1g} for one clock): {lags}")
    if refined.offsets is not None and record.joint_offsets is None:
        notes.append(
            f"the joint offsets are not shared: the cameras' own disagree "
            f"(p = {refined.offsets.p_value:.1g}, shared from {LEAST_P_VALUE} on)"
        )
    return notes
