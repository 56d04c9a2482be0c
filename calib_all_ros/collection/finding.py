# SPDX-License-Identifier: Apache-2.0
"""Findings about a recording while it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from calib_all_ros.errors import CalibAllError

Level = Literal["error", "warn", "hint", "note"]
_ORDER: tuple[Level, ...] = ("error", "warn", "hint", "note")


class CollectionError(CalibAllError):
    """A recording cannot be begun, continued or finished."""


@dataclass(frozen=True)
class RecordingIssue:
    """One thing that people should know.

    Attributes:
        level: "error" if nothing can be calibrated from the recording as long as it stays so,
            "warn" if a part of it is lost, "hint" if something is missing yet, "note" for what does
            no harm.
        topic: What it is about, in few words; the same for sentences that replace each other.
        sentence: What is the matter and what to do.
    """

    level: Level
    topic: str
    sentence: str


def sorted_findings(findings: list[RecordingIssue]) -> tuple[RecordingIssue, ...]:
    """Return findings, the most important first."""
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.level)))
