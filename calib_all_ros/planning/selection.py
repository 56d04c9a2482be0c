# SPDX-License-Identifier: Apache-2.0
"""Choice of the configurations that together leave the camera's pose least uncertain.

The criterion is D-optimality for the pose: the logarithm of the determinant of its covariance,
nuisances marginalised, averaged over the camera poses of the prior. It does not depend on how
metres compare with radians. Configurations are added greedily, each the one that helps most beside
those chosen, which for log-determinants is provably near the best set (Nemhauser, Wolsey and
Fisher, 1978; Krause, Singh and Guestrin, "Near-optimal sensor placements in Gaussian processes",
JMLR 2008); with nuisances marginalised the proof does not hold to the letter, and exchanges of
single configurations (Fedorov, 1972) repair what greed has missed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.planning.information import Information
from calib_all_ros.solving.estimate import POSE_SIZE

_EXCHANGE_PASSES = 3
_LEAST_GAIN = 1e-6


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


def select(
    information: Information,
    positions: NDArray[np.float64],
    count: int,
    least_difference: float,
    on_progress: Callable[[float], None] = lambda share: None,
) -> list[int]:
    """Choose configurations.

    Args:
        information: Of C candidates.
        positions: (C, J) the candidates, joints that move.
        count: How many to choose.
        least_difference: By how much some joint has to differ between two that are chosen.
        on_progress: Called with the share that is done.

    Returns:
        At most ``count`` indices, in the order of choice; fewer where the candidates do not
        differ enough.
    """
    chosen: list[int] = []
    for _ in range(count):
        best = _best_addition(information, chosen, _allowed(positions, chosen, least_difference))
        if best is None:
            return chosen
        chosen.append(best[0])
        on_progress(len(chosen) / (2 * count))
    value = float(_spread(information.total(chosen)).mean())
    for number in range(_EXCHANGE_PASSES):
        before = value
        for slot in range(len(chosen)):
            others = chosen[:slot] + chosen[slot + 1 :]
            best = _best_addition(
                information, others, _allowed(positions, others, least_difference)
            )
            if best is not None and best[1] < value - _LEAST_GAIN:
                chosen[slot], value = best
        on_progress(0.5 + 0.5 * (number + 1) / _EXCHANGE_PASSES)
        if value > before - _LEAST_GAIN:
            break
    return chosen


def _best_addition(
    information: Information, chosen: list[int], allowed: NDArray[np.bool_]
) -> tuple[int, float] | None:
    """Return the allowed candidate that helps most, and the criterion with it."""
    left = np.flatnonzero(allowed)
    if len(left) == 0:
        return None
    values = _spread(information.total(chosen) + information.matrices[left]).mean(axis=1)
    best = int(np.argmin(values))
    return int(left[best]), float(values[best])


def _allowed(
    positions: NDArray[np.float64], chosen: list[int], least_difference: float
) -> NDArray[np.bool_]:
    allowed = np.ones(len(positions), dtype=bool)
    for other in chosen:
        allowed &= np.abs(positions - positions[other]).max(axis=1) >= least_difference
    return allowed


def _spread(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log det of the pose's covariance from (..., P, P) information, by Schur's formula."""
    _, all_parameters = np.linalg.slogdet(total)
    _, nuisances = np.linalg.slogdet(total[..., POSE_SIZE:, POSE_SIZE:])
    return np.asarray(nuisances - all_parameters)
