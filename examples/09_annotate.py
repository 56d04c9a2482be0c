# SPDX-License-Identifier: Apache-2.0
"""What the calibrated camera sees of the robot: depth, links and end-effector of every frame.

Usage: python examples/09_annotate.py RECORDING RESULT PICTURES
"""

import sys
from pathlib import Path

from calib_all_ros import Calibration, load_recording, load_robot
from calib_all_ros.annotation.frames import annotated_recording
from calib_all_ros.annotation.picture import AnnotationPainter
from calib_all_ros.pictures.overlay import save_png

path, result, pictures = sys.argv[1:]
recording = load_recording(path)
robot = load_robot(recording.urdf or "robot.urdf")
annotated = annotated_recording(recording, robot, Calibration.load(result))
painter = AnnotationPainter(annotated)
Path(pictures).mkdir()
for frame in annotated.annotations():
    u, v = frame.eef.pixel
    nearest_m = frame.depth_m[frame.depth_m > 0].min(initial=float("inf"))
    print(f"image {frame.index}: end-effector at {u:.0f}, {v:.0f}; robot from {nearest_m:.2f} m")
    picture = painter.picture(recording.images[frame.index], frame)
    save_png(Path(pictures) / f"{frame.index:06d}.png", picture)
