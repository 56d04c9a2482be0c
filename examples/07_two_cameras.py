# SPDX-License-Identifier: Apache-2.0
"""Several cameras that watched the same robot: each by itself, then all together.

Usage: python examples/07_two_cameras.py BAG IMAGE_TOPIC IMAGE_TOPIC...
"""

import sys

from calib_all_ros import RecordingSource, calibrate, load_recording, load_robot
from calib_all_ros.camera_set import SeparateResult, refine_cameras

bag, *topics = sys.argv[1:]
separate = []
for topic in topics:
    recording = load_recording(RecordingSource(bag, image_topic=topic))
    robot = load_robot(recording.urdf or "robot.urdf")
    run = calibrate(recording, robot)
    separate.append(SeparateResult(topic, run.calibration, run.solution))
together = refine_cameras(separate)

print(f"verdict: {together.verdict.status}")
for topic, calibration in together.calibrations.items():
    print(f"{topic}: {calibration.verdict.status}, {calibration.T_base_camera[:3, 3].round(4)} m")
for pair in together.relative_poses:
    print(f"{pair.b} is at {pair.T_a_b[:3, 3].round(4)} m as seen from {pair.a}")
