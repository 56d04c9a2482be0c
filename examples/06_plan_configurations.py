# SPDX-License-Identifier: Apache-2.0
"""Joint configurations to record, chosen for a camera whose pose is roughly known.

Usage: python examples/06_plan_configurations.py URDF X Y Z  (the camera, metres in the base frame)
"""

import sys
from pathlib import Path

from calib_all_ros import load_robot
from calib_all_ros.planning.camera_prior import CameraPrior, camera_with_view, looking_at
from calib_all_ros.planning.joint_ranges import joint_ranges
from calib_all_ros.planning.plan import PlanSettings, plan_configurations

urdf, *position = sys.argv[1:]
robot = load_robot(Path(urdf))
T_camera_base = looking_at([float(x) for x in position], [0.0, 0.0, 0.4])
prior = CameraPrior(camera_with_view(640, 480, hfov_deg=60.0), T_camera_base)
settings = PlanSettings(count=6, candidates=60, pose_samples=2)
plan = plan_configurations(robot, joint_ranges(robot.kinematics), prior, settings)

print(", ".join(plan.configurations.joint_names))
for number, configuration in enumerate(plan.configurations.positions, start=1):
    sigma_mm = 1e3 * plan.position_sigma_m[number]
    print(f"{configuration.round(3).tolist()} -> {sigma_mm:.1f} mm to be expected")
for note in plan.notes:
    print(note)
