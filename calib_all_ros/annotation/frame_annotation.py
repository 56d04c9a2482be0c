# SPDX-License-Identifier: Apache-2.0
"""Annotation of one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class EndEffectorView:
    """The end-effector in one frame.

    Attributes:
        T_base_eef: (4, 4) its pose in the base frame, metres.
        T_camera_eef: (4, 4) its pose in the camera's optical frame, metres.
        pixel: (2,) where its origin lies in the raw image, also outside of it; NaN where the lens
            shows it nowhere.
        depth_m: Distance of its origin along the optical axis.
        in_image: Whether the pixel is one of the image's.
        hidden_by: Link in front of it that is not part of the end-effector, "" for none.
    """

    T_base_eef: NDArray[np.float64]
    T_camera_eef: NDArray[np.float64]
    pixel: NDArray[np.float64]
    depth_m: float
    in_image: bool
    hidden_by: str

    @property
    def visible(self) -> bool:
        """Whether it is in the image, and no other link is in front of it."""
        return self.in_image and not self.hidden_by


@dataclass(frozen=True, eq=False)
class FrameAnnotation:
    """What is known of the robot in one frame; arrays lie on the raw image's pixels.

    Attributes:
        index: Number of the frame in the recording.
        stamp_ns: Its stamp.
        links: (H, W) index into the robot's links, -1 where no robot is.
        depth_m: (H, W) float32 distance along the optical axis in metres, 0 where no robot is.
        gripper: (H, W) whether the pixel shows the gripper.
        eef: The end-effector.
    """

    index: int
    stamp_ns: int
    links: NDArray[np.int16]
    depth_m: NDArray[np.float32]
    gripper: NDArray[np.bool_]
    eef: EndEffectorView
