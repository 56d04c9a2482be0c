# SPDX-License-Identifier: Apache-2.0
"""Answers of commands: for people a table of labelled lines, for machines one JSON object."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.commands.options import ReportOptions
from calib_all_ros.geometry import se3
from calib_all_ros.results.yaml_text import plain

Rows = list[tuple[str, str]]


def answer(options: ReportOptions, document: Mapping[str, Any], text: str) -> None:
    """Print what a command found, as it is asked for."""
    if options.json:
        print(json.dumps(finite(document), allow_nan=False))
    elif not options.quiet:
        print(text)


def finite(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of plain values, None for NaN and infinity, which JSON does not know."""
    return dict(_finite(plain(document)))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: Rows, label_width: int = 14) -> str:
    """Return the rows as text."""
    return "\n".join(f"{label:<{label_width}} {text}".rstrip() for label, text in rows)


def listed(label: str, lines: Sequence[object], bullet: str = "") -> Rows:
    """Return one row for each line, the first one labelled."""
    return [(label if i == 0 else "", f"{bullet}{line}") for i, line in enumerate(lines)]


def verdict_rows(status: str, reasons: Sequence[str]) -> Rows:
    """Return a verdict and what it rests on."""
    return [("Verdict", status.upper()), *listed("", reasons, "- ")]


def pose_rows(T_base_camera: NDArray[np.float64]) -> Rows:
    """Return position and rotation of a (4, 4) pose."""
    position, quaternion = T_base_camera[:3, 3], se3.quaternion_xyzw(T_base_camera)
    return [
        ("  position", "  ".join(f"{value:+.5f}" for value in position) + "  m"),
        ("  quaternion", "  ".join(f"{value:+.6f}" for value in quaternion) + "  (x, y, z, w)"),
    ]
