# SPDX-License-Identifier: Apache-2.0
"""Simulate a recording, calibrate it, and compare the result with the truth.

Usage: python examples/01_calibrate_in_python.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

from calib_all_ros import Calibration, RecordingSource, calibrate, load_recording, load_robot
from calib_all_ros.geometry.se3 import difference
from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationSettings


def main(folder: Path) -> None:
    """Write the recording and its result into a folder."""
    # A recording with a known camera; yours would be a bag.
    small = SimulationSettings(frames=20, rate_hz=4.0, width=320, height=240, focal_px=280.0)
    simulate_to(folder / "recording", settings=small)

    # The recorded masks make this quick; leave `masks` out to calibrate from the images alone.
    recording = load_recording(RecordingSource(folder / "recording", masks="recorded"))
    robot = load_robot(recording.urdf or "robot.urdf")
    calibration = calibrate(recording, robot).calibration

    print(f"verdict: {calibration.verdict.status}")
    for reason in calibration.verdict.reasons:
        print(f"  {reason}")
    print(
        f"camera at {calibration.T_base_camera[:3, 3].round(4)} m in {robot.kinematics.base_frame}"
    )
    if recording.reference_T_camera_base is not None:
        degrees, metres = difference(calibration.T_camera_base, recording.reference_T_camera_base)
        print(f"error: {degrees:.3f} deg, {1000 * metres:.2f} mm")

    path = calibration.save(folder / "result")
    print(f"saved {path}: {Calibration.load(path).verdict.status}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(mkdtemp(prefix="calib_all-")))
