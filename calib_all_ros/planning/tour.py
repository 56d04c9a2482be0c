# SPDX-License-Identifier: Apache-2.0
"""A short way through configurations, from where the arm starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def short_tour(distance: NDArray[np.float64]) -> list[int]:
    """Order places so that the way through them is short.

    Nearest neighbour, then 2-opt (Croes, 1958) until no reversal of a stretch helps. The way is
    open: it begins at place 0 and ends anywhere.

    Args:
        distance: (M, M) symmetric distances; place 0 is the start.

    Returns:
        The order of places 1 to M - 1.
    """
    left = set(range(1, len(distance)))
    tour = [0]
    while left:
        nearest = min(left, key=lambda place: float(distance[tour[-1], place]))
        tour.append(nearest)
        left.remove(nearest)
    improved = True
    while improved:
        improved = False
        for first in range(1, len(tour) - 1):
            for last in range(first + 1, len(tour)):
                gain = distance[tour[first - 1], tour[first]]
                gain -= distance[tour[first - 1], tour[last]]
                if last + 1 < len(tour):
                    gain += distance[tour[last], tour[last + 1]]
                    gain -= distance[tour[first], tour[last + 1]]
                if gain > 1e-9:
                    tour[first : last + 1] = tour[first : last + 1][::-1]
                    improved = True
    return tour[1:]


def longest_joint_moves(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (M, M) moves of the joint that moves farthest between (M, J) configurations.

    An arm whose joints are about equally fast takes as long as that joint does.
    """
    return np.asarray(np.abs(positions[:, None] - positions[None]).max(axis=2))
