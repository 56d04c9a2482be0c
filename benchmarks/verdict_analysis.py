# SPDX-License-Identifier: Apache-2.0
"""What rows of trials say about a verdict: is it right, is the cause, is the covariance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import get_args

import numpy as np
from scipy.stats import chi2

from benchmarks.faults import CLEAN, HARMLESS
from benchmarks.trials import FAILED, REFUSED, Row
from calib_all_ros.results import records

WRONG_POSITION_MM, WRONG_ROTATION_DEG = 20.0, 2.0
RIGHT_POSITION_MM, RIGHT_ROTATION_DEG = 10.0, 1.0
COVERED_SHARE = 0.9
USABLE = ("accepted", "warning")
NO_CAUSE = "none named"


def is_wrong(row: Row) -> bool:
    """Whether using the pose would do harm: over 2 cm or 2 deg off, or no pose can be right."""
    if row.status in (REFUSED, FAILED):
        return False
    if row.position_mm is None or row.rotation_deg is None:
        return True
    return row.position_mm > WRONG_POSITION_MM or row.rotation_deg > WRONG_ROTATION_DEG


def is_right(row: Row) -> bool:
    """Whether the pose is within 1 cm and 1 deg."""
    return (
        row.position_mm is not None
        and row.rotation_deg is not None
        and row.position_mm < RIGHT_POSITION_MM
        and row.rotation_deg < RIGHT_ROTATION_DEG
    )


def is_rejected(row: Row) -> bool:
    """Whether no pose was given out for use."""
    return row.status in ("rejected", REFUSED, FAILED)


@dataclass(frozen=True)
class ConfusionTable:
    """Which cause is named first where a fault was injected and the pose not accepted.

    Attributes:
        causes: (C,) names of the columns.
        counts: For each injected cause how often each column was named first.
        refused: For each injected cause, how often `calibrate` refused with a sentence only.
        anywhere: For each injected cause, how often it was among the causes named.
    """

    causes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    refused: dict[str, int]
    anywhere: dict[str, int]

    def share(self, cause: str) -> float:
        """Return the share of the trials of one cause in which it was named first."""
        counts = self.counts[cause]
        return counts[self.causes.index(cause)] / sum(counts) if sum(counts) else float("nan")

    @property
    def share_of_all(self) -> float:
        """The share over all trials."""
        total = sum(sum(counts) for counts in self.counts.values())
        right = sum(counts[self.causes.index(cause)] for cause, counts in self.counts.items())
        return right / total if total else float("nan")


def confusion(
    rows: Iterable[Row], statuses: Sequence[str] = ("warning", "rejected")
) -> ConfusionTable:
    """Count causes named first, in trials with a fault whose verdict is one of the statuses."""
    known = get_args(getattr(records, "Cause", None)) or tuple(
        sorted({row.cause for row in rows} - {CLEAN, HARMLESS})
    )
    causes = (*known, NO_CAUSE)
    faulty = [row for row in rows if row.cause not in (CLEAN, HARMLESS)]
    counts, refused, anywhere = {}, {}, {}
    for cause in (name for name in known if any(row.cause == name for row in faulty)):
        own = [row for row in faulty if row.cause == cause]
        judged = [
            row for row in own if row.status in statuses or (row.status == REFUSED and row.causes)
        ]
        named = Counter(row.causes[0] if row.causes else NO_CAUSE for row in judged)
        counts[cause] = tuple(named[name] for name in causes)
        refused[cause] = sum(row.status == REFUSED and not row.causes for row in own)
        anywhere[cause] = sum(cause in row.causes for row in judged)
    return ConfusionTable(causes, counts, refused, anywhere)


@dataclass(frozen=True)
class Coverage:
    """How well covariances foretell errors, over some trials.

    Attributes:
        trials: How many.
        covered: Share of them whose error lies inside of the region that is to hold 90 %.
        scale: Factor on the covariance that makes it 90 %.
    """

    trials: int
    covered: float
    scale: float


def coverage(rows: Iterable[Row], scale: float = 1.0) -> Coverage:
    """Compare errors with covariances: their squared Mahalanobis distance is chi-square, 6.

    Args:
        rows: The trials; those without a pose or a covariance are passed over.
        scale: Factor on the covariances before they are compared.
    """
    distances = np.array([d for row in rows if (d := _mahalanobis(row)) is not None]) / scale
    if len(distances) == 0:
        return Coverage(0, float("nan"), float("nan"))
    limit = float(chi2.ppf(COVERED_SHARE, 6))
    covered = float((distances <= limit).mean())
    return Coverage(len(distances), covered, float(np.quantile(distances, COVERED_SHARE)) / limit)


def _mahalanobis(row: Row) -> float | None:
    """Return the squared distance, infinite for a singular covariance, None without any."""
    if row.pose_error is None or row.covariance is None:
        return None
    error = np.array(row.pose_error)
    try:
        return float(error @ np.linalg.solve(np.array(row.covariance), error))
    except np.linalg.LinAlgError:
        return float("inf")


def in_calibration_half(row: Row) -> bool:
    """Whether a row may be used to find the covariance's scale; the others test it."""
    return row.scene_seed % 2 == 0


@dataclass(frozen=True)
class StrengthSummary:
    """What became of one fault at one strength in one route.

    Attributes:
        fault: Name of the fault.
        strength: Its strength.
        route: The route.
        counts: How often each status.
        wrong_accepted: Accepted although the pose was wrong.
        median_mm, largest_mm: Position errors of all trials with a pose.
        median_deg, largest_deg: Rotation errors.
        named: The cause named first most often, with its count; empty where none was.
    """

    fault: str
    strength: float
    route: str
    counts: dict[str, int]
    wrong_accepted: int
    median_mm: float
    largest_mm: float
    median_deg: float
    largest_deg: float
    named: str


def by_strength(rows: Iterable[Row]) -> list[StrengthSummary]:
    """Summarise rows by fault, route and strength, in the order of growing strength."""

    def key(row: Row) -> tuple[str, str, str, float]:
        return row.cause, row.fault, row.route, abs(row.strength)

    summaries = []
    for (_, fault, route, _), group in groupby(sorted(rows, key=key), key):
        own = list(group)
        position = [row.position_mm for row in own if row.position_mm is not None] or [np.nan]
        rotation = [row.rotation_deg for row in own if row.rotation_deg is not None] or [np.nan]
        named = Counter(row.causes[0] for row in own if row.causes and row.status != "accepted")
        summaries.append(
            StrengthSummary(
                fault,
                own[0].strength,
                route,
                dict(Counter(row.status for row in own)),
                sum(row.status == "accepted" and is_wrong(row) for row in own),
                float(np.median(position)),
                float(np.max(position)),
                float(np.median(rotation)),
                float(np.max(rotation)),
                ", ".join(f"{name} {count}" for name, count in named.most_common(2)),
            )
        )
    return summaries
