# SPDX-License-Identifier: Apache-2.0
"""The pose of the camera from a bag: calibrate, read the verdict, save.

Usage: python examples/01_calibrate_a_bag.py BAG RESULT
"""

import sys

from calib_all_ros import calibrate, load_recording, load_robot

bag, result = sys.argv[1:]
recording = load_recording(bag)
robot = load_robot(recording.urdf or "robot.urdf")
calibration = calibrate(recording, robot).calibration

print(f"verdict: {calibration.verdict.status}")
for reason in calibration.verdict.reasons:
    print(f"  {reason}")
print(f"camera at {calibration.T_base_camera[:3, 3].round(4)} m in {robot.kinematics.base_frame}")
print(f"written to {calibration.save(result)}")
