# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.collection.stop_and_go import (
    StopAndGo,
    StopAndGoSettings,
    read_configurations,
    write_configurations,
)
from calib_all_ros.planning.camera_prior import CameraPrior, camera_with_view, looking_at
from calib_all_ros.planning.candidates import Checker, Limits
from calib_all_ros.planning.joint_ranges import JointRanges, PlanningError, joint_ranges
from calib_all_ros.planning.plan import NOT_CHECKED, Plan, PlanSettings, plan_configurations
from calib_all_ros.robot.description import Robot

QUICK = PlanSettings(count=5, candidates=60, draws=2000, pose_samples=3)


@pytest.fixture(scope="module")
def ranges(demo_robot: Robot) -> JointRanges:
    return joint_ranges(demo_robot.kinematics)


@pytest.fixture(scope="module")
def view() -> CameraPrior:
    return CameraPrior(camera_with_view(640, 480, 60.0), looking_at([1.4, -0.8, 0.8], [0, 0, 0.4]))


@pytest.fixture(scope="module")
def plan(demo_robot: Robot, ranges: JointRanges, view: CameraPrior) -> Plan:
    return plan_configurations(demo_robot, ranges, view, QUICK)


def test_configurations_are_those_of_the_arm(plan: Plan, ranges: JointRanges) -> None:
    assert plan.configurations.joint_names == tuple(f"joint_{i}" for i in range(1, 8))
    assert plan.configurations.positions.shape == (5, 7)
    assert plan.positions.shape == (5, len(ranges.joint_names))
    np.testing.assert_array_equal(plan.positions[:, :7], plan.configurations.positions)
    assert len(plan) == 5


def test_configurations_keep_to_the_limits(
    demo_robot: Robot, plan: Plan, ranges: JointRanges, view: CameraPrior
) -> None:
    assert ((plan.positions >= ranges.lower) & (plan.positions <= ranges.upper)).all()
    checker = Checker(demo_robot, ranges, view, view.samples(3, 0), Limits())
    failed, share = checker.failures(plan.positions)
    assert not any(failed)
    np.testing.assert_allclose(share, plan.in_view)


def test_planned_ones_are_worth_more_than_random_ones(plan: Plan) -> None:
    assert plan.position_sigma_m[0] == pytest.approx(0.15)
    assert (np.diff(plan.position_sigma_m) < 0).all()
    assert (np.diff(plan.rotation_sigma_rad) < 0).all()
    assert plan.position_sigma_m[-1] < 0.9 * plan.random_position_sigma_m[-1]
    assert plan.rotation_sigma_rad[-1] < 0.9 * plan.random_rotation_sigma_rad[-1]


def test_same_seed_same_plan(
    demo_robot: Robot, plan: Plan, ranges: JointRanges, view: CameraPrior
) -> None:
    again = plan_configurations(demo_robot, ranges, view, QUICK)
    np.testing.assert_array_equal(again.positions, plan.positions)
    other = plan_configurations(demo_robot, ranges, view, replace(QUICK, seed=1))
    assert not np.array_equal(other.positions, plan.positions)


def test_notes_say_what_stays_and_what_was_not_checked(plan: Plan) -> None:
    assert any("must stay" in note and "finger_joint 0" in note for note in plan.notes)
    assert plan.notes[-1] == NOT_CHECKED


@pytest.mark.parametrize("name", ["poses.yaml", "joints.txt"])
def test_recorder_takes_an_image_of_each(plan: Plan, tmp_path: Path, name: str) -> None:
    """The arm visits them in turn, its gripper reported by another message or not at all."""
    write_configurations(tmp_path / name, plan.configurations)
    read = read_configurations(tmp_path / name, plan.configurations.joint_names)
    np.testing.assert_array_equal(read.positions, plan.configurations.positions)
    recorder = StopAndGo(StopAndGoSettings(), read)
    taken, stamp_ns = [], 0
    for number, configuration in enumerate(plan.configurations.positions):
        for _ in range(120):
            stamp_ns += 10_000_000
            recorder.add_joint_state(stamp_ns, read.joint_names, configuration)
            if recorder.takes(stamp_ns):
                taken.append(number)
    assert taken == [0, 1, 2, 3, 4]
    assert recorder.is_complete


def test_stages_are_reported(crane: Robot, prior: CameraPrior) -> None:
    stages: dict[str, list[float]] = {}
    plan_configurations(
        crane,
        joint_ranges(crane.kinematics),
        prior,
        replace(QUICK, count=2, candidates=20),
        lambda stage, share: stages.setdefault(stage, []).append(share),
    )
    assert list(stages) == ["candidates", "render", "choose"]
    assert all(shares == sorted(shares) and shares[-1] <= 1.0 for shares in stages.values())


def test_arm_that_can_do_little_gets_fewer_configurations(crane: Robot, prior: CameraPrior) -> None:
    """Of a slide of 0.54 m only so many places are 0.1 m apart."""
    ranges = joint_ranges(crane.kinematics, moved=["slide"])
    plan = plan_configurations(crane, ranges, prior, replace(QUICK, count=12))
    assert 3 <= len(plan) <= 6
    assert any(f"only {len(plan)} configurations" in note for note in plan.notes)
    gaps = np.diff(np.sort(plan.configurations.positions[:, 0]))
    assert (gaps >= 0.1).all()


def test_straight_way_through_the_ground_is_reported(crane: Robot, prior: CameraPrior) -> None:
    """The elbow may be up on either side, but the way between the two is through the ground."""
    ranges = joint_ranges(crane.kinematics, moved=["elbow"], home={"elbow": np.pi / 2})
    settings = replace(QUICK, limits=Limits(ground_m=0.45, in_view=0.1), seed=2)
    plan = plan_configurations(crane, ranges, prior, settings)
    elbow = plan.configurations.positions[:, 2]
    assert (np.cos(elbow) > -0.2).all()
    assert not any("straight way" in note for note in plan.notes)
    hanging = joint_ranges(crane.kinematics, moved=["elbow"], home={"elbow": np.pi})
    plan = plan_configurations(crane, hanging, prior, settings)
    assert any("straight way" in note and "home to 1" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"count": 0}, "0 configurations"), ({"count": 501}, "1 to 500"), ({"seed": -1}, "seed")],
)
def test_impossible_settings(values: dict[str, int], sentence: str) -> None:
    with pytest.raises(PlanningError, match=sentence):
        PlanSettings(**values)
