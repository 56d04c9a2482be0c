# SPDX-License-Identifier: Apache-2.0
"""Is a planned recording worth more than a random one?

A camera is put somewhere around a robot, and the planner told of it as roughly as people know. It
proposes configurations; others are drawn at random within the very same limits (joint limits,
ground, links in view, distance to itself and the camera), and a third set moves the arm but a
little about one of these. Stop-and-go recordings of the three are simulated from the true camera:
masks made by ray casting and spoiled as segmentation spoils them, in the harder case with joint
zeros and a focal length that are off. Each is solved from a start 5 cm and 3 degrees off.

    python -m benchmarks.planning --seeds 10
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.mask_corruption import CORRUPTIONS, corrupt_masks
from benchmarks.reporting import add_output_argument, markdown_table, publish
from benchmarks.scenes import SHARED_DATA, cast_mask, vga_camera
from benchmarks.table3 import disturbed
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.planning.camera_prior import CameraPrior, looking_at
from calib_all_ros.planning.information import resting
from calib_all_ros.planning.joint_ranges import JointRanges, PlanningError, joint_ranges
from calib_all_ros.planning.plan import (
    Plan,
    PlanSettings,
    choose_configurations,
    rate_candidates,
)
from calib_all_ros.robot.description import Robot, demo_urdf_path, load_robot
from calib_all_ros.simulation.ray_casting import RayCaster
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.pose_errors import PoseErrors, pose_errors
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem, fit_silhouettes

ROBOTS = ("panda/panda.urdf", "ur5e/ur5e_robotiq85.urdf", "xarm7/xarm7_gripper.urdf")
NEAREST_M, FARTHEST_M = 1.2, 2.0
LOWEST_RAD, HIGHEST_RAD = np.radians(5.0), np.radians(50.0)
AIM_SIGMA_M = 0.1
ROBOT_CENTRE = np.array([0.0, 0.0, 0.4])
SMALL_MOTION = 0.2
START_CM, START_DEG = (5.0, 5.0), (3.0, 3.0)
JOINT_OFFSET_DEG = 0.1
FOCAL_ERROR = 0.01
JUDGED_IN = 30
POLICIES = ("planned", "random", "small")


@dataclass(frozen=True)
class Case:
    """What is wrong with the recordings, and what the solve estimates beside the pose."""

    name: str
    flawed: bool
    parameters: Parameters


CASES = (
    Case("spoiled masks", False, Parameters(lag=False)),
    Case("and joints 0.1 deg, focal length 1 % off", True, Parameters(lag=False)),
    Case(
        "the same, both estimated",
        True,
        Parameters(lag=False, focal_scale=True, joint_offsets=True),
    ),
)


@dataclass(frozen=True)
class Trial:
    """One recording solved.

    Attributes:
        robot: Name of the robot.
        seed: Number of the camera.
        case: Name of the case.
        policy: How its configurations were chosen.
        frames: How many there are.
        errors: Of the pose found.
        expected: Position (mm) and rotation (deg) that the planner expected.
    """

    robot: str
    seed: int
    case: str
    policy: str
    frames: int
    errors: PoseErrors
    expected: tuple[float, float]

    def row(self) -> str:
        """Return the trial on one line."""
        e = self.errors
        found = f"{e.position_mm:.2f} mm, {e.rotation_deg:.3f} deg, ADD {e.add_mm:.2f} mm"
        expected = f"expected {self.expected[0]:.2f} mm, {self.expected[1]:.3f} deg"
        what = f"{self.robot} {self.seed}, {self.frames} {self.policy}, {self.case}"
        return f"{what}: {found}; {expected}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--urdf", type=Path, nargs="+", help="default: the shared robots")
    parser.add_argument("--frames", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--seeds", type=int, default=10, help="cameras of each robot")
    parser.add_argument("--first-seed", type=int, default=0)
    add_output_argument(parser)
    arguments = parser.parse_args()
    urdfs = arguments.urdf or [SHARED_DATA / "robots" / name for name in ROBOTS]
    if not all(path.is_file() for path in urdfs):
        urdfs = [demo_urdf_path()]
    robots = [load_robot(urdf) for urdf in urdfs]
    casters = [RayCaster(robot.surface) for robot in robots]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    cameras = [(i, seed) for seed in seeds for i in range(len(robots))]
    trials: list[Trial] = []
    skipped = 0
    for i, seed in tqdm(cameras):
        try:
            found = camera_trials(robots[i], casters[i], arguments.frames, seed)
        except PlanningError as error:
            skipped += 1
            tqdm.write(f"{robots[i].name}, seed {seed}: {error}")
            continue
        trials += found
        for trial in found:
            tqdm.write(trial.row())
    sections = [*_report(trials, arguments.frames), _comparison(trials, arguments.frames)]
    sections.append(f"Cameras from which no configuration can be used: {skipped}.")
    publish("Planned configurations", sections, arguments.out)


def camera_trials(robot: Robot, caster: RayCaster, frames: Sequence[int], seed: int) -> list[Trial]:
    """Plan, record and solve for one random camera."""
    rng = np.random.default_rng([seed, 7])
    camera = vga_camera()
    truth = _random_camera(rng)
    # The planner is told a pose drawn about the true one, as far off as it is told.
    exact = CameraPrior(camera, truth)
    rough = replace(exact, T_camera_base=exact.samples(2, seed + 1000)[1])
    ranges = joint_ranges(robot.kinematics)
    spoilt = _Flaws.draw(rng, ranges, camera)
    flawless = _Flaws(camera, np.zeros_like(spoilt.joints))
    trials = []
    settings = PlanSettings(seed=seed)
    rated = rate_candidates(robot, ranges, rough, settings)
    for count in frames:
        plan = choose_configurations(rated, replace(settings, count=count))
        sets = _configurations(plan, ranges, np.random.default_rng([seed, count]))
        judged = resting(robot, plan.candidates.positions[-JUDGED_IN:])
        for policy, positions in sets.items():
            recorded = {
                flawed: flaws.record(robot, caster, positions, truth, seed)
                for flawed, flaws in ((False, flawless), (True, spoilt))
            }
            for case in CASES:
                masks = recorded[case.flawed]
                problem = SilhouetteProblem(robot.surface, resting(robot, positions), camera, masks)
                start = disturbed(
                    truth, START_CM, START_DEG, np.random.default_rng([seed, count, 1])
                )
                fit = fit_silhouettes(problem, Estimate(start), case.parameters)
                errors = pose_errors(fit.estimate.T_camera_base, truth, robot, judged)
                expected = _expected(plan, policy)
                trials.append(Trial(robot.name, seed, case.name, policy, count, errors, expected))
    return trials


@dataclass(frozen=True)
class _Flaws:
    """The camera that takes the pictures, and what the joint states leave out."""

    camera: Camera
    joints: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, ranges: JointRanges, camera: Camera) -> _Flaws:
        joints = np.zeros(len(ranges.joint_names))
        moved = ranges.columns(ranges.moved)
        joints[moved] = np.radians(JOINT_OFFSET_DEG) * rng.normal(size=len(moved))
        K = camera.K.copy()
        K[[0, 1], [0, 1]] *= 1.0 + FOCAL_ERROR * rng.choice([-1.0, 1.0])
        return cls(replace(camera, K=K), joints)

    def record(
        self,
        robot: Robot,
        caster: RayCaster,
        positions: NDArray[np.float64],
        T_camera_base: NDArray[np.float64],
        seed: int,
    ) -> NDArray[np.bool_]:
        T = T_camera_base @ robot.kinematics.forward(positions + self.joints)
        masks = np.stack([cast_mask(caster, poses, self.camera) for poses in T])
        return corrupt_masks(masks, CORRUPTIONS["mixed"], seed)


def _random_camera(rng: np.random.Generator) -> NDArray[np.float64]:
    azimuth = rng.uniform(-np.pi, np.pi)
    elevation = rng.uniform(LOWEST_RAD, HIGHEST_RAD)
    away = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    position = ROBOT_CENTRE + rng.uniform(NEAREST_M, FARTHEST_M) * away
    return looking_at(position, ROBOT_CENTRE + rng.normal(0.0, AIM_SIGMA_M, 3))


def _configurations(
    plan: Plan, ranges: JointRanges, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    passed, count = plan.candidates.positions, len(plan)
    # The last ones serve to judge.
    usable = max(count, len(passed) - JUDGED_IN)
    small = np.repeat(passed[rng.integers(usable)][None], count, axis=0)
    moved = ranges.columns(ranges.moved)
    small[:, moved] += rng.uniform(-SMALL_MOTION, SMALL_MOTION, (count, len(moved)))
    at_random = passed[rng.choice(usable, count, replace=False)]
    return dict(zip(POLICIES, (plan.positions, at_random, small), strict=True))


def _expected(plan: Plan, policy: str) -> tuple[float, float]:
    if policy == "planned":
        return 1e3 * plan.position_sigma_m[-1], float(np.degrees(plan.rotation_sigma_rad[-1]))
    if policy == "random":
        return (
            1e3 * plan.random_position_sigma_m[-1],
            float(np.degrees(plan.random_rotation_sigma_rad[-1])),
        )
    return float("nan"), float("nan")


def _report(trials: list[Trial], frames: Sequence[int]) -> list[str]:
    header = (
        "recordings",
        "frames",
        "configurations",
        "position mm (median, p90)",
        "rotation deg (median, p90)",
        "ADD mm (median, p90)",
        "expected mm, deg",
        "trials",
    )
    sections = []
    for robot in ("all robots", *dict.fromkeys(trial.robot for trial in trials)):
        rows = []
        for case in CASES:
            for count in frames:
                for policy in POLICIES:
                    group = [
                        t
                        for t in trials
                        if (t.case, t.frames, t.policy) == (case.name, count, policy)
                        and robot in ("all robots", t.robot)
                    ]
                    if group:
                        rows.append((case.name, str(count), policy, *_cells(group)))
        sections += [f"### {robot}", markdown_table(header, rows)]
    return sections


def _comparison(trials: list[Trial], frames: Sequence[int]) -> str:
    """Return how often the planned configurations gave the better pose of two recordings."""
    add = {(t.robot, t.seed, t.case, t.frames, t.policy): t.errors.add_mm for t in trials}
    parts = []
    for case in CASES:
        for count in frames:
            cameras = {(t.robot, t.seed) for t in trials if t.frames == count}
            wins = sum(
                add[(*camera, case.name, count, "planned")]
                < add[(*camera, case.name, count, "random")]
                for camera in cameras
            )
            parts.append(f"{wins} of {len(cameras)} ({case.name}, {count} frames)")
    return (
        "The planned recording has the smaller ADD than the random one: " + "; ".join(parts) + "."
    )


def _cells(group: list[Trial]) -> tuple[str, ...]:
    def both(values: list[float], digits: int) -> str:
        return f"{np.median(values):.{digits}f}, {np.percentile(values, 90):.{digits}f}"

    expected = np.sqrt(np.mean(np.square([t.expected for t in group]), axis=0))
    known = "-" if np.isnan(expected).any() else f"{expected[0]:.1f}, {expected[1]:.2f}"
    return (
        both([t.errors.position_mm for t in group], 1),
        both([t.errors.rotation_deg for t in group], 2),
        both([t.errors.add_mm for t in group], 1),
        known,
        str(len(group)),
    )


if __name__ == "__main__":
    main()
