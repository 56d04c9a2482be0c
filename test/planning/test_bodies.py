# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.planning.bodies import SelfDistance, bodies_of, lowest
from calib_all_ros.planning.joint_ranges import joint_ranges
from calib_all_ros.robot.description import Robot


def test_links_that_move_together_are_one_body(crane: Robot) -> None:
    bodies = bodies_of(crane, joint_ranges(crane.kinematics))
    assert [body.names for body in bodies] == [
        ("world", "plate"),
        ("rail",),
        ("arm",),
        ("fore", "left", "right"),
    ]
    assert [body.moves for body in bodies] == [False, True, True, True]


def test_fingers_that_move_are_bodies_of_their_own(crane: Robot) -> None:
    bodies = bodies_of(crane, joint_ranges(crane.kinematics, moved=["grip"]))
    assert [body.names for body in bodies if body.moves] == [("left",), ("right",)]


def test_lowest_point(crane: Robot) -> None:
    """The forearm of 0.3 m hangs on an elbow at 0.51 m, fingers 45 mm beyond its end."""
    ranges = joint_ranges(crane.kinematics)
    (fore,) = [body for body in bodies_of(crane, ranges) if "fore" in body.names]
    T = crane.kinematics.forward([[0, 0, np.pi, 0.01], [0, 0, 0.5 * np.pi, 0.01]])
    np.testing.assert_allclose(lowest(fore, T), [0.51 - 0.345, 0.51 - 0.02], atol=1e-6)


def test_forearm_that_hits_the_rail_is_too_near(crane: Robot) -> None:
    ranges = joint_ranges(crane.kinematics)
    check = SelfDistance(crane, bodies_of(crane, ranges), ranges.home[None], 0.03)
    free, folded = [0, 0, 1.5, 0.01], [0, 0, np.pi - 0.02, 0.01]
    near = check.too_near(crane.kinematics.forward([free, ranges.home, folded]))
    # Folded, the fingers end 0.165 m above the base, 55 mm above the rail: nothing touches.
    assert near.tolist() == [False, False, False]
    wider = SelfDistance(crane, bodies_of(crane, ranges), ranges.home[None], 0.09)
    near = wider.too_near(crane.kinematics.forward([free, ranges.home, folded]))
    assert near.tolist() == [False, False, True]


def test_what_is_near_at_home_may_come_half_as_near(crane: Robot) -> None:
    """With the fold as reference the rail is known to be 55 mm away."""
    ranges = joint_ranges(crane.kinematics)
    folded = np.array([[0.0, 0.0, np.pi, 0.01]])
    check = SelfDistance(crane, bodies_of(crane, ranges), folded, 0.09)
    assert not check.too_near(crane.kinematics.forward(folded)).any()


def test_points_lie_on_the_bodies(crane: Robot) -> None:
    for body in bodies_of(crane, joint_ranges(crane.kinematics)):
        low, high = body.vertices.min(axis=0), body.vertices.max(axis=0)
        assert (body.points >= low - 0.011).all()
        assert (body.points <= high + 0.011).all()
        assert len(body.points) >= 8
        assert np.linalg.norm(body.points.max(axis=0) - high) == pytest.approx(0.0, abs=0.05)
