# SPDX-License-Identifier: Apache-2.0
"""The tables of the verdict's benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.faults import CLEAN, HARMLESS
from benchmarks.reporting import markdown_table
from benchmarks.trials import FAILED, REFUSED, Row
from benchmarks.verdict_analysis import (
    USABLE,
    ConfusionTable,
    by_strength,
    confusion,
    coverage,
    in_calibration_half,
    is_rejected,
    is_right,
    is_wrong,
)


def report_sections(rows: Sequence[Row]) -> list[str]:
    """Return paragraphs and tables on all rows, then on each fault and strength."""
    routes = sorted({row.route for row in rows})
    sections = [_totals(rows, routes)]
    sections += ["### Wrong poses that were accepted", *_false_accepts(rows)]
    sections += ["### Right poses that were rejected", *_false_rejects(rows, routes)]
    for route in routes:
        own = [row for row in rows if row.route == route]
        sections += [f"### Cause named first, {route}", _confusion(confusion(own))]
    sections += ["### Covariance against errors", _coverage(rows, routes)]
    sections += ["### Each fault at each strength", _by_strength(rows)]
    failures = [f"- {row.trial}: {row.reasons[0]}" for row in rows if row.status == FAILED]
    if failures:
        sections += ["### Programming errors", "\n".join(failures)]
    return sections


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" + (f" ({100 * part / whole:.1f} %)" if whole else "")


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _totals(rows: Sequence[Row], routes: Sequence[str]) -> str:
    header = ("route", "trials", "accepted", "warning", "rejected", REFUSED, FAILED, "median s")
    lines = []
    for route in routes:
        own = [row for row in rows if row.route == route]
        statuses = [
            str(sum(row.status == status for row in own))
            for status in (*USABLE, "rejected", REFUSED, FAILED)
        ]
        seconds = sorted(row.seconds for row in own)[len(own) // 2]
        lines.append((route, str(len(own)), *statuses, f"{seconds:.1f}"))
    return markdown_table(header, lines)


def _false_accepts(rows: Sequence[Row]) -> list[str]:
    """Return counts of, and all, poses given out for use that were over 2 cm or 2 deg off."""
    sections = []
    for status in USABLE:
        own = [row for row in rows if row.status == status]
        wrong = [row for row in own if is_wrong(row)]
        sections.append(
            f"With verdict '{status}', over 2 cm or 2 deg off: {_share(len(wrong), len(own))}, of "
            f"{len(rows)} trials."
        )
        if wrong:
            table = [
                (row.trial, row.detail, _error(row), ", ".join(row.causes))
                for row in sorted(wrong, key=lambda row: row.trial)
            ]
            sections.append(markdown_table(("trial", "", "error", "warned of"), table))
    return sections


def _error(row: Row) -> str:
    if row.position_mm is None or row.rotation_deg is None:
        return "no pose is right"
    return f"{row.position_mm:.0f} mm, {row.rotation_deg:.1f} deg"


def _false_rejects(rows: Sequence[Row], routes: Sequence[str]) -> list[str]:
    """Return how often poses within 1 cm and 1 deg were rejected or warned of, and which."""
    header = ("route", "injected", "trials", "pose right", "rejected though right", "warned of")
    lines, listed = [], []
    groups = {
        "nothing": (CLEAN,),
        "something harmless": (HARMLESS,),
        "a fault that did no harm": tuple({row.cause for row in rows} - {CLEAN, HARMLESS}),
    }
    for route in routes:
        for name, causes in groups.items():
            own = [row for row in rows if row.route == route and row.cause in causes]
            right = [row for row in own if is_right(row)]
            rejected = [row for row in right if is_rejected(row)]
            warned = sum(row.status == "warning" for row in right)
            lines.append(
                (
                    route,
                    name,
                    str(len(own)),
                    str(len(right)),
                    _share(len(rejected), len(right)),
                    _share(warned, len(right)),
                )
            )
            if name != "a fault that did no harm":
                refused = [row for row in own if row.status in (REFUSED, FAILED)]
                listed += [f"- {row.trial}: {'; '.join(row.reasons)}" for row in rejected + refused]
    sections = [markdown_table(header, lines)]
    return [*sections, "\n".join(listed)] if listed else sections


def _confusion(table: ConfusionTable) -> str:
    used = [
        name
        for i, name in enumerate(table.causes)
        if name in table.counts or any(counts[i] for counts in table.counts.values())
    ]
    header = ("injected", *used, "refused, no cause", "named first", "named at all")
    lines = []
    for cause, counts in table.counts.items():
        cells = [str(counts[table.causes.index(name)] or "") for name in used]
        total = sum(counts)
        lines.append(
            (
                cause,
                *cells,
                str(table.refused[cause] or ""),
                _percent(table.share(cause)),
                _percent(table.anywhere[cause] / total if total else float("nan")),
            )
        )
    total = sum(sum(counts) for counts in table.counts.values())
    anywhere = sum(table.anywhere.values()) / total if total else float("nan")
    lines.append(("all", *[""] * (len(used) + 1), _percent(table.share_of_all), _percent(anywhere)))
    return markdown_table(header, lines)


def _coverage(rows: Sequence[Row], routes: Sequence[str]) -> str:
    header = (
        "route", "verdict", "calibration half", "inside the 90 % region", "scale for 90 %",
        "test half", "inside the 90 % region", "with that scale",
    )  # fmt: skip
    lines = []
    for route in routes:
        for name, statuses in (("accepted", USABLE[:1]), ("warning", USABLE[1:]), ("both", USABLE)):
            own = [row for row in rows if row.route == route and row.status in statuses]
            fitted = coverage(row for row in own if in_calibration_half(row))
            # The test half has no say in the scale.
            test = [row for row in own if not in_calibration_half(row)]
            tested = coverage(test)
            scaled = coverage(test, fitted.scale) if fitted.trials else tested
            lines.append(
                (
                    route,
                    name,
                    str(fitted.trials),
                    _percent(fitted.covered),
                    f"{fitted.scale:.2f}",
                    str(tested.trials),
                    _percent(tested.covered),
                    _percent(scaled.covered) if fitted.trials else "-",
                )
            )
    return markdown_table(header, lines)


def _by_strength(rows: Sequence[Row]) -> str:
    header = (
        "fault", "route", "strength", "n", "accepted", "warning", "rejected", "refused",
        "wrong accepted", "mm: median", "largest", "deg: median", "largest", "named first",
    )  # fmt: skip
    lines = []
    for summary in by_strength(rows):
        statuses = [
            str(summary.counts.get(status, "")) for status in (*USABLE, "rejected", REFUSED)
        ]
        lines.append(
            (
                summary.fault,
                summary.route,
                f"{summary.strength:g}",
                str(sum(summary.counts.values())),
                *statuses,
                str(summary.wrong_accepted or ""),
                f"{summary.median_mm:.1f}",
                f"{summary.largest_mm:.1f}",
                f"{summary.median_deg:.2f}",
                f"{summary.largest_deg:.2f}",
                summary.named,
            )
        )
    return markdown_table(header, lines)
