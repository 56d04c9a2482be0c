# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.collection.coverage import MotionCoverage, end_effectors
from calib_all_ros.robot.description import Robot, load_kinematics
from calib_all_ros.robot.kinematics import Joint, Kinematics, Mimic

Z, X = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])


def offset(x: float = 0.0, z: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[0, 3], T[2, 3] = x, z
    return T


def planar_arm() -> Kinematics:
    """Two revolute joints about z, links of 1 m."""
    joints = [
        Joint("j1", "revolute", "base", "l1", offset(), Z, -3.0, 3.0),
        Joint("j2", "revolute", "l1", "l2", offset(1.0), Z, -3.0, 3.0),
        Joint("flange", "fixed", "l2", "tool", offset(1.0)),
    ]
    return Kinematics(["base", "l1", "l2", "tool"], joints)


def add(coverage: MotionCoverage, names: tuple[str, ...], rows: list[tuple[float, ...]]) -> None:
    for row in rows:
        coverage.add(dict(zip(names, row, strict=True)))


def test_angles_and_distances_are_those_of_geometry() -> None:
    coverage = MotionCoverage(planar_arm())
    add(coverage, ("j1", "j2"), [(0.0, 0.0), (np.pi / 2, 0.0), (np.pi / 4, 0.0)])
    done = coverage.figures().done
    assert done is not None
    # The last moving link counts, not the tool that is bolted to it.
    assert done.link == "l2"
    assert done.turn_deg == pytest.approx(90.0)
    assert done.second_turn_deg == pytest.approx(0.0, abs=1e-6)
    assert done.travel_m == pytest.approx(np.sqrt(2.0))


def test_possible_motion_tells_what_to_expect() -> None:
    possible = MotionCoverage(planar_arm())
    possible.add({"j1": 0.0, "j2": 0.0})
    motion = possible.figures().possible
    assert motion is not None
    assert motion.travel_m == pytest.approx(2.0, abs=0.02)
    assert motion.turn_deg == pytest.approx(180.0, abs=2.0)
    assert motion.second_turn_deg == pytest.approx(0.0, abs=1e-6)


def test_second_axis_is_measured_across_the_first(demo_robot: Robot) -> None:
    joints = [
        Joint("pan", "revolute", "base", "l1", offset(), Z, -3.0, 3.0),
        Joint("tilt", "revolute", "l1", "l2", offset(), X, -3.0, 3.0),
    ]
    coverage = MotionCoverage(Kinematics(["base", "l1", "l2"], joints))
    small, large = np.radians(15.0), np.radians(40.0)
    rows = [(a, 0.0) for a in (-large, large)] + [(0.0, b) for b in (-small, small)]
    add(coverage, ("pan", "tilt"), rows)
    done = coverage.figures().done
    assert done is not None
    assert done.turn_deg == pytest.approx(80.0)
    assert done.second_turn_deg == pytest.approx(30.0, abs=0.5)


def test_distinct_poses() -> None:
    coverage = MotionCoverage()
    add(coverage, ("a", "b"), [(0, 0), (0.05, 0.09), (0.2, 0), (0.2, 0.15), (0.01, 0.01)])
    assert coverage.figures().poses == 3
    assert coverage.figures().done is None


def test_missing_joints_spoil_nothing() -> None:
    coverage = MotionCoverage(planar_arm())
    assert coverage.add({"j1": 0.0, "j2": 0.0})
    assert coverage.add({"j1": 1.0, "j2": 0.0})
    # The publisher of j2 pauses.
    assert not coverage.add({"j1": 2.0})
    assert not coverage.add({})
    assert coverage.figures().poses == 2
    # Before j2 appeared, poses were not whole.
    coverage = MotionCoverage(planar_arm())
    coverage.add({"j1": 0.0})
    coverage.add({"j1": 1.0, "j2": 0.0})
    assert coverage.figures().poses == 1


def test_fingers_are_not_the_arm(demo_robot: Robot) -> None:
    coverage = MotionCoverage(demo_robot.kinematics)
    arm = {f"joint_{i}": 0.0 for i in range(1, 8)}
    for opening in (0.0, 0.2, 0.4):
        coverage.add({**arm, "finger_joint": opening})
    assert coverage.figures().poses == 1


def test_kinematics_may_come_later() -> None:
    coverage = MotionCoverage()
    add(coverage, ("j1", "j2"), [(0.0, 0.0), (1.0, 0.0)])
    coverage.kinematics = planar_arm()
    done = coverage.figures().done
    assert done is not None and done.turn_deg == pytest.approx(np.degrees(1.0))


@pytest.mark.parametrize(
    ("robot", "link"),
    [
        ("panda", "panda_hand"),
        ("ur5e", "robotiq_arg2f_base_link"),
        ("xarm7", "xarm_gripper_base_link"),
    ],
)
def test_end_effectors_of_real_robots(shared_data: Path, robot: str, link: str) -> None:
    (urdf,) = (shared_data / "robots" / robot).glob("*.urdf")
    assert end_effectors(load_kinematics(urdf.read_text("utf-8"))) == (link,)


def test_two_arms_have_two_ends_and_the_moving_one_counts() -> None:
    joints = [Joint("torso", "prismatic", "base", "torso", offset(), Z, 0.0, 0.3)]
    links = ["base", "torso"]
    for side in ("l", "r"):
        parent = "torso"
        for i in range(3):
            child = f"{side}{i}"
            joints.append(Joint(child, "revolute", parent, child, offset(0.5), Z, -3.0, 3.0))
            links.append(child)
            parent = child
        for finger, mimic in ((f"{side}f1", None), (f"{side}f2", Mimic(f"{side}f1"))):
            joints.append(Joint(finger, "prismatic", parent, finger, offset(), Z, 0.0, 0.04, mimic))
            links.append(finger)
    kinematics = Kinematics(links, joints)
    assert end_effectors(kinematics) == ("l2", "r2")
    coverage = MotionCoverage(kinematics)
    still = dict.fromkeys(kinematics.joint_names, 0.0)
    coverage.add(still)
    coverage.add({**still, "r0": 1.0})
    done = coverage.figures().done
    assert done is not None and done.link == "r2"
