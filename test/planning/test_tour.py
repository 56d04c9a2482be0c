# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from calib_all_ros.planning.selection import longest_joint_moves, short_tour


def length(distance: np.ndarray, order: list[int] | tuple[int, ...]) -> float:
    return float(sum(distance[a, b] for a, b in pairwise([0, *order])))


def test_along_a_line() -> None:
    places = np.array([[0.0], [3.0], [-0.5], [1.0], [2.0]])
    assert short_tour(longest_joint_moves(places)) == [2, 3, 4, 1]


@pytest.mark.parametrize("seed", range(5))
def test_nearly_the_shortest(seed: int) -> None:
    distance = longest_joint_moves(np.random.default_rng(seed).normal(size=(7, 3)))
    order = short_tour(distance)
    assert sorted(order) == [1, 2, 3, 4, 5, 6]
    shortest = min(length(distance, p) for p in permutations(range(1, 7)))
    assert length(distance, order) <= 1.15 * shortest


def test_far_ways_are_avoided_where_there_is_another() -> None:
    """From 1 to 2 there is no way but through 3."""
    distance = np.array(
        [[0, 1, 5, 3], [1, 0, 100, 1.5], [5, 100, 0, 1.5], [3, 1.5, 1.5, 0]], dtype=float
    )
    assert short_tour(distance) == [1, 3, 2]


def test_single_and_no_place() -> None:
    assert short_tour(np.zeros((2, 2))) == [1]
    assert short_tour(np.zeros((1, 1))) == []


def test_longest_move_of_a_joint() -> None:
    moves = longest_joint_moves(np.array([[0.0, 1.0], [0.5, -1.0]]))
    np.testing.assert_allclose(moves, [[0.0, 2.0], [2.0, 0.0]])
