# SPDX-License-Identifier: Apache-2.0
"""Plans of joint configurations in which a recording tells most about the camera's pose.

Random configurations that keep to the limits are rated by what their outlines would say
(`information`), the best set is chosen (`selection`) and put into an order that moves the arm
little (`tour`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.collection.stop_and_go import JointConfigurations
from calib_all_ros.planning.camera_prior import CameraPrior
from calib_all_ros.planning.candidates import Candidates, Checker, Limits, draw_candidates
from calib_all_ros.planning.information import ErrorModel, Information, outline_information
from calib_all_ros.planning.joint_ranges import JointRanges, PlanningError
from calib_all_ros.planning.selection import longest_joint_moves, select, short_tour
from calib_all_ros.robot.description import Robot

Progress = Callable[[str, float], None]

NOT_CHECKED = (
    "nothing but the robot itself, the ground and the camera was looked at: let a motion planner, "
    "or your own eyes, see to it that the arm reaches each configuration without a collision"
)

# Twice what the stop-and-go recorder takes for one configuration.
_LEAST_DIFFERENCE = 0.1
_RANDOM_SETS = 50
_LEG_STEPS = 12
_BLOCKED = 100.0


@dataclass(frozen=True)
class PlanSettings:
    """How a plan is made.

    Attributes:
        count: Configurations to propose.
        candidates: Configurations that pass all checks, from which they are chosen.
        draws: At most so many are drawn to find them.
        pose_samples: Camera poses drawn from the prior.
        limits: What every configuration has to keep to.
        errors: How wrong masks, intrinsics and joints are expected to be.
        seed: Seed of everything random.
    """

    count: int = 12
    candidates: int = 500
    draws: int = 20_000
    pose_samples: int = 8
    limits: Limits = field(default_factory=Limits)
    errors: ErrorModel = field(default_factory=ErrorModel)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= self.candidates:
            raise PlanningError(
                f"{self.count} configurations were asked for: give a number from 1 to "
                f"{self.candidates}"
            )
        if self.seed < 0:
            raise PlanningError(f"the seed is {self.seed}: give 0 or more")


@dataclass(frozen=True, eq=False)
class Plan:
    """Configurations in the order in which the arm should visit them.

    Attributes:
        configurations: (N) of the listed joints, as the recorder reads them.
        positions: (N, J) of all joints.
        in_view: (N,) mean share of the moving links' surface inside the image.
        position_sigma_m: (N + 1,) standard deviation of the camera's position to be expected
            after none, one, ... all of them.
        rotation_sigma_rad: (N + 1,) the same of its rotation.
        random_position_sigma_m: (N + 1,) medians over random sets of candidates.
        random_rotation_sigma_rad: (N + 1,) the same of the rotation.
        travel: Sum of the way's moves, each that of the joint that moves farthest.
        candidates: What they were chosen from.
        notes: What the user should know, one sentence each.
    """

    configurations: JointConfigurations
    positions: NDArray[np.float64]
    in_view: NDArray[np.float64]
    position_sigma_m: NDArray[np.float64]
    rotation_sigma_rad: NDArray[np.float64]
    random_position_sigma_m: NDArray[np.float64]
    random_rotation_sigma_rad: NDArray[np.float64]
    travel: float
    candidates: Candidates
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class RatedCandidates:
    """Configurations that keep to the limits, and what each would say.

    Attributes:
        ranges: Which joints move.
        checker: What they were checked with.
        candidates: The configurations.
        information: What their outlines say.
    """

    ranges: JointRanges
    checker: Checker
    candidates: Candidates
    information: Information


def plan_configurations(
    robot: Robot,
    ranges: JointRanges,
    prior: CameraPrior,
    settings: PlanSettings | None = None,
    on_progress: Progress = lambda stage, share: None,
) -> Plan:
    """Propose configurations.

    Args:
        robot: The robot.
        ranges: Which joints move, and from where.
        prior: The camera, and what is known of its pose.
        settings: None takes the defaults.
        on_progress: Called with stage and share (0 to 1).

    Raises:
        PlanningError: No configuration keeps to the limits.
    """
    settings = settings or PlanSettings()
    rated = rate_candidates(robot, ranges, prior, settings, on_progress)
    return choose_configurations(rated, settings, on_progress)


def rate_candidates(
    robot: Robot,
    ranges: JointRanges,
    prior: CameraPrior,
    settings: PlanSettings,
    on_progress: Progress = lambda stage, share: None,
) -> RatedCandidates:
    """Draw configurations and compute what they would say; as `plan_configurations`."""
    T_camera_base = prior.samples(settings.pose_samples, settings.seed)
    checker = Checker(robot, ranges, prior, T_camera_base, settings.limits, settings.seed)
    candidates = draw_candidates(
        checker,
        ranges,
        settings.candidates,
        settings.draws,
        settings.seed,
        lambda share: on_progress("candidates", share),
    )
    information = outline_information(
        robot,
        ranges,
        prior,
        T_camera_base,
        candidates.positions,
        settings.errors,
        lambda share: on_progress("render", share),
    )
    return RatedCandidates(ranges, checker, candidates, information)


def choose_configurations(
    rated: RatedCandidates,
    settings: PlanSettings,
    on_progress: Progress = lambda stage, share: None,
) -> Plan:
    """Choose the best set of rated configurations and put it in order.

    Args:
        rated: What to choose from.
        settings: How many to choose.
        on_progress: Called with stage and share (0 to 1).
    """
    ranges, information = rated.ranges, rated.information
    everything = rated.candidates.positions
    chosen = select(
        information,
        everything[:, ranges.columns(ranges.moved)],
        settings.count,
        _LEAST_DIFFERENCE,
        lambda share: on_progress("choose", share),
    )
    order, travel, blocked = _ordered(
        rated.checker, np.concatenate([ranges.home[None], everything[chosen]])
    )
    chosen = [chosen[place - 1] for place in order]
    expected = np.array([information.expected_sigmas(chosen[:k]) for k in range(len(chosen) + 1)])
    at_random = _random_sigmas(information, len(chosen), settings.seed)
    positions = everything[chosen]
    return Plan(
        configurations=JointConfigurations(
            ranges.listed, positions[:, ranges.columns(ranges.listed)]
        ),
        positions=positions,
        in_view=rated.candidates.in_view[chosen],
        position_sigma_m=expected[:, 0],
        rotation_sigma_rad=expected[:, 1],
        random_position_sigma_m=at_random[:, 0],
        random_rotation_sigma_rad=at_random[:, 1],
        travel=travel,
        candidates=rated.candidates,
        notes=_notes(ranges, settings, rated.candidates, len(chosen), blocked),
    )


def _ordered(
    checker: Checker, stops: NDArray[np.float64]
) -> tuple[list[int], float, list[tuple[int, int]]]:
    """Return the order of stops 1 to N, the length of the way, and legs that are not straight.

    A leg on which all joints move evenly and something comes too near counts many times its
    length, so that it is taken only where there is no way around it.
    """
    distance = longest_joint_moves(stops)
    cost = distance.copy()
    shares = np.linspace(0.0, 1.0, _LEG_STEPS + 2)[1:-1, None]
    for a in range(len(stops)):
        for b in range(a + 1, len(stops)):
            path = stops[a] + shares * (stops[b] - stops[a])
            if (checker.failures(path, with_view=False)[0] != "").any():
                cost[a, b] = cost[b, a] = _BLOCKED * distance[a, b]
    order = short_tour(cost)
    way = [0, *order]
    legs = list(pairwise(way))
    blocked = [
        (number, number + 1) for number, (a, b) in enumerate(legs) if cost[a, b] > distance[a, b]
    ]
    return order, float(sum(distance[a, b] for a, b in legs)), blocked


def _random_sigmas(information: Information, count: int, seed: int) -> NDArray[np.float64]:
    """Return (count + 1, 2) medians of what random sets of 0 to count candidates give."""
    rng = np.random.default_rng(seed)
    sets = [rng.permutation(len(information))[:count] for _ in range(_RANDOM_SETS)]
    sigmas = [[information.expected_sigmas(s[:k]) for k in range(count + 1)] for s in sets]
    return np.asarray(np.median(np.array(sigmas), axis=0))


def _notes(
    ranges: JointRanges,
    settings: PlanSettings,
    candidates: Candidates,
    count: int,
    blocked: list[tuple[int, int]],
) -> tuple[str, ...]:
    notes = []
    fixed = [name for name in ranges.joint_names if name not in ranges.moved]
    if fixed:
        places = ranges.home[ranges.columns(fixed)]
        listed = ", ".join(f"{name} {place:g}" for name, place in zip(fixed, places, strict=True))
        notes.append(f"joints that must stay where they are: {listed}")
    if count < settings.count:
        notes.append(
            f"only {count} configurations are proposed, for no more were found that differ by "
            f"{_LEAST_DIFFERENCE:g} rad or m in some joint"
        )
    elif len(candidates.positions) < 10 * settings.count:
        notes.append(
            f"there was little to choose from: {len(candidates.positions)} of {candidates.drawn} "
            "random configurations passed all checks"
        )
    if blocked:
        legs = ", ".join(f"{'home' if a == 0 else a} to {b}" for a, b in blocked)
        notes.append(
            "on a straight way in joint space the arm comes too near to the ground, to the camera "
            f"or to itself from {legs}: take another way there"
        )
    notes.append(NOT_CHECKED)
    return tuple(notes)
