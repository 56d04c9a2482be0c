# SPDX-License-Identifier: Apache-2.0
"""Sums of squares against the least squares that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.solving.normal_equations import NormalEquations, jackknife

GROUPS, EACH, SIZE = 6, 40, 4
GROUP = np.repeat(np.arange(GROUPS), EACH)


@pytest.fixture
def measured() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K, P) derivatives, (K,) residuals and (K,) weights."""
    rng = np.random.default_rng(3)
    J = rng.normal(size=(len(GROUP), SIZE))
    return J, rng.normal(size=len(GROUP)), rng.uniform(0.5, 2.0, len(GROUP))


def dense(
    J: np.ndarray, r: np.ndarray, w: np.ndarray, sigma: np.ndarray | None = None
) -> np.ndarray:
    """The least-squares step, priors about the present values."""
    root = np.sqrt(w)
    rows, values = [J * root[:, None]], [-r * root]
    if sigma is not None:
        rows.append(np.diag(1.0 / sigma))
        values.append(np.zeros(len(sigma)))
    return np.asarray(np.linalg.lstsq(np.vstack(rows), np.concatenate(values), rcond=None)[0])


def test_the_solution_is_that_of_least_squares(measured: tuple[np.ndarray, ...]) -> None:
    J, r, w = measured
    shuffled = np.random.default_rng(0).permutation(len(GROUP))
    equations = NormalEquations.of(J[shuffled], r[shuffled], w[shuffled], GROUP[shuffled], GROUPS)
    np.testing.assert_allclose(equations.solve(), dense(J, r, w))
    columns = np.array([2, 0])
    np.testing.assert_allclose(equations.restricted(columns).solve(), dense(J[:, columns], r, w))
    sigma = np.array([0.01, 0.1, 1.0, np.inf])
    np.testing.assert_allclose(equations.with_priors(sigma).solve(), dense(J, r, w, sigma))
    # What data of another variance say weighs less against the same priors.
    np.testing.assert_allclose(
        equations.divided(9.0).with_priors(sigma).solve(), dense(J, r, w / 9.0, sigma)
    )


def test_priors_pull_back_what_has_departed(measured: tuple[np.ndarray, ...]) -> None:
    J, r, w = measured
    departure = np.array([0.3, 0.0, 0.0, 0.0])
    tight = NormalEquations.of(J, r, w, GROUP, GROUPS).with_priors(np.full(SIZE, 1e-6), departure)
    np.testing.assert_allclose(tight.solve(), -departure, atol=1e-6)


def test_the_cost_after_a_step_is_that_of_the_residuals(measured: tuple[np.ndarray, ...]) -> None:
    J, r, w = measured
    equations = NormalEquations.of(J, r, w, GROUP, GROUPS).with_priors(np.full(SIZE, 0.5))
    step = np.array([0.1, -0.2, 0.3, 0.4])
    moved = equations.moved(step)
    squares = w * (r + J @ step) ** 2
    np.testing.assert_allclose(moved.cost, np.bincount(GROUP, squares))
    np.testing.assert_allclose(moved.solve(), equations.solve() - step)


def test_groups_may_follow_from_other_parameters(measured: tuple[np.ndarray, ...]) -> None:
    J, r, w = measured
    factors = np.random.default_rng(1).normal(size=(GROUPS, SIZE, 2))
    substituted = NormalEquations.of(J, r, w, GROUP, GROUPS).substituted(factors)
    expected = dense(np.einsum("kp,kpq->kq", J, factors[GROUP]), r, w)
    np.testing.assert_allclose(substituted.solve(), expected)


def test_eliminating_equals_solving_for_every_departure(measured: tuple[np.ndarray, ...]) -> None:
    J, r, w = measured
    equations = NormalEquations.of(J, r, w, GROUP, GROUPS)
    present, sigma = np.linspace(-0.2, 0.3, GROUPS), 0.4
    reduced, departure, change = equations.eliminated(1, sigma**-2, present)
    step = reduced.solve()
    own = (GROUP[:, None] == np.arange(GROUPS)) * J[:, 1:2]
    A = np.hstack([J, own])
    H = A.T @ (w[:, None] * A)
    g = A.T @ (w * r)
    H[SIZE:, SIZE:] += np.eye(GROUPS) / sigma**2
    g[SIZE:] += present / sigma**2
    expected = -np.linalg.solve(H, g)
    np.testing.assert_allclose(step, expected[:SIZE])
    np.testing.assert_allclose(departure + change @ step, present + expected[SIZE:])


def test_folds_are_left_out_and_held_out(measured: tuple[np.ndarray, ...]) -> None:
    J, r, w = measured
    equations = NormalEquations.of(J, r, w, GROUP, GROUPS)
    fold = np.arange(GROUPS) % 3
    left_out, cost = equations.left_out(fold), 0.0
    for number in range(3):
        out = fold[GROUP] == number
        expected = dense(J[~out], r[~out], w[~out])
        np.testing.assert_allclose(left_out[number], expected)
        cost += float(w[out] @ (r[out] + J[out] @ expected) ** 2)
    assert equations.held_out_cost(fold) == pytest.approx(cost)
    assert cost > equations.moved(equations.solve()).cost.sum()


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(4).normal(size=30)
    means = np.array([np.delete(values, i).mean() for i in range(30)])[:, None]
    assert jackknife(means)[0, 0] == pytest.approx(values.var(ddof=1) / 30)


def test_what_was_held_enters_the_covariance_through_the_fit() -> None:
    # Two columns that are alike: what is not known of the second is not known of the first.
    J = np.ones((len(GROUP), 2))
    equations = NormalEquations.of(J, np.zeros(len(GROUP)), np.ones(len(GROUP)), GROUP, GROUPS)
    first, second = np.array([0]), np.array([1])
    found = equations.covariance(first, second, np.array([[0.25]]), np.zeros(GROUPS, np.intp))
    assert found[0, 0] == pytest.approx(0.25 + 1.0 / len(GROUP))


def test_clusters_scatter_about_their_own_means() -> None:
    r = np.where(GROUP < GROUPS // 2, 1.0, -1.0)
    equations = NormalEquations.of(np.ones((len(GROUP), 1)), r, np.ones(len(GROUP)), GROUP, GROUPS)
    own, none = np.array([0]), np.empty(0, np.intp)
    one = equations.covariance(own, none, np.zeros((0, 0)), np.zeros(GROUPS, np.intp))
    two = equations.covariance(own, none, np.zeros((0, 0)), (np.arange(GROUPS) < 3).astype(int))
    assert two[0, 0] == pytest.approx(1.0 / len(GROUP)) and one[0, 0] > 10 * two[0, 0]


def test_second_moments_hold_what_the_measurements_ask_for() -> None:
    """A parameter whose prior is zero with sigma s, measured as m with sigma e."""
    s, e, m = 0.5, 0.25, 2.0
    equations = NormalEquations.of(
        np.ones((1, 1)), np.array([-m]), np.array([e**-2]), np.zeros(1, np.intp), 1
    ).with_priors(np.array([s]))
    variance = 1.0 / (s**-2 + e**-2)
    mean = variance * m / e**2
    assert equations.second_moments(np.array([0]))[0, 0] == pytest.approx(variance + mean**2)
