# SPDX-License-Identifier: Apache-2.0
"""A start from one mark on the end-effector: a pixel of the first image, followed from there.

Usage: python examples/03_a_mark.py RECORDING LINK U V
"""

import sys

from calib_all_ros import Mark, calibrate, load_recording, load_robot

path, link, u, v = sys.argv[1:]
recording = load_recording(path)
robot = load_robot(recording.urdf or "robot.urdf")
run = calibrate(recording, robot, mark=Mark((float(u), float(v)), 0, link))

for choice in run.calibration.provenance.evidence:
    print(choice)
print(f"verdict: {run.calibration.verdict.status}")
print(run.calibration.T_base_camera.round(4))
