# SPDX-License-Identifier: Apache-2.0
"""Masks of the robot from your own segmentation, and settings.

MASKS is a folder with an image for each image of the recording, not zero where the robot is.

Usage: python examples/02_own_masks.py RECORDING MASKS RESULT
"""

import sys

from calib_all_ros import RecordingSource, Settings, calibrate, load_recording, load_robot

path, masks, result = sys.argv[1:]
recording = load_recording(RecordingSource(path, masks=masks))
robot = load_robot(recording.urdf or "robot.urdf")
# What the configuration file of the command line holds; what is not named keeps its default.
settings = Settings.from_mapping({"seed": 1, "frames": {"count": 12}})
run = calibrate(recording, robot, settings=settings)

print(f"verdict: {run.calibration.verdict.status}")
for frame in run.calibration.frames:
    print(f"image {frame.index}: overlap {frame.iou:.3f}, outline {frame.contour_px:.2f} px off")
run.calibration.save(result)
