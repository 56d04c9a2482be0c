# SPDX-License-Identifier: Apache-2.0
"""Random configurations that the arm may take and the camera sees.

What is checked: the height above the ground, a workspace if one is given, the distance to the
camera, the share of the moving links inside the image, and the distance of the robot's links to
each other. What is not: anything else in the robot's surroundings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.planning.bodies import Body, SelfDistance, bodies_of, lowest
from calib_all_ros.planning.camera_prior import CameraPrior
from calib_all_ros.planning.joint_ranges import JointRanges, PlanningError
from calib_all_ros.robot.description import Robot

_BATCH = 250
_VIEW_POINTS = 300
_PROBES = 100
# A body whose height never changes by more cannot be kept off the ground by any configuration.
_CONSTANT_M = 1e-3


@dataclass(frozen=True)
class Limits:
    """What a configuration has to keep to.

    Attributes:
        ground_m: Height of the table or floor in the base frame; None for none.
        ground_clearance_m: How far above it moving links stay.
        self_clearance_m: How far links that are no neighbours stay apart.
        camera_clearance_m: How far all links stay away from where the camera may be.
        workspace: (x, x, y, y, z, z) lowest and highest coordinates of the moving links in the
            base frame, metres; None for no bounds.
        in_view: Least share of the moving links' surface that is inside the image ...
        in_view_of: ... from at least this share of the camera poses that are possible.
    """

    ground_m: float | None = 0.0
    ground_clearance_m: float = 0.03
    self_clearance_m: float = 0.03
    camera_clearance_m: float = 0.15
    workspace: tuple[float, float, float, float, float, float] | None = None
    in_view: float = 0.6
    in_view_of: float = 0.75

    def __post_init__(self) -> None:
        if not 0.0 < self.in_view <= 1.0:
            raise PlanningError(
                f"the share of the robot that has to be in view is {self.in_view:g}: give a number "
                "above 0 and up to 1"
            )
        box = self.workspace
        if box is not None and not (box[0] < box[1] and box[2] < box[3] and box[4] < box[5]):
            raise PlanningError(
                "the workspace is empty: give the lower bound before the upper one of x, y and z"
            )


@dataclass(frozen=True, eq=False)
class Candidates:
    """Configurations that passed.

    Attributes:
        positions: (C, J) all joints, radians or metres.
        in_view: (C,) mean share of the moving links' surface inside the image.
        drawn: How many were drawn.
        removed: How many each constraint removed, in the order in which they are checked.
    """

    positions: NDArray[np.float64]
    in_view: NDArray[np.float64]
    drawn: int
    removed: dict[str, int]


class Checker:
    """Checks configurations of one robot before one camera."""

    def __init__(
        self,
        robot: Robot,
        ranges: JointRanges,
        prior: CameraPrior,
        T_camera_base: NDArray[np.float64],
        limits: Limits,
        seed: int = 0,
    ) -> None:
        """Prepare the checks.

        Args:
            robot: The robot.
            ranges: Which joints move.
            prior: The camera.
            T_camera_base: (S, 4, 4) where it may be.
            limits: What to keep to.
            seed: Seed of the points on the robot.
        """
        self._robot, self._limits, self._camera = robot, limits, prior.camera
        self._T_camera_base = T_camera_base
        kinematics = robot.kinematics
        everything = bodies_of(robot, ranges, seed)
        self._moving = [body for body in everything if body.moves]
        if not self._moving:
            raise PlanningError(
                f"no link that joints {', '.join(ranges.moved)} move has a visual mesh: let other "
                "joints move"
            )
        zero = np.clip(0.0, kinematics.lower, kinematics.upper)
        references = np.stack([ranges.home, zero])
        self._self_distance = SelfDistance(robot, everything, references, limits.self_clearance_m)
        self._view_links, self._view_points = _view_points(self._moving, seed)
        self._probe = kinematics.forward(ranges.draw(_PROBES, np.random.default_rng(seed)))
        self._grounded = [
            body for body in self._moving if np.ptp(lowest(body, self._probe)) > _CONSTANT_M
        ]
        self.best_view = 0.0

    def failures(
        self, positions: NDArray[np.float64], *, with_view: bool = True
    ) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
        """Name the first constraint that each of (N, J) configurations breaks.

        Returns:
            (N,) names, "" where all are kept to; and the (N,) mean shares in view, NaN where that
            was not looked at.
        """
        T = self._robot.kinematics.forward(positions)
        failed = np.full(len(positions), "", dtype="U16")
        share = np.full(len(positions), np.nan)

        def check(name: str, test: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> None:
            left = np.flatnonzero(failed == "")
            if len(left):
                failed[left[test(T[left])]] = name

        def out_of_view(poses: NDArray[np.float64]) -> NDArray[np.bool_]:
            left = np.flatnonzero(failed == "")
            shares = self._shares(poses)
            share[left] = shares.mean(axis=1)
            seen = (shares >= self._limits.in_view).mean(axis=1) >= self._limits.in_view_of
            self.best_view = max(self.best_view, float(share[left].max()))
            return np.asarray(~seen)

        check("ground", self._below_ground)
        check("workspace", self._outside_workspace)
        check("camera", self._near_camera)
        if with_view:
            check("view", out_of_view)
        check("self-collision", self._self_distance.too_near)
        return failed, share

    def _below_ground(self, T: NDArray[np.float64]) -> NDArray[np.bool_]:
        if self._limits.ground_m is None or not self._grounded:
            return np.zeros(len(T), dtype=bool)
        heights = np.stack([lowest(body, T) for body in self._grounded])
        least = self._limits.ground_m + self._limits.ground_clearance_m
        return np.asarray(heights.min(axis=0) < least)

    def _outside_workspace(self, T: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(np.any([self._body_outside(body, T) for body in self._moving], axis=0))

    def _body_outside(self, body: Body, T: NDArray[np.float64]) -> NDArray[np.bool_]:
        if self._limits.workspace is None:
            return np.zeros(len(T), dtype=bool)
        low, high = np.array(self._limits.workspace).reshape(3, 2).T
        points = se3.transform(T[:, body.link], body.vertices)
        return np.asarray(((points < low) | (points > high)).any(axis=(1, 2)))

    def never_inside(self) -> list[str]:
        """Return the links that are outside of the workspace in all configurations tried."""
        bodies = [body for body in self._moving if self._body_outside(body, self._probe).all()]
        return [body.names[0] for body in bodies]

    def _near_camera(self, T: NDArray[np.float64]) -> NDArray[np.bool_]:
        places = se3.invert(self._T_camera_base)[:, :3, 3]
        near = np.zeros(len(T), dtype=bool)
        for body in self._moving:
            # (N, S, 3) camera positions in the frame of the body, and its sphere.
            centre = body.points.mean(axis=0)
            radius = float(np.linalg.norm(body.points - centre, axis=1).max())
            seen = se3.transform(se3.invert(T[:, body.link]), places)
            close = np.linalg.norm(seen - centre, axis=2) < radius + self._limits.camera_clearance_m
            for n in np.flatnonzero(close.any(axis=1) & ~near):
                gap = np.linalg.norm(seen[n, close[n], None] - body.points, axis=2).min()
                near[n] = gap < self._limits.camera_clearance_m
        return near

    def _shares(self, T: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, S) shares of the moving links' surface inside the image."""
        carried = T[:, self._view_links]
        points = np.einsum("npij,pj->npi", carried[..., :3, :3], self._view_points)
        points += carried[..., :3, 3]
        camera = self._camera
        shares = np.empty((len(T), len(self._T_camera_base)))
        for s, T_camera_base in enumerate(self._T_camera_base):
            pixels = camera.project(se3.transform(T_camera_base, points))
            with np.errstate(invalid="ignore"):
                inside = (pixels >= 0.0) & (pixels <= [camera.width - 1, camera.height - 1])
            shares[:, s] = inside.all(axis=2).mean(axis=1)
        return shares


def draw_candidates(
    checker: Checker,
    ranges: JointRanges,
    count: int,
    most_draws: int,
    seed: int,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Candidates:
    """Draw configurations until enough pass.

    Args:
        checker: Says which do.
        ranges: What to draw from.
        count: How many are enough.
        most_draws: After so many draws fewer have to do.
        seed: Seed.
        on_progress: Called with the share that is done.

    Raises:
        PlanningError: None passes; the message says which constraint removes how many.
    """
    rng = np.random.default_rng(seed)
    removed = dict.fromkeys(("ground", "workspace", "camera", "view", "self-collision"), 0)
    positions, shares, drawn = [], [], 0
    found = 0
    while found < count and drawn < most_draws:
        batch = ranges.draw(_BATCH, rng)
        failed, share = checker.failures(batch)
        for name in removed:
            removed[name] += int((failed == name).sum())
        passed = failed == ""
        positions.append(batch[passed])
        shares.append(share[passed])
        found += int(passed.sum())
        drawn += len(batch)
        on_progress(min(1.0, max(found / count, drawn / most_draws)))
    if found == 0:
        raise PlanningError(_nothing_passes(checker, drawn, removed))
    return Candidates(
        np.concatenate(positions)[:count], np.concatenate(shares)[:count], drawn, removed
    )


def _view_points(bodies: list[Body], seed: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return (P,) links and (P, 3) points in their frames, spread over the moving bodies."""
    links = np.concatenate([np.full(len(body.points), body.link) for body in bodies])
    points = np.concatenate([body.points for body in bodies])
    if len(points) > _VIEW_POINTS:
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(points), _VIEW_POINTS, replace=False)
        links, points = links[chosen], points[chosen]
    return links, points


def _nothing_passes(checker: Checker, drawn: int, removed: dict[str, int]) -> str:
    outside = checker.never_inside()
    meaning = {
        "ground": "come too near to the ground (--ground, --no-ground)",
        "workspace": "leave the workspace (--workspace)"
        + (f", in which {', '.join(outside)} never are" if outside else ""),
        "camera": "come too near to the camera (--camera-position)",
        "view": (
            f"leave the view, where at best {100 * checker.best_view:.0f} % of the moving links "
            "are seen (--camera-position, --look-at, --in-view)"
        ),
        "self-collision": "bring links too near to each other",
    }
    if removed["view"] and checker.best_view == 0.0:
        return (
            "the camera sees nothing of the robot in any configuration: check --camera-position "
            "and --look-at, which are in metres in the robot's base frame"
        )
    parts = [f"{n} {meaning[name]}" for name, n in removed.items() if n]
    return f"none of {drawn} random configurations can be used: {', '.join(parts)}"
