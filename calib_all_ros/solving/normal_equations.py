# SPDX-License-Identifier: Apache-2.0
"""Normal equations of groups of measurements, and what algebra tells from them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class NormalEquations:
    """Linear least squares of G groups of measurements in P parameters, with priors.

    A group's residuals r, derivatives J and weights W enter as ``H = J'WJ``, ``g = J'Wr`` and
    ``cost = r'Wr``: a step d of the parameters makes its weighted sum of squares
    ``cost + 2 g'd + d'Hd``. Any method raises numpy.linalg.LinAlgError where a matrix that it
    inverts is singular.

    Attributes:
        H: (G, P, P).
        g: (G, P).
        cost: (G,).
        prior: (P,) information of the priors.
        pull: (P,) their information times how far each parameter is from its expected value.
    """

    H: NDArray[np.float64]
    g: NDArray[np.float64]
    cost: NDArray[np.float64]
    prior: NDArray[np.float64]
    pull: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        J: NDArray[np.float64],
        residual: NDArray[np.float64],
        weight: NDArray[np.float64],
        group: NDArray[np.integer],
        groups: int,
    ) -> NormalEquations:
        """Sum up K measurements.

        Args:
            J: (K, P) derivatives of the residuals.
            residual: (K,).
            weight: (K,).
            group: (K,) group of each measurement.
            groups: How many groups there are.
        """
        P = J.shape[1]
        H, g, cost = np.zeros((groups, P, P)), np.zeros((groups, P)), np.zeros(groups)
        order = np.argsort(group, kind="stable")
        ends = np.searchsorted(group[order], np.arange(groups + 1))
        for number, (first, last) in enumerate(itertools.pairwise(ends)):
            own = order[first:last]
            weighted = J[own] * weight[own, None]
            H[number] = J[own].T @ weighted
            g[number] = weighted.T @ residual[own]
            cost[number] = weight[own] @ residual[own] ** 2
        return cls(H, g, cost, np.zeros(P), np.zeros(P))

    def __len__(self) -> int:
        return len(self.H)

    def information(self) -> NDArray[np.float64]:
        """Return the (P, P) information of all groups and priors."""
        return np.asarray(self.H.sum(axis=0) + np.diag(self.prior))

    def gradient(self) -> NDArray[np.float64]:
        """Return the (P,) gradient of all groups and priors."""
        return np.asarray(self.g.sum(axis=0) + self.pull)

    def with_priors(
        self, sigma: NDArray[np.float64], departure: NDArray[np.float64] | float = 0.0
    ) -> NormalEquations:
        """Return the same measurements with priors.

        Args:
            sigma: (P,) standard deviations; infinite for none.
            departure: (P,) how far the parameters are from their expected values.
        """
        prior = sigma**-2.0
        return NormalEquations(self.H, self.g, self.cost, prior, prior * departure)

    def divided(self, variance: float) -> NormalEquations:
        """Return the measurements at another variance of their residuals, priors as they are."""
        return NormalEquations(
            self.H / variance, self.g / variance, self.cost / variance, self.prior, self.pull
        )

    def chosen(self, groups: NDArray[np.integer] | NDArray[np.bool_]) -> NormalEquations:
        """Return some of the groups."""
        return NormalEquations(
            self.H[groups], self.g[groups], self.cost[groups], self.prior, self.pull
        )

    def restricted(self, columns: NDArray[np.integer]) -> NormalEquations:
        """Return the equations in some of the parameters, the others held where they are."""
        H, g = self.H[:, columns[:, None], columns], self.g[:, columns]
        return NormalEquations(H, g, self.cost, self.prior[columns], self.pull[columns])

    def substituted(self, factors: NDArray[np.float64]) -> NormalEquations:
        """Return the equations in Q parameters that those of each group follow from.

        Args:
            factors: (G, P, Q) derivatives of each group's parameters. Priors are left behind.
        """
        turned = factors.transpose(0, 2, 1)
        g = (turned @ self.g[:, :, None])[:, :, 0]
        none = np.zeros(factors.shape[2])
        return NormalEquations(turned @ self.H @ factors, g, self.cost, none, none)

    def eliminated(
        self,
        column: int,
        information: NDArray[np.float64] | float,
        value: NDArray[np.float64] | float = 0.0,
    ) -> tuple[NormalEquations, NDArray[np.float64], NDArray[np.float64]]:
        """Let each group depart from one parameter by itself, by the Schur complement.

        Args:
            column: The parameter.
            information: (G,) of the prior of each departure, about zero.
            value: (G,) the departures where the equations were made.

        Returns:
            The equations without the departures, the (G,) departures for no step, and their
            (G, P) change with the step.
        """
        cross = self.H[:, column]
        own = cross[:, column] + information
        pull = self.g[:, column] + information * np.asarray(value)
        share = cross / own[:, None]
        reduced = NormalEquations(
            self.H - share[:, :, None] * cross[:, None, :],
            self.g - share * pull[:, None],
            self.cost - pull**2 / own,
            self.prior,
            self.pull,
        )
        return reduced, value - pull / own, -share

    def solve(self) -> NDArray[np.float64]:
        """Return the (P,) step to the least sum of squares."""
        return np.asarray(-np.linalg.solve(self.information(), self.gradient()))

    def moved(self, step: NDArray[np.float64]) -> NormalEquations:
        """Return the equations about the parameters after a (P,) step."""
        change = self.H @ step
        cost = self.cost + 2.0 * self.g @ step + change @ step
        return NormalEquations(
            self.H, self.g + change, cost, self.prior, self.pull + self.prior * step
        )

    def left_out(self, fold: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the (K, P) steps when each of K folds is left out; ``fold`` (G,) names them."""
        return np.stack([self.chosen(fold != out).solve() for out in np.unique(fold)])

    def held_out_cost(self, fold: NDArray[np.integer]) -> float:
        """Return the sum of each fold's cost after the step to which the other folds lead."""
        return sum(
            float(self.chosen(fold == out).moved(step).cost.sum())
            for out, step in zip(np.unique(fold), self.left_out(fold), strict=True)
        )

    def second_moments(self, columns: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the expected products of some parameters, measurements and priors given."""
        covariance, mean = np.linalg.inv(self.information())[np.ix_(columns, columns)], self.solve()
        return np.asarray(covariance + np.outer(mean[columns], mean[columns]))

    def covariance(
        self,
        fitted: NDArray[np.integer],
        considered: NDArray[np.integer],
        moments: NDArray[np.float64],
        cluster: NDArray[np.integer],
    ) -> NDArray[np.float64]:
        """Return the covariance of the parameters of a fit, in three parts.

        That of the linearised fit; the jackknife over the groups (Efron and Stein, "The jackknife
        estimate of variance", 1981); and what parameters that were not fitted do to it (Schmidt,
        "Application of state space methods to navigation problems", 1966).

        Args:
            fitted: (F,) the parameters.
            considered: (C,) parameters that were held, and may be wrong.
            moments: (C, C) their expected products.
            cluster: (G,) which groups are of one kind: a cluster's groups scatter about its mean.

        Returns:
            (F, F).
        """
        own = self.restricted(fitted)
        covariance = np.linalg.inv(own.information())
        sensitivity = -covariance @ self.H.sum(axis=0)[np.ix_(fitted, considered)]
        shifts = own.left_out(np.arange(len(own)))
        covariance = covariance + sensitivity @ moments @ sensitivity.T
        for kind in np.unique(cluster):
            covariance += jackknife(shifts[cluster == kind])
        return np.asarray(0.5 * (covariance + covariance.T))


def jackknife(shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (P, P) covariance that (K, P) leave-one-out solutions scatter by."""
    scatter = shifts - shifts.mean(axis=0)
    return np.asarray((len(shifts) - 1) / len(shifts) * scatter.T @ scatter)
