# SPDX-License-Identifier: Apache-2.0
"""Check of extrinsics that you have from elsewhere, on a recording.

Usage: python examples/04_check_given_extrinsics.py RECORDING EXTRINSICS
"""

import sys
from pathlib import Path

from calib_all_ros import load_recording, load_robot
from calib_all_ros.checking.check import check_extrinsics
from calib_all_ros.results.extrinsics_file import read_extrinsics

path, extrinsics = sys.argv[1:]
recording = load_recording(path)
robot = load_robot(recording.urdf or "robot.urdf")
given = read_extrinsics(Path(extrinsics))
check = check_extrinsics(recording, robot, given.T_camera_base)

print(f"{given.source}: {check.status}")
for reason in check.reasons:
    print(f"  {reason}")
print(f"outline {check.contour_px:.2f} px off, at best {check.best_contour_px:.2f} px")
difference = check.difference
print(f"off by {difference.position_mm:.1f} mm and {difference.rotation_deg:.2f} deg")
