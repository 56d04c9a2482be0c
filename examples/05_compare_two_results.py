# SPDX-License-Identifier: Apache-2.0
"""Comparison of two results: how far apart they are, and whether chance explains it.

Usage: python examples/05_compare_two_results.py FIRST SECOND
"""

import sys

from calib_all_ros import Calibration
from calib_all_ros.solving.pose_errors import compatibility, pose_difference

first, second = (Calibration.load(path) for path in sys.argv[1:])
difference = pose_difference(first.T_camera_base, second.T_camera_base)
print(f"{difference.position_mm:.2f} mm and {difference.rotation_deg:.3f} deg apart")
if first.covariance is not None and second.covariance is not None:
    weighed = compatibility(difference, first.covariance.matrix + second.covariance.matrix)
    print(f"p = {weighed.p_value:.2g}: how often chance alone sets such results as far apart")
