# SPDX-License-Identifier: Apache-2.0
"""Where a link was when each image was taken, as a function of the lag, quick to ask often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEP_S = 0.01


@dataclass(frozen=True, eq=False)
class LinkPath:
    """Poses of a link, tabulated over lags and interpolated between them.

    Entries are 10 ms apart; at 2 rad/s and 2 m/s^2 linear interpolation between them errs by
    0.05 mrad and 0.03 mm. Kinematics would be asked thousands of times otherwise.

    Attributes:
        lags_s: (L,) rising; a single one for a path that does not depend on the lag.
        table: (L, N, 4, 4) ``T_base_link``, NaN where unknown.
    """

    lags_s: Array
    table: Array

    @classmethod
    def tabulated(cls, link_poses: Callable[[float], Array], max_lag_s: float) -> LinkPath:
        """Return the path of ``link_poses``, (N, 4, 4) for a lag, from minus to plus the most."""
        steps = int(np.ceil(max_lag_s / _STEP_S))
        lags_s = np.linspace(-max_lag_s, max_lag_s, 2 * steps + 1)
        return cls(lags_s, np.stack([link_poses(float(lag_s)) for lag_s in lags_s]))

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) images at which the pose is known for every lag of the table."""
        return np.asarray(np.isfinite(self.table).all(axis=(0, 2, 3)))

    def subset(self, chosen: NDArray[np.bool_]) -> LinkPath:
        """Return the path at some of the images."""
        return LinkPath(self.lags_s, self.table[:, chosen])

    def poses(self, lag_s: float) -> Array:
        """Return (N, 4, 4) ``T_base_link``; lags beyond the table count as its end."""
        if len(self.lags_s) == 1:
            return np.asarray(self.table[0])
        position = np.interp(lag_s, self.lags_s, np.arange(len(self.lags_s)))
        entry = min(int(position), len(self.lags_s) - 2)
        share = position - entry
        return np.asarray((1 - share) * self.table[entry] + share * self.table[entry + 1])

    def rates(self, lag_s: float) -> Array:
        """Return the (N, 4, 4) derivative of the poses by the lag, per second."""
        if len(self.lags_s) == 1:
            return np.zeros_like(self.table[0])
        low = max(lag_s - _STEP_S, self.lags_s[0])
        high = min(lag_s + _STEP_S, self.lags_s[-1])
        return np.asarray((self.poses(high) - self.poses(low)) / (high - low))
