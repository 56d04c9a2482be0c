# SPDX-License-Identifier: Apache-2.0
"""The tables of the robustness benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.faults import IMAGES, MASKS
from benchmarks.reporting import markdown_table
from benchmarks.robustness_grid import FACTORS, MARK, SOUND, TRACK, Factor, GridRow
from benchmarks.trials import FAILED, REFUSED
from benchmarks.verdict_analysis import is_wrong

# A pose from a track is only a start for the refinement.
START_POSITION_MM, START_ROTATION_DEG = 100.0, 10.0
_ERRORS = ("mm: median", "p90", "deg: median", "p90")


def robustness_sections(rows: Sequence[GridRow]) -> list[str]:
    """Return paragraphs and tables: the most important first."""
    calibrations = [row for row in rows if row.route != TRACK]
    sections = [_accepted(calibrations), "### Summary", _SUMMARY, _summary(calibrations)]
    sections += ["### By robot", _by_robot(calibrations)]
    for factor in FACTORS:
        own = [row for row in rows if row.fault == factor.name]
        if own and factor.name != SOUND:
            table = _track_table if TRACK in factor.frames else _factor_table
            sections += [f"### {factor.name.capitalize()}", table(factor, rows)]
    # Once each, whatever the numbers in it.
    said = {re.sub(r"\d+", "", r.reasons[0]): r.reasons[0] for r in rows if r.status == REFUSED}
    refusals = sorted(said.values())
    if refusals:
        sections += ["### What was said where nothing could be done"]
        sections += ["\n".join(f"- {reason}" for reason in refusals)]
    failures = [f"- {row.trial}: {row.reasons[0]}" for row in rows if row.status == FAILED]
    return [*sections, "### Programming errors", "\n".join(failures)] if failures else sections


_SUMMARY = (
    "Poses within 2 cm and 2 deg, whatever the verdict, of those tried; then median and 90th "
    "percentile of the position error in mm. Columns: number of images, with masks or without."
)


def succeeded(row: GridRow) -> bool:
    """Whether there is a pose and it is within 2 cm and 2 deg."""
    return row.position_mm is not None and not is_wrong(row)


def _is_start(row: GridRow) -> bool:
    return (
        row.position_mm is not None
        and row.rotation_deg is not None
        and row.position_mm <= START_POSITION_MM
        and row.rotation_deg <= START_ROTATION_DEG
    )


def _percent(rows: Sequence[GridRow], holds: Callable[[GridRow], bool] = succeeded) -> str:
    return f"{100 * np.mean([holds(row) for row in rows]):.0f} %" if rows else "-"


def _quantiles(values: Sequence[float | None], digits: int) -> tuple[str, str]:
    """Return median and 90th percentile of those that there are."""
    known = [value for value in values if value is not None]
    if not known:
        return "-", "-"
    median, high = np.quantile(known, (0.5, 0.9))
    return f"{median:.{digits}f}", f"{high:.{digits}f}"


def _errors(rows: Sequence[GridRow]) -> tuple[str, ...]:
    position = _quantiles([row.position_mm for row in rows], 1)
    return (*position, *_quantiles([row.rotation_deg for row in rows], 2))


def _statuses(rows: Sequence[GridRow], statuses: Sequence[str]) -> list[str]:
    return [str(sum(row.status == status for row in rows) or "") for status in statuses]


def _accepted(rows: Sequence[GridRow]) -> str:
    """Return how many poses were accepted or warned of, and all of those that were wrong."""
    lines = []
    for status in ("accepted", "warning"):
        own = [row for row in rows if row.status == status]
        wrong = [row for row in own if is_wrong(row)]
        lines.append(
            f"Of {len(rows)} calibrations {len(own)} ended with verdict '{status}'; {len(wrong)} "
            f"of these were over 2 cm or 2 deg off."
        )
        lines += [
            f"- {row.trial} ({row.detail}): {row.position_mm:.0f} mm, {row.rotation_deg:.1f} deg; "
            f"{', '.join(row.causes)}"
            for row in wrong
        ]
    return "\n".join(lines)


def _of_level(
    factor: Factor, level: float, rows: Sequence[GridRow], route: str, frames: int
) -> list[GridRow]:
    """Return the rows of a cell; a sound recording stands for the sound level of all factors."""
    own, at = (SOUND, 0.0) if level == factor.sound else (factor.name, level)
    return [
        row
        for row in rows
        if (row.fault, row.strength, row.route, row.frames) == (own, at, route, frames)
    ]


def _summary(rows: Sequence[GridRow]) -> str:
    columns = [(route, frames) for route in (MASKS, IMAGES) for frames in (1, 5, 10, 30)]
    columns.remove((IMAGES, 1))
    header = ["", "level", *(f"{frames}, {route}" for route, frames in columns)]
    lines = []
    for factor in (one for one in FACTORS if one.name != MARK and TRACK not in one.frames):
        for level in factor.levels:
            cells = [_of_level(factor, level, rows, *column) for column in columns]
            # What all factors begin with is shown once.
            if level != factor.sound and any(cells):
                lines.append([factor.name, factor.written(level), *map(_summary_cell, cells)])
    return markdown_table(header, lines)


def _summary_cell(rows: Sequence[GridRow]) -> str:
    if not rows:
        return ""
    median, high = _quantiles([row.position_mm for row in rows], 0)
    right = f"{sum(map(succeeded, rows))}/{len(rows)}"
    return right if median == "-" else f"{right}: {median}, {high}"


def _by_robot(rows: Sequence[GridRow]) -> str:
    statuses = ("accepted", "warning", "rejected", REFUSED)
    header = ("route", "robot", "n", *statuses, "right", *_ERRORS, "accepted, wrong")
    lines = []
    for route, robot in sorted({(row.route, row.robot) for row in rows}):
        own = [row for row in rows if (row.route, row.robot) == (route, robot)]
        lines.append((route, robot, *_counted(own, statuses), _wrong(own)))
    return markdown_table(header, lines)


def _counted(rows: Sequence[GridRow], statuses: Sequence[str]) -> tuple[str, ...]:
    return (str(len(rows)), *_statuses(rows, statuses), _percent(rows), *_errors(rows))


def _wrong(rows: Sequence[GridRow]) -> str:
    return str(sum(row.status == "accepted" and is_wrong(row) for row in rows))


def _factor_table(factor: Factor, rows: Sequence[GridRow]) -> str:
    statuses = ("accepted", "warning", "rejected", REFUSED)
    header = (
        "route", "images", "level", "n", *statuses, "right", *_ERRORS, "accepted, wrong",
    )  # fmt: skip
    lines = []
    for route, counts in factor.frames.items():
        for frames in counts:
            for level in factor.levels:
                own = _of_level(factor, level, rows, route, frames)
                if own:
                    cell = (route, str(frames), factor.written(level))
                    lines.append((*cell, *_counted(own, statuses), _wrong(own)))
    return markdown_table(header, lines)


def _track_table(factor: Factor, rows: Sequence[GridRow]) -> str:
    statuses = ("converged", "unverified", "ill-conditioned", REFUSED)
    header = ("images", "level", "n", *statuses, "right", "good start", *_ERRORS)
    lines = []
    for frames in factor.frames[TRACK]:
        for level in factor.levels:
            own = _of_level(factor, level, rows, TRACK, frames)
            if own:
                counted = _counted(own, statuses)
                start = _percent(own, _is_start)
                cell = (str(frames), factor.written(level))
                lines.append((*cell, *counted[:6], start, *counted[6:]))
    return markdown_table(header, lines)
