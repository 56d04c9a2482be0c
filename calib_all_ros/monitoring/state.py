# SPDX-License-Identifier: Apache-2.0
"""Findings and settings of a monitor."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError


class State(str, Enum):
    """What is the matter with a watched camera."""

    OK = "ok"
    MOVED = "moved"
    OCCLUDED = "occluded"
    STILL = "still"
    NO_JOINTS = "no_joints"
    NO_IMAGES = "no_images"
    OUT_OF_STEP = "out_of_step"
    WRONG_CAMERA = "wrong_camera"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Observation:
    """What is known after an image.

    Attributes:
        state: The finding.
        sentence: The same for people.
        stamp_ns: Stamp of the image.
        believed: What is held of the camera, whatever is in the way at the moment: OK, MOVED,
            OUT_OF_STEP or UNSURE.
        figures: What was measured, names with units; what could not be measured is left out.
        positions: (J,) joint positions the robot was drawn at, None where unknown.
        T_camera_base: (4, 4) where the camera seems to be if it moved, else None.
    """

    state: State
    sentence: str
    stamp_ns: int
    believed: State = State.UNSURE
    figures: dict[str, float] = field(default_factory=dict)
    positions: NDArray[np.float64] | None = None
    T_camera_base: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class MonitorSettings:
    """How closely a camera is watched.

    Attributes:
        working_width_px: Images are reduced to this width.
        moved_share: Displacement of the view that counts as a moved camera, as a share of the
            image's width.
        lag_limit_ms: Time between images and joint states, beyond the calibrated one, that counts
            as out of step.
        occluded_share: Below this share of the outline that is usually seen, the robot is
            occluded.
        window: Images, with different robot poses, that are judged together.
        confirmations: Findings in a row that change the state.
        still_s: The robot stands still after so long without motion.
        joint_timeout_s: Joint states have stopped when the newest is so much older than an image.
        max_joint_gap_s: An image inside of a longer gap of the joint states is not judged.
        renewal_s: The background's reference is renewed when the camera is known to stand still
            and the scene has looked different for so long.
    """

    working_width_px: int = 320
    moved_share: float = 0.006
    lag_limit_ms: float = 40.0
    occluded_share: float = 0.6
    window: int = 8
    confirmations: int = 2
    still_s: float = 1.5
    joint_timeout_s: float = 1.0
    max_joint_gap_s: float = 0.2
    renewal_s: float = 30.0

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float, float], ...] = (
            ("working_width_px", 160, 4096),
            ("moved_share", 0.002, 0.1),
            ("lag_limit_ms", 10.0, 1000.0),
            ("occluded_share", 0.05, 0.95),
            ("window", 4, 64),
            ("confirmations", 1, 20),
            ("still_s", 0.2, 3600.0),
            ("joint_timeout_s", 0.05, 3600.0),
            ("max_joint_gap_s", 0.001, 10.0),
            ("renewal_s", 1.0, 86400.0),
        )
        for name, low, high in limits:
            value = getattr(self, name)
            if not low <= value <= high:
                raise CalibAllError(
                    f"monitor setting {name} is {value}; it must be from {low:g} to {high:g}"
                )
