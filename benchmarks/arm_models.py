# SPDX-License-Identifier: Apache-2.0
"""The robots that trials are made with, and what their parts are called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.scenes import SHARED_DATA
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot


@dataclass(frozen=True)
class ArmModel:
    """A robot to measure with.

    Attributes:
        urdf: Its description.
        arm_joints: The arm's joints from base to flange, without those of the gripper.
        gripper_links: Links of the gripper that have a surface, from the hand to the fingers.
    """

    urdf: Path
    arm_joints: tuple[str, ...]
    gripper_links: tuple[str, ...]


_ROBOTS = SHARED_DATA / "robots"
_UR_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
_ROBOTIQ = ("outer_knuckle", "outer_finger", "inner_finger", "inner_finger_pad", "inner_knuckle")
_XARM_GRIPPER = ("outer_knuckle", "finger", "inner_knuckle")
SHARED_ARMS = {
    "panda": ArmModel(
        _ROBOTS / "panda" / "panda.urdf",
        tuple(f"panda_joint{n}" for n in range(1, 8)),
        ("panda_hand", "panda_leftfinger", "panda_rightfinger"),
    ),
    "ur5e": ArmModel(
        _ROBOTS / "ur5e" / "ur5e_robotiq85.urdf",
        tuple(f"{name}_joint" for name in _UR_JOINTS),
        (
            "robotiq_arg2f_base_link",
            *(f"{side}_{part}" for side in ("left", "right") for part in _ROBOTIQ),
        ),
    ),
    "xarm7": ArmModel(
        _ROBOTS / "xarm7" / "xarm7_gripper.urdf",
        tuple(f"joint{n}" for n in range(1, 8)),
        (
            "xarm_gripper_base_link",
            *(f"{side}_{part}" for side in ("left", "right") for part in _XARM_GRIPPER),
        ),
    ),
}
DEMO_ARMS = {
    "demo": ArmModel(
        demo_urdf_path(),
        tuple(f"joint_{n}" for n in range(1, 8)),
        ("hand", "left_finger", "right_finger"),
    )
}


def arm_models() -> dict[str, ArmModel]:
    """Return the robots to measure with by name: the demo arm where the shared ones are absent."""
    return SHARED_ARMS if _ROBOTS.is_dir() else DEMO_ARMS


def arm_model(name: str) -> ArmModel:
    """Return one of the robots."""
    return {**SHARED_ARMS, **DEMO_ARMS}[name]


@cache
def load_arm(name: str) -> Robot:
    """Load one of the robots; kept, since its meshes take a while."""
    model = arm_model(name)
    return load_robot(model.urdf, mesh_paths=[model.urdf.parent])
