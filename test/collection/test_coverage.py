# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.collection.coverage import Coverage, CoverageGoals, ImageLook
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.kinematics import Joint, Kinematics

Motion = Callable[[float], NDArray[np.float64]]
NAMES = tuple(f"joint_{i}" for i in range(1, 8))
HOME = np.array([0.0, -0.6, 0.0, 1.2, 0.0, 0.8, 0.0])


def look(seconds: float, *, reach: float = 0.2, sharpness: float = 1.0) -> ImageLook:
    """An image in which a bar has swept this share of the width in 10 s."""
    small = np.zeros((72, 96), np.float32)
    left = int(96 * reach * min(seconds, 10.0) / 10.0)
    small[:, left : left + 3] = 200.0
    return ImageLook((640, 480), sharpness, small)


def swing(*joints: int, amplitude: float = 0.8) -> Motion:
    """Move some joints (from 1) about the home pose, each at a rate of its own."""

    def motion(seconds: float) -> NDArray[np.float64]:
        q = HOME.copy()
        for joint in joints:
            q[joint - 1] += amplitude * np.sin((0.7 + 0.13 * joint) * seconds)
        return q

    return motion


def collect(
    robot: Robot | None, motion: Motion, duration_s: float = 12.0, **looks: float
) -> Coverage:
    coverage = Coverage(CoverageGoals(), robot.kinematics if robot else None)
    for seconds in np.arange(0.0, duration_s, 0.3):
        if coverage.add_image(look(seconds, **looks)):
            coverage.add_pose(dict(zip(NAMES, motion(seconds).tolist(), strict=True)))
    return coverage


def topics(coverage: Coverage) -> set[str]:
    assert all(finding.level == "hint" for finding in coverage.findings())
    return {finding.topic for finding in coverage.findings()}


def said(coverage: Coverage) -> str:
    return " | ".join(finding.sentence for finding in coverage.findings())


def test_varied_motion_is_enough(demo_robot: Robot) -> None:
    assert topics(collect(demo_robot, swing(1, 2, 3, 4, 5, 6, 7))) == set()


def test_too_short(demo_robot: Robot) -> None:
    coverage = collect(demo_robot, swing(1, 2, 3, 4, 5, 6, 7), 2.0)
    assert "poses" in topics(coverage)
    assert "7 different poses are recorded, 16 are wanted" in said(coverage)


def test_small_motion(demo_robot: Robot) -> None:
    coverage = collect(demo_robot, swing(1, 2, 3, 4, 5, 6, 7, amplitude=0.15))
    assert {"travel", "turn"} <= topics(coverage)
    assert "move the arm farther: the end-effector (hand) has travelled over" in said(coverage)
    assert "rotate the wrist more: the end-effector (hand) has turned by" in said(coverage)


def test_last_joint_alone_is_nothing(demo_robot: Robot) -> None:
    # It turns by 90 degrees, but on the spot.
    coverage = collect(demo_robot, swing(7, amplitude=1.2))
    assert "travel" in topics(coverage)
    assert "travelled over 0 cm" in said(coverage)


def test_wrist_alone(demo_robot: Robot) -> None:
    assert "travel" in topics(collect(demo_robot, swing(5, 6, 7)))


def test_base_alone_lacks_a_second_axis(demo_robot: Robot) -> None:
    stretched = HOME + np.array([0.0, 1.4, 0.0, -0.8, 0.0, 0.0, 0.0])

    def pan(seconds: float) -> NDArray[np.float64]:
        return stretched + (0.36 * seconds - 2.0) * np.eye(7)[0]

    coverage = collect(demo_robot, pan)
    assert topics(coverage) == {"turn"}
    assert "tilt the wrist about another axis, too" in said(coverage)
    assert "turned by 0 deg across its main axis, 20 are wanted" in said(coverage)


def test_robot_out_of_view(demo_robot: Robot) -> None:
    coverage = collect(demo_robot, swing(1, 2, 3, 4, 5, 6, 7), reach=0.0)
    assert topics(coverage) == {"image"}
    assert "move to other parts of the image: 0 % of it have changed, 4 % are wanted" in said(
        coverage
    )


def test_standing_still(demo_robot: Robot) -> None:
    coverage = collect(demo_robot, lambda seconds: HOME, reach=0.0)
    assert "1 different poses are recorded" in said(coverage)
    assert {"poses", "travel", "turn"} <= topics(coverage)


def test_blurred_images(demo_robot: Robot) -> None:
    coverage = Coverage(CoverageGoals(), demo_robot.kinematics)
    motion = swing(1, 2, 3, 4, 5, 6, 7)
    for i in range(60):
        if coverage.add_image(look(0.3 * i, sharpness=0.1 if i % 10 < 7 and i > 2 else 1.0)):
            coverage.add_pose(dict(zip(NAMES, motion(0.3 * i).tolist(), strict=True)))
    assert topics(coverage) == {"sharpness"}
    assert "39 of the 60 images looked at are blurred" in said(coverage)
    assert "move slower" in said(coverage)


def test_without_kinematics_poses_and_image_decide() -> None:
    assert topics(collect(None, swing(1, 2))) == set()
    assert topics(collect(None, swing(1, 2), 2.0, reach=0.0)) == {"poses", "image"}


def test_goals_are_what_the_robot_can_do() -> None:
    """A robot that cannot tilt is not asked to."""

    def joint(name: str, parent: str, child: str) -> Joint:
        T = np.eye(4)
        T[0, 3] = 0.4
        return Joint(name, "revolute", parent, child, T, np.array([0.0, 0.0, 1.0]), -2.5, 2.5)

    scara = Kinematics(["b", "u", "v"], [joint("a", "b", "u"), joint("c", "u", "v")])
    coverage = Coverage(CoverageGoals(), scara)
    for seconds in np.arange(0.0, 12.0, 0.3):
        coverage.add_image(look(seconds))
        coverage.add_pose({"a": np.sin(seconds), "c": 1.5 * np.cos(1.7 * seconds)})
    assert topics(coverage) == set()


@pytest.mark.parametrize("poses", [4, 30])
def test_goals_can_be_set(demo_robot: Robot, poses: int) -> None:
    coverage = Coverage(CoverageGoals(poses=poses), demo_robot.kinematics)
    motion = swing(1, 2, 3, 4, 5, 6, 7)
    for seconds in np.arange(0.0, 6.0, 0.3):
        coverage.add_image(look(seconds))
        coverage.add_pose(dict(zip(NAMES, motion(seconds).tolist(), strict=True)))
    assert ("poses" in topics(coverage)) == (poses == 30)
