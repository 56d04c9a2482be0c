# SPDX-License-Identifier: Apache-2.0
"""Evidence: what was seen in the images that a pose was fitted to, for pictures of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.marks.finder import Vote
from calib_all_ros.solving.mark import MarkTrack
from calib_all_ros.solving.observations import View
from calib_all_ros.solving.pipeline import TracePoint
from calib_all_ros.solving.timing import LagCurve

__all__ = ["Evidence", "LagCurve", "TracePoint"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was seen in the images that a pose was fitted to, frame by frame.

    Attributes:
        view: How the recording's images become those that masks and track refer to.
        masks: (M, H, W) the robot as seen in the images of `Calibration.frames`, recorded or found
            in them.
        track: Where the mark was followed to, None without a mark.
        mark_summary: One sentence on the mark, "" without one.
        timing: Agreement over the lag, None where it was not examined.
        trace: The estimates visited on the way to the result, in order.
        mark_votes: What each reference mark says about the first image; empty where the mark was
            given or none was looked for.
    """

    view: View
    masks: NDArray[np.bool_]
    track: MarkTrack | None
    mark_summary: str
    timing: LagCurve | None = None
    trace: tuple[TracePoint, ...] = ()
    mark_votes: tuple[Vote, ...] = ()
