# SPDX-License-Identifier: Apache-2.0
"""Whether independent starts lead to the same pose, or to others that are as good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A start that scores less than this share of the best has failed, and says nothing.
SUCCESSFUL_SHARE = 0.9
# Closer than this, as `view_separation` measures it, two poses are one.
SAME_VIEW = 0.3


@dataclass(frozen=True)
class StartAgreement:
    """What came of the starts.

    Attributes:
        tried: Starts that were refined.
        agreeing: Those of them that ended at the best pose, itself included.
        rival: Score of the best other pose over that of the best, 0 without one.
    """

    tried: int
    agreeing: int
    rival: float

    def joined(self, other: StartAgreement) -> StartAgreement:
        """Return what two rounds of starts say together."""
        return StartAgreement(
            self.tried + other.tried,
            self.agreeing + other.agreeing,
            max(self.rival, other.rival),
        )


def view_separation(
    first: NDArray[np.float64], second: NDArray[np.float64], centre: NDArray[np.float64]
) -> float:
    """Return how different two views are: 1 for 20 degrees or for 15 % of the distance.

    Args:
        first: (4, 4) ``T_camera_base``.
        second: (4, 4) the other.
        centre: (3,) of the robot, base frame.
    """
    cosine = (np.einsum("ij,ij->", first[:3, :3], second[:3, :3]) - 1.0) / 2.0
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    a = first[:3, :3] @ centre + first[:3, 3]
    b = second[:3, :3] @ centre + second[:3, 3]
    return float(angle / np.radians(20) + np.linalg.norm(a - b) / (0.15 * np.linalg.norm(a)))


def start_agreement(
    poses: Sequence[NDArray[np.float64]], scores: Sequence[float], centre: NDArray[np.float64]
) -> StartAgreement:
    """Compare refined starts.

    Args:
        poses: (4, 4) each, ``T_camera_base``.
        scores: How well each explains the images, higher is better.
        centre: (3,) of the robot, base frame.
    """
    best = int(np.argmax(scores))
    most = max(float(scores[best]), 1e-9)
    agreeing, rival = 0, 0.0
    for pose, score in zip(poses, scores, strict=True):
        if view_separation(pose, poses[best], centre) > SAME_VIEW:
            rival = max(rival, float(score) / most)
        elif score >= SUCCESSFUL_SHARE * most:
            agreeing += 1
    return StartAgreement(len(poses), agreeing, rival)
