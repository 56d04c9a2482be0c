# SPDX-License-Identifier: Apache-2.0
"""A saved result as the estimate that it came from."""

from __future__ import annotations

import numpy as np

from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.solving.estimate import Estimate


def estimate_of(calibration: Calibration, kinematics: Kinematics) -> Estimate:
    """Return the pose of a result with all that was estimated beside it and moves its drawing."""
    offsets = None
    if calibration.joint_offsets is not None:
        known = calibration.joint_offsets
        offsets = np.array([known.get(name, 0.0) for name in kinematics.joint_names])
    return Estimate(
        calibration.T_camera_base,
        lag_s=(calibration.lag_ms or 0.0) / 1e3,
        focal_scale=calibration.focal_scale or 1.0,
        joint_offsets=offsets,
    )
