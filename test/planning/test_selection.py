# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from calib_all_ros.planning.information import Information
from calib_all_ros.planning.selection import select

COUNT = 10


def random_information(seed: int, candidates: int = COUNT) -> Information:
    """Candidates that each say something about few directions of pose and nuisances."""
    rng = np.random.default_rng(seed)
    J = rng.normal(size=(candidates, 2, 3, 9)) * rng.uniform(0.2, 3.0, (candidates, 1, 1, 1))
    return Information(np.swapaxes(J, -1, -2) @ J, np.eye(9))


def criterion(information: Information, chosen: tuple[int, ...] | list[int]) -> float:
    covariance = np.linalg.inv(information.total(list(chosen)))[:, :6, :6]
    return float(np.linalg.slogdet(covariance)[1].mean())


def apart(candidates: int = COUNT) -> np.ndarray:
    return np.arange(candidates, dtype=float)[:, None]


@pytest.mark.parametrize("seed", range(6))
def test_nearly_the_best_of_all_sets(seed: int) -> None:
    information = random_information(seed)
    chosen = select(information, apart(), 4, 0.1)
    assert len(set(chosen)) == 4
    values = sorted(criterion(information, s) for s in combinations(range(COUNT), 4))
    # No single exchange helps; of 210 sets at most a handful are better.
    assert criterion(information, chosen) <= values[5] + 1e-9


def test_exchanges_leave_nothing_to_gain() -> None:
    information = random_information(9)
    chosen = select(information, apart(), 4, 0.1)
    value = criterion(information, chosen)
    for slot in range(4):
        for other in set(range(COUNT)) - set(chosen):
            changed = [*chosen[:slot], other, *chosen[slot + 1 :]]
            assert criterion(information, changed) >= value - 1e-5


def test_nuisances_count_only_as_far_as_they_blur_the_pose() -> None:
    """Candidate 0 knows a nuisance very well, candidate 1 the pose a little."""
    J = np.zeros((2, 1, 1, 9))
    J[0, 0, 0, 8] = 100.0
    J[1, 0, 0, 0] = 1.0
    information = Information(np.swapaxes(J, -1, -2) @ J, np.eye(9))
    assert select(information, apart(2), 1, 0.1) == [1]


def test_alike_configurations_are_not_chosen_together() -> None:
    information = random_information(1)
    positions = np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.05], [1.0, 0.0]] + [[0.02, 0.02]] * 6)
    chosen = select(information, positions, 4, 0.1)
    assert len(chosen) == 2
    assert 3 in chosen


def test_progress_reaches_the_end() -> None:
    shares: list[float] = []
    select(random_information(2), apart(), 3, 0.1, shares.append)
    assert shares == sorted(shares)
    assert 0.5 < shares[-1] <= 1.0
