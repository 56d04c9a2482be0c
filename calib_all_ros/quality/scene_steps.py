# SPDX-License-Identifier: Apache-2.0
"""Steps, drift and scatter of a series of values: what happened once, slowly, or all the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A level must last for so many values: a single one that differs is scatter.
SHORTEST = 2
MOST_STEPS = 3
# A step exceeds the scatter beside it by this factor.
CLEAR_STEP = 4.0
# A drift is believed where a line leaves so much less than levels do.
CLEAR_DRIFT = 0.7


@dataclass(frozen=True, eq=False)
class Course:
    """How a series went.

    Attributes:
        starts: Indices where a new level begins, ascending; empty without steps.
        sizes: (S,) root mean square size of each step.
        drift: Root mean square change from end to end of a steady drift; 0 without one.
        scatter: Root mean square distance of the values from their levels or drift.
    """

    starts: tuple[int, ...]
    sizes: tuple[float, ...]
    drift: float
    scatter: float


def describe(values: NDArray[np.floating], smallest: float) -> Course:
    """Split a series into levels, or find that it drifts.

    Binary segmentation: the step that leaves the least scatter is taken, then the parts are split
    again as long as steps stand out.

    Args:
        values: (N, D), N at least 2.
        smallest: Steps and drifts below this root mean square size are scatter.
    """
    starts = [0]
    while len(starts) <= MOST_STEPS:
        best = _best_split(values, starts, smallest)
        if best is None:
            break
        starts = sorted([*starts, best])
    levels = _levels(values, starts)
    scatter = _rms(values - levels)
    line = _line(values)
    drift = _rms(line[-1:] - line[:1])
    if drift >= smallest and _rms(values - line) < CLEAR_DRIFT * scatter:
        return Course((), (), drift, _rms(values - line))
    sizes = tuple(_rms((levels[i] - levels[i - 1])[None]) for i in starts[1:])
    return Course(tuple(starts[1:]), sizes, 0.0, scatter)


def _best_split(values: NDArray[np.floating], starts: list[int], smallest: float) -> int | None:
    """Return where the clearest further step is; None where none is clear."""
    best: tuple[float, int] | None = None
    for first, end in zip(starts, [*starts[1:], len(values)], strict=True):
        for split in range(first + SHORTEST, end - SHORTEST + 1):
            parts = values[first:split], values[split:end]
            middles = [np.median(part, axis=0) for part in parts]
            size = _rms((middles[1] - middles[0])[None])
            beside = max(
                float(np.median(np.linalg.norm(part - middle, axis=1)))
                for part, middle in zip(parts, middles, strict=True)
            ) / np.sqrt(values.shape[1])
            if size < smallest or size < CLEAR_STEP * beside:
                continue
            left = sum(float(np.abs(p - m).sum()) for p, m in zip(parts, middles, strict=True))
            won = float(np.abs(values[first:end] - np.median(values[first:end], axis=0)).sum())
            if best is None or won - left > best[0]:
                best = won - left, split
    return None if best is None else best[1]


def _levels(values: NDArray[np.floating], starts: list[int]) -> NDArray[np.float64]:
    levels = np.empty(values.shape)
    for first, end in zip(starts, [*starts[1:], len(values)], strict=True):
        levels[first:end] = np.median(values[first:end], axis=0)
    return levels


def _line(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (N, D) values on the line fitted to them."""
    time = np.linspace(-1.0, 1.0, len(values))
    design = np.stack([np.ones_like(time), time], axis=1)
    return np.asarray(design @ np.linalg.lstsq(design, values, rcond=None)[0])


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
