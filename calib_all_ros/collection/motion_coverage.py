# SPDX-License-Identifier: Apache-2.0
"""How varied the robot's poses were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.robot.kinematics import Kinematics

# Poses nearer to one another than this in every joint show a solver the same.
_DISTINCT = 0.1
# More would say nothing new, and pairs of them are compared.
_MOST_POSES = 100
# A finger has fewer joints than this, an arm more.
_FEWEST_ARM_JOINTS = 3
_SAMPLES = 200
_LARGEST_SWING = np.pi


@dataclass(frozen=True)
class EndEffectorMotion:
    """How an end-effector has moved.

    Attributes:
        link: Its link: the last one of the arm, before the fingers.
        turn_deg: Largest angle between two of its orientations, degrees.
        second_turn_deg: How far it has turned about axes across its main one, degrees.
        travel_m: Largest distance between two of its positions, metres.
    """

    link: str
    turn_deg: float
    second_turn_deg: float
    travel_m: float


@dataclass(frozen=True)
class MotionFigures:
    """What the poses so far amount to.

    Attributes:
        poses: How many differ from each other by 0.1 rad (or m) in some joint.
        done: How the end-effector has moved; None without kinematics.
        possible: How it can move within its joints' limits; None without kinematics.
    """

    poses: int
    done: EndEffectorMotion | None = None
    possible: EndEffectorMotion | None = None


class MotionCoverage:
    """Collects poses of the robot."""

    def __init__(self, kinematics: Kinematics | None = None) -> None:
        """Begin; without kinematics poses are only counted."""
        self._kinematics: Kinematics | None = None
        self._names: tuple[str, ...] = ()
        self._poses: NDArray[np.float64] = np.empty((0, 0))
        self._figures: MotionFigures | None = None
        self._ends: tuple[str, ...] = ()
        self._possible: dict[str, EndEffectorMotion] = {}
        if kinematics is not None:
            self.kinematics = kinematics

    @property
    def kinematics(self) -> Kinematics | None:
        """The robot; None while it is not known."""
        return self._kinematics

    @kinematics.setter
    def kinematics(self, kinematics: Kinematics) -> None:
        if kinematics is self._kinematics:
            return
        self._kinematics = kinematics
        self._figures = None
        self._ends = end_effectors(kinematics)
        self._possible = {link: _possible_motion(kinematics, link) for link in self._ends}

    def add(self, pose: Mapping[str, float]) -> bool:
        """Add a pose by joint names and return whether it differs from those before."""
        names = tuple(sorted(name for name in pose if self._counts(name)))
        if not names or set(names) < set(self._names):
            return False
        values = np.array([pose[name] for name in names])
        if names != self._names:
            # Another publisher has appeared: the poses before were not whole.
            self._names = names
            self._poses = np.empty((0, len(names)))
        if len(self._poses) and (np.abs(self._poses - values).max(axis=1) < _DISTINCT).any():
            return False
        if len(self._poses) < _MOST_POSES:
            self._poses = np.vstack([self._poses, values])
            self._figures = None
        return True

    def figures(self) -> MotionFigures:
        """Return what the poses amount to."""
        if self._figures is None:
            self._figures = self._counted()
        return self._figures

    def _counts(self, name: str) -> bool:
        """Return whether a joint is one of an arm, as far as is known."""
        kinematics = self._kinematics
        if kinematics is None:
            return True
        return any(name in kinematics.moving_joints(link) for link in self._ends)

    def _counted(self) -> MotionFigures:
        kinematics = self._kinematics
        if kinematics is None or not len(self._poses):
            return MotionFigures(len(self._poses))
        q = np.zeros((len(self._poses), len(kinematics.joint_names)))
        for column, name in enumerate(kinematics.joint_names):
            if name in self._names:
                q[:, column] = self._poses[:, self._names.index(name)]
        done = [_motion(kinematics, link, q) for link in self._ends]
        most = max(done, key=lambda motion: motion.travel_m + np.radians(motion.turn_deg))
        return MotionFigures(len(self._poses), most, self._possible[most.link])


def end_effectors(kinematics: Kinematics) -> tuple[str, ...]:
    """Return the links at the ends of the robot's arms: those that carry the fingers, if any."""
    joints = {link: set(kinematics.moving_joints(link)) for link in kinematics.link_names}
    children: dict[str | None, list[str]] = {}
    for link in kinematics.link_names:
        children.setdefault(kinematics.parent(link), []).append(link)

    def moved_by(link: str) -> set[str]:
        return joints[link].union(*map(moved_by, children.get(link, ())))

    def ends(link: str) -> tuple[str, ...]:
        drivers = {child: moved_by(child) - joints[link] for child in children.get(link, ())}
        branches = [child for child, names in drivers.items() if names]
        if len(branches) > 1:
            branches = [child for child in branches if len(drivers[child]) >= _FEWEST_ARM_JOINTS]
        if not branches:
            return (link,)
        return tuple(end for child in branches for end in ends(child))

    (root,) = children[None]
    return ends(root)


def _possible_motion(kinematics: Kinematics, link: str) -> EndEffectorMotion:
    """Return how an end-effector moves between random poses within the joints' limits."""
    low = np.maximum(kinematics.lower, -_LARGEST_SWING)
    high = np.minimum(kinematics.upper, _LARGEST_SWING)
    unit = np.random.default_rng(0).uniform(size=(_SAMPLES, len(kinematics.joint_names)))
    return _motion(kinematics, link, low + unit * (high - low))


def _motion(kinematics: Kinematics, link: str, q: NDArray[np.float64]) -> EndEffectorMotion:
    """Return how a link moves between (N, J) joint positions."""
    T = kinematics.forward(q)[:, kinematics.link_names.index(link)]
    R = Rotation.from_matrix(T[:, :3, :3])
    quaternions = R.as_quat()
    cosines = np.clip(np.abs(quaternions @ quaternions.T), 0.0, 1.0)
    angles_deg = np.degrees(2.0 * np.arccos(cosines))
    # About the orientation in the middle, rotation vectors are shortest.
    middle = R[int(np.argmin(angles_deg.max(axis=1)))]
    vectors = np.degrees((R * middle.inv()).as_rotvec())
    axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2]
    spans = np.ptp(vectors @ axes.T, axis=0)
    positions = T[:, :3, 3]
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return EndEffectorMotion(
        link=link,
        turn_deg=float(angles_deg.max()),
        second_turn_deg=float(spans[1]) if len(spans) > 1 else 0.0,
        travel_m=float(apart.max()),
    )
