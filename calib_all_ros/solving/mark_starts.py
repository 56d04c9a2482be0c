# SPDX-License-Identifier: Apache-2.0
"""Camera poses from which the joint solve for pose, mark and lag begins."""

from __future__ import annotations

import numpy as np

from calib_all_ros.solving.mark_reprojection import MarkEstimate, MarkProblem
from calib_all_ros.solving.pnp import sqpnp

_TRACK_PARTS = ((0.0, 0.75), (0.0, 0.5), (0.25, 1.0), (0.5, 1.0))
"""First and last part of the track that a start uses, besides all of it."""


def mark_starts(
    problem: MarkProblem, offset_m: float, ransac_px: tuple[float, ...], fewest: int
) -> list[MarkEstimate]:
    """Return poses with the mark assumed at several places around the expected one.

    RANSAC resists single bad frames. Trackers rather lose the mark for good, and what they report
    from then on is a still point which agrees with itself; so parts of the track are tried, too.

    Args:
        problem: the track and the motion of its link.
        offset_m: the mark is assumed at the expected point and this far from it on each axis.
        ransac_px: reprojection thresholds of RANSAC, tried one by one on the whole track.
        fewest: shortest part of the track to be tried, in frames.
    """
    steps = offset_m * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    count = len(problem.pixels)
    parts = [slice(0, count)] + [
        slice(int(first * count), int(last * count))
        for first, last in _TRACK_PARTS
        if int(last * count) - int(first * count) >= fewest
    ]
    starts = []
    for step in steps:
        point = problem.expected_point + step
        points = problem.points_base(point, 0.0)
        found = [sqpnp(points[part], problem.pixels[part], problem.K, None) for part in parts]
        found += [sqpnp(points, problem.pixels, problem.K, limit) for limit in ransac_px]
        starts += [MarkEstimate(T, point, 0.0) for T in found if T is not None]
    return starts
