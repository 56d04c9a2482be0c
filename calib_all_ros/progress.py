# SPDX-License-Identifier: Apache-2.0
"""Progress of long work: the name of a stage and its finished share."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Takes the name of a stage and its finished share, between 0 and 1."""


def silent(stage: str, share: float) -> None:
    """Report to nobody."""
