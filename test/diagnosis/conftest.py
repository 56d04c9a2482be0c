# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.pipeline import PoseResult, Start
from calib_all_ros.solving.search import StartAgreement


@pytest.fixture
def good() -> PoseResult:
    """What a solve finds in six images that nothing is wrong with."""
    count = 6
    return PoseResult(
        start=Start(np.eye(4), "search"),
        estimate=Estimate(np.eye(4)),
        parameters=Parameters(),
        used=np.ones(count, bool),
        iou=np.full(count, 0.96),
        contour_px=np.full(count, 0.5),
        own_lag_s=np.full(count, np.nan),
        masks=np.zeros((count, 1, 1), bool),
        systems=None,
        starts=StartAgreement(6, 4, 0.5),
        quality={"outline_share": 0.95, "held_out_outline_share": 0.94},
    )
