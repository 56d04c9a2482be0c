# SPDX-License-Identifier: Apache-2.0
"""Ranges of the joints that move in a plan, and places of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.collection.coverage import end_effectors
from calib_all_ros.errors import CalibAllError
from calib_all_ros.robot.kinematics import Kinematics

# Files are for people, too; this is far below what a controller reaches.
DECIMALS = 4
_LARGEST_MARGIN = 0.45


class PlanningError(CalibAllError):
    """No configurations can be proposed as asked; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class JointRanges:
    """The box in joint space from which configurations are drawn.

    Attributes:
        joint_names: (J,) all joints of `Kinematics.joint_names`.
        listed: Joints that a plan names: those of the arms, and whatever else moves.
        moved: Joints that move, in the order of the description.
        home: (J,) where the arm starts, and where joints that do not move stay, radians or metres.
        lower: (J,) lower ends; a joint that does not move has its home there.
        upper: (J,) upper ends.
    """

    joint_names: tuple[str, ...]
    listed: tuple[str, ...]
    moved: tuple[str, ...]
    home: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw (count, J) configurations, evenly within the box, rounded as they are written."""
        unit = rng.random((count, len(self.joint_names)))
        drawn = np.round(self.lower + unit * (self.upper - self.lower), DECIMALS)
        return np.where(self.upper > self.lower, np.clip(drawn, self.lower, self.upper), self.home)

    def columns(self, names: Sequence[str]) -> list[int]:
        """Return where joints stand in `joint_names`."""
        return [self.joint_names.index(name) for name in names]


def joint_ranges(
    kinematics: Kinematics,
    *,
    moved: Sequence[str] | None = None,
    home: Mapping[str, float] | None = None,
    margin: float = 0.05,
) -> JointRanges:
    """Choose joints and ranges.

    By default all joints of the arms move, and those of grippers stay where the solver takes
    joints that nobody reports to be: at zero, or at the limit next to it. Mimic joints follow.
    A joint that can turn farther is used within half a turn to either side of its home: beyond,
    it shows the camera nothing new.

    Args:
        kinematics: The robot.
        moved: Joints that move; None takes those of the arms.
        home: Positions by joint names; the arm's joints that are left out start in the middle of
            their limits.
        margin: Share of each joint's range that is kept free at either end.

    Raises:
        PlanningError: A joint is unknown, cannot move, or has its home outside of its limits; or
            there is no joint to move.
    """
    names = kinematics.joint_names
    home = home or {}
    unknown = [name for name in (*(moved or ()), *home) if name not in names]
    if unknown:
        raise PlanningError(
            f"the robot has no joint '{unknown[0]}' that moves by itself; it has: "
            f"{', '.join(names) or 'none'}"
        )
    if not 0.0 <= margin <= _LARGEST_MARGIN:
        raise PlanningError(
            f"the margin of the joint limits is {margin:g}: give a share of each joint's range, 0 "
            f"to {_LARGEST_MARGIN:g}"
        )
    arm = arm_joints(kinematics)
    able = [name for name in (arm if moved is None else moved) if _has_range(kinematics, name)]
    if not able or (moved is not None and len(able) < len(moved)):
        which = "no joint of the robot's arm" if moved is None else f"not every joint of {moved}"
        raise PlanningError(f"{which} can move: correct the <limit> of its joints in the URDF")
    start = _home(kinematics, arm, home)
    lower, upper = start.copy(), start.copy()
    for name in able:
        i = names.index(name)
        reach = np.inf if _slides(kinematics, name) else np.pi
        low = max(kinematics.lower[i], start[i] - reach)
        high = min(kinematics.upper[i], start[i] + reach)
        lower[i], upper[i] = low + margin * (high - low), high - margin * (high - low)
    return JointRanges(
        joint_names=names,
        listed=tuple(name for name in names if name in arm or name in able),
        moved=tuple(name for name in names if name in able),
        home=start,
        lower=lower,
        upper=upper,
    )


def arm_joints(kinematics: Kinematics) -> tuple[str, ...]:
    """Return the joints that move the ends of the robot's arms, less those of grippers."""
    moving = {j for end in end_effectors(kinematics) for j in kinematics.moving_joints(end)}
    return tuple(name for name in kinematics.joint_names if name in moving)


def _home(
    kinematics: Kinematics, arm: Sequence[str], given: Mapping[str, float]
) -> NDArray[np.float64]:
    home = np.clip(0.0, kinematics.lower, kinematics.upper)
    for i, name in enumerate(kinematics.joint_names):
        low, high = float(kinematics.lower[i]), float(kinematics.upper[i])
        if name in given:
            home[i] = given[name]
            if not low <= home[i] <= high:
                raise PlanningError(
                    f"the home of joint '{name}' is {home[i]:g}, outside of its limits {low:g} to "
                    f"{high:g}: give a position within them"
                )
        elif name in arm and np.isfinite(low) and np.isfinite(high):
            home[i] = round(0.5 * (low + high), DECIMALS)
    return np.asarray(home, dtype=np.float64)


def _has_range(kinematics: Kinematics, name: str) -> bool:
    i = kinematics.joint_names.index(name)
    low, high = kinematics.lower[i], kinematics.upper[i]
    if np.isfinite(low) and np.isfinite(high):
        return bool(high > low)
    return not _slides(kinematics, name)


def _slides(kinematics: Kinematics, name: str) -> bool:
    """Return whether a joint moves links without turning them."""
    positions = np.zeros((2, len(kinematics.joint_names)))
    positions[1, kinematics.joint_names.index(name)] = 0.1
    R = kinematics.forward(positions)[..., :3, :3]
    return bool(np.allclose(R[0], R[1], atol=1e-9))
