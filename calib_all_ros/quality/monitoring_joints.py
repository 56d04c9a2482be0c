# SPDX-License-Identifier: Apache-2.0
"""The latest joint states, as many as a monitor needs and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry.joint_trajectory import JointTrajectory

NS_PER_S = 1_000_000_000


class JointWindow:
    """Keeps joint states of the last seconds, from any number of publishers.

    Attributes:
        newest_ns: Stamp of the newest joint state, None before the first.
    """

    def __init__(self, length_s: float) -> None:
        """Begin empty.

        Args:
            length_s: How long a joint state is kept, by the stamps.
        """
        self.newest_ns: int | None = None
        self._length_ns = round(length_s * NS_PER_S)
        self._states: deque[tuple[int, tuple[str, ...], NDArray[np.float64]]] = deque()

    def add(self, stamp_ns: int, names: Sequence[str], positions: ArrayLike) -> None:
        """Take a joint state; one without positions, or with any that is not finite, is dropped.

        A stamp that jumps back by more than the length is a new beginning.
        """
        values = np.asarray(positions, dtype=np.float64)
        if values.shape != (len(names),) or not values.size or not np.isfinite(values).all():
            return
        if self.newest_ns is not None and stamp_ns < self.newest_ns - self._length_ns:
            self._states.clear()
            self.newest_ns = None
        self._states.append((stamp_ns, tuple(names), values))
        self.newest_ns = stamp_ns if self.newest_ns is None else max(self.newest_ns, stamp_ns)
        while self._states[0][0] < self.newest_ns - self._length_ns:
            self._states.popleft()

    def around(self, stamp_ns: int, reach_s: float) -> JointTrajectory:
        """Return what is kept, less what is more than ``reach_s`` before a stamp."""
        begin = stamp_ns - round(reach_s * NS_PER_S)
        near = [state for state in self._states if state[0] >= begin]
        return JointTrajectory.from_messages(near or self._states)
