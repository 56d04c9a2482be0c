# SPDX-License-Identifier: Apache-2.0
"""Tables that go with a picture of trajectories."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from calib_all_ros.annotation.action_paths import PathErrors, SeenPath
from calib_all_ros.annotation.outputs import write_file

PICTURE_NAME = "trajectories.png"
POINTS_NAME = "points.csv"
ERRORS_NAME = "errors.csv"
POINT_COLUMNS = (
    "trajectory",
    "step",
    "time_s",
    "x_m",
    "y_m",
    "z_m",
    "u_px",
    "v_px",
    "depth_m",
    "in_image",
    "hidden_by",
)


def write_path_files(
    folder: Path, paths: Sequence[SeenPath], errors: Mapping[str, PathErrors | None]
) -> None:
    """Write every point of every way, and the errors of those that have any.

    Raises:
        AnnotationError: A file cannot be written.
    """
    write_file(folder / POINTS_NAME, _points(paths).encode())
    write_file(folder / ERRORS_NAME, _errors(errors).encode())


def _points(paths: Sequence[SeenPath]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(POINT_COLUMNS)
    for seen in paths:
        path = seen.path
        for step in range(len(path.times_s)):
            numbers = [path.times_s[step], *path.positions[step], *seen.pixels[step]]
            cells = [f"{n:.9g}" if np.isfinite(n) else "" for n in (*numbers, seen.depth_m[step])]
            end = [int(seen.in_image[step]), seen.hidden_by[step]]
            writer.writerow([path.name, step, *cells, *end])
    return text.getvalue()


def _errors(errors: Mapping[str, PathErrors | None]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trajectory", *(field.name for field in fields(PathErrors))])
    for name, found in errors.items():
        if found is not None:
            writer.writerow([name, *astuple(found)])
    return text.getvalue()
