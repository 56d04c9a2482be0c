# SPDX-License-Identifier: Apache-2.0
"""Tells when an arm has come to rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

# Encoder noise and a controller that trembles stay within, slow motion does not.
_STILL = 0.004


class RestDetector:
    """Follows joint states, each of which may list any of the joints.

    A joint is at rest since the first sample from which no later one is farther away than 0.004 rad
    (or m): slow motion therefore counts as motion.
    """

    def __init__(self) -> None:
        """Begin without joints."""
        self._anchors: dict[str, tuple[float, int]] = {}
        self._latest: dict[str, tuple[float, int]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The joints seen so far."""
        return tuple(self._latest)

    def add(self, stamp_ns: int, names: Sequence[str], positions: NDArray[np.float64]) -> None:
        """Take note of a joint state; one that is older than what is known is passed over."""
        for name, position in zip(names, positions.tolist(), strict=False):
            known = self._latest.get(name)
            if known is not None and stamp_ns < known[1]:
                continue
            self._latest[name] = (position, stamp_ns)
            anchor = self._anchors.get(name)
            if anchor is None or abs(position - anchor[0]) > _STILL:
                self._anchors[name] = (position, stamp_ns)

    def positions(self, names: Iterable[str]) -> dict[str, float] | None:
        """Return the latest positions, None if a joint is not known."""
        if any(name not in self._latest for name in names):
            return None
        return {name: self._latest[name][0] for name in names}

    def resting_since_ns(self, names: Iterable[str]) -> int | None:
        """Return since which stamp all of the joints are at rest, None if one is not known."""
        anchors = [self._anchors.get(name) for name in names]
        if not anchors or any(anchor is None for anchor in anchors):
            return None
        return max(stamp for _, stamp in filter(None, anchors))

    def latest_ns(self, names: Iterable[str]) -> int:
        """Return the stamp up to which all of the joints are known."""
        return min((self._latest[name][1] for name in names if name in self._latest), default=0)
