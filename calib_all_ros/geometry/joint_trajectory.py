# SPDX-License-Identifier: Apache-2.0
"""Joint positions over time, matched by name and interpolated at any stamp.

Each joint keeps a series of its own, because the arm and the gripper are often published by
different nodes at different rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.errors import CalibAllError

Stamps = NDArray[np.int64]
Positions = NDArray[np.float64]
Series = tuple[Stamps, Positions]


class JointTrajectoryError(CalibAllError):
    """Joint states that cannot be used, or a joint that is not among them."""


class JointTrajectory:
    """Sampled joint positions with linear interpolation and no extrapolation.

    Attributes:
        names: Names of all joints, in the order in which they were first seen.
    """

    def __init__(self, names: Sequence[str], stamps_ns: ArrayLike, positions: ArrayLike) -> None:
        """Take samples in which every message lists every joint.

        Args:
            names: (J,) joint names.
            stamps_ns: (T,) stamps in nanoseconds, in any order; of equal stamps the last counts.
            positions: (T, J) positions in radians or metres.

        Raises:
            JointTrajectoryError: Shapes that do not fit, duplicate names, NaN or infinite values.
        """
        stamps = np.asarray(stamps_ns, dtype=np.int64)
        values = np.asarray(positions, dtype=np.float64)
        _check_unique(names)
        if stamps.ndim != 1 or values.shape != (len(stamps), len(names)):
            raise JointTrajectoryError(
                f"joint positions have shape {values.shape}, but there are {stamps.size} stamps "
                f"and {len(names)} joint names: give one row per stamp and one column per joint"
            )
        self.names = tuple(names)
        self._series = {
            name: _ordered(name, stamps, values[:, column]) for column, name in enumerate(names)
        }

    @classmethod
    def from_messages(
        cls, messages: Iterable[tuple[int, Sequence[str], ArrayLike]]
    ) -> JointTrajectory:
        """Merge messages ``(stamp_ns, names, positions)``, each listing any of the joints.

        Messages without any position (velocity or effort only) are passed over.

        Raises:
            JointTrajectoryError: As the constructor; the message names joint and stamp.
        """
        groups: dict[tuple[str, ...], tuple[list[int], list[Positions]]] = {}
        for stamp_ns, names, positions in messages:
            values = np.asarray(positions, dtype=np.float64)
            if values.size == 0:
                continue
            key = tuple(names)
            if values.shape != (len(key),):
                raise JointTrajectoryError(
                    f"the joint state at stamp {stamp_ns} has {len(key)} names but {values.size} "
                    "positions: the recording is inconsistent, record it again"
                )
            stamps, rows = groups.setdefault(key, ([], []))
            stamps.append(stamp_ns)
            rows.append(values)
        collected: dict[str, list[Series]] = {}
        for names, (stamps, rows) in groups.items():
            _check_unique(names)
            stamp_array, table = np.array(stamps, dtype=np.int64), np.stack(rows)
            for column, name in enumerate(names):
                collected.setdefault(name, []).append((stamp_array, table[:, column]))
        series: dict[str, tuple[ArrayLike, ArrayLike]] = {}
        for name, parts in collected.items():
            all_stamps, all_values = zip(*parts, strict=True)
            series[name] = np.concatenate(all_stamps), np.concatenate(all_values)
        return cls.from_series(series)

    @classmethod
    def from_series(cls, series: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> JointTrajectory:
        """Take one series per joint: name -> ((T,) stamps in nanoseconds, (T,) positions).

        Raises:
            JointTrajectoryError: NaN or infinite values, or shapes that do not fit.
        """
        trajectory = cls((), np.zeros(0, dtype=np.int64), np.zeros((0, 0)))
        trajectory.names = tuple(series)
        for name, (stamps_ns, positions) in series.items():
            stamps = np.asarray(stamps_ns, dtype=np.int64)
            values = np.asarray(positions, dtype=np.float64)
            if stamps.ndim != 1 or stamps.shape != values.shape:
                raise JointTrajectoryError(
                    f"joint '{name}' has {stamps.size} stamps but {values.size} positions: give "
                    "one position per stamp"
                )
            trajectory._series[name] = _ordered(name, stamps, values)
        return trajectory

    def series(self, name: str) -> Series:
        """Return the strictly increasing (T,) stamps and the (T,) positions of one joint."""
        self._check_known((name,))
        return self._series[name]

    def span(self, names: Sequence[str] | None = None) -> tuple[int, int]:
        """Return the first and the last stamp between which every asked joint is known.

        The first is later than the last if the joints were never recorded together.

        Args:
            names: Joints to ask for; all of them if None.

        Raises:
            JointTrajectoryError: A joint that is not there, or no joints at all.
        """
        asked = self._asked(names)
        stamps = [self._series[name][0] for name in asked]
        return max(int(s[0]) for s in stamps), min(int(s[-1]) for s in stamps)

    def at(
        self,
        stamps_ns: ArrayLike,
        names: Sequence[str] | None = None,
        *,
        max_gap_ns: int = 200_000_000,
    ) -> tuple[Positions, NDArray[np.bool_]]:
        """Interpolate joint positions linearly at the given stamps.

        A jump of more than half a turn between neighbouring samples is a continuous joint that
        wrapped at +-pi, and is interpolated the short way round.

        Args:
            stamps_ns: (N,) stamps in nanoseconds.
            names: (J,) joints, in the order of the answer's columns; all of them if None.
            max_gap_ns: Neighbouring samples further apart are not interpolated between. A stamp
                that hits a sample exactly is valid across any gap.

        Returns:
            (N, J) positions, NaN where a joint is not known, and (N,) whether all of them are.

        Raises:
            JointTrajectoryError: A joint that is not there, or no joints at all.
        """
        stamps = np.atleast_1d(np.asarray(stamps_ns, dtype=np.int64))
        asked = self._asked(names)
        positions = np.stack([_interpolate(*self._series[n], stamps, max_gap_ns) for n in asked], 1)
        return positions, np.asarray(np.isfinite(positions).all(axis=1))

    def _asked(self, names: Sequence[str] | None) -> tuple[str, ...]:
        asked = self.names if names is None else tuple(names)
        if not asked:
            raise JointTrajectoryError("no joints to interpolate: the joint states list none")
        self._check_known(asked)
        return asked

    def _check_known(self, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self._series]
        if missing:
            raise JointTrajectoryError(
                f"no joint {', '.join(map(repr, missing))} in the joint states; "
                f"they have: {', '.join(self.names) or 'none'}"
            )


def _check_unique(names: Sequence[str]) -> None:
    duplicates = sorted({name for name in names if list(names).count(name) > 1})
    if duplicates:
        raise JointTrajectoryError(
            f"joint {', '.join(map(repr, duplicates))} is listed twice in one joint state; "
            f"it lists: {', '.join(names)}"
        )


def _ordered(name: str, stamps: Stamps, values: Positions) -> Series:
    """Return a series with strictly increasing stamps, of equal stamps keeping the last."""
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise JointTrajectoryError(
            f"joint '{name}' is {values[bad[0]]} at stamp {stamps[bad[0]]} ns ({bad.size} such "
            "samples): fix the driver or cut this part out of the recording"
        )
    order = np.argsort(stamps, kind="stable")
    stamps, values = stamps[order], values[order]
    last = np.append(np.diff(stamps) > 0, True) if stamps.size else np.zeros(0, dtype=bool)
    return stamps[last], values[last]


def _interpolate(samples: Stamps, values: Positions, stamps: Stamps, max_gap_ns: int) -> Positions:
    """Return (N,) values at the stamps, NaN outside of the samples and inside of long gaps."""
    before = np.searchsorted(samples, stamps, side="right") - 1
    low = np.clip(before, 0, len(samples) - 1)
    high = np.clip(before + 1, 0, len(samples) - 1)
    gap = samples[high] - samples[low]
    step = values[high] - values[low]
    wrapped = np.abs(step) > np.pi
    step = np.where(wrapped, step - 2 * np.pi * np.round(step / (2 * np.pi)), step)
    # Stamps are subtracted as integers: a float64 holds today's nanoseconds only to 256 ns.
    fraction = (stamps - samples[low]) / np.maximum(gap, 1)
    exact = (before >= 0) & (samples[low] == stamps)
    inside = (before >= 0) & (before + 1 < len(samples)) & (gap <= max_gap_ns)
    interpolated = np.where(exact, values[low], values[low] + fraction * step)
    return np.where(exact | inside, interpolated, np.nan)
