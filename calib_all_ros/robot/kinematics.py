# SPDX-License-Identifier: Apache-2.0
"""Kinematics of a tree of links for many joint configurations at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3

_ROTATING = ("revolute", "continuous")
_MOVING = (*_ROTATING, "prismatic")
_KINDS = (*_MOVING, "fixed")


class RobotError(CalibAllError):
    """The robot description, one of its meshes, or the use made of them is wrong."""


@dataclass(frozen=True)
class Mimic:
    """Coupling of a joint to another: position = multiplier * position of `joint` + offset."""

    joint: str
    multiplier: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class Joint:
    """One joint of the tree.

    Attributes:
        name: Unique name.
        kind: "revolute", "continuous", "prismatic" or "fixed".
        parent: Link nearer to the root.
        child: Link farther from the root.
        T_parent_child_zero: (4, 4) pose of the child in the parent at position zero, metres.
        axis: (3,) direction of motion in the child's frame; need not have unit length.
        lower: Lower limit in radians or metres; -inf where there is none.
        upper: Upper limit in radians or metres; inf where there is none.
        mimic: The coupling, if this joint follows another.
    """

    name: str
    kind: str
    parent: str
    child: str
    T_parent_child_zero: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    axis: NDArray[np.float64] = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))
    lower: float = -np.inf
    upper: float = np.inf
    mimic: Mimic | None = None


class Kinematics:
    """Maps joint positions to the poses of all links.

    Attributes:
        base_frame: Link in whose frame all poses are given.
        link_names: All links, in the order of the description.
        joint_names: Movable joints that follow no other, in the order of the description.
        lower: (J,) lower limits in radians or metres, -inf where there is none.
        upper: (J,) upper limits in radians or metres, inf where there is none.
        turning: (J,) whether a joint's position is an angle; a length where not.
    """

    def __init__(
        self, link_names: Sequence[str], joints: Sequence[Joint], base_frame: str | None = None
    ) -> None:
        """Check the tree and prepare it.

        Args:
            link_names: Unique names of all links.
            joints: The joints in any order.
            base_frame: Any link of the tree; None takes the root.

        Raises:
            RobotError: The joints do not connect the links to one tree, a joint is of a kind that
                has no single position, a mimic joint follows nothing, or `base_frame` is unknown.
        """
        self.link_names = tuple(link_names)
        _check_unique("link", self.link_names)
        _check_unique("joint", [joint.name for joint in joints])
        self._index = {name: i for i, name in enumerate(self.link_names)}
        self._joints = _from_root_to_leaves(self.link_names, joints)
        self._parent_joint = {joint.child: joint for joint in self._joints}
        root = next(name for name in self.link_names if name not in self._parent_joint)
        self.base_frame = base_frame if base_frame is not None else root
        self._check_link(self.base_frame)

        drivers = [j for j in joints if j.kind in _MOVING and j.mimic is None]
        self.joint_names = tuple(joint.name for joint in drivers)
        self.lower = np.array([joint.lower for joint in drivers], dtype=np.float64)
        self.upper = np.array([joint.upper for joint in drivers], dtype=np.float64)
        self.turning = np.array([joint.kind in _ROTATING for joint in drivers], dtype=bool)
        moving = {joint.name: joint for joint in joints if joint.kind in _MOVING}
        # (index of the driving joint in `joint_names`, multiplier, offset) of every moving joint.
        self._coupling = {name: self._resolved(joint, moving) for name, joint in moving.items()}

    def forward(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Return the pose of every link in the base frame.

        Args:
            positions: (N, J) positions of `joint_names`, radians or metres. Limits are not
                enforced, since encoders report values slightly outside.

        Returns:
            (N, L, 4, 4) transforms `T_base_link`, links in the order of `link_names`.

        Raises:
            RobotError: `positions` has another shape or is not finite.
        """
        q = self._checked(positions)
        T = self._from_root(q)
        T_base_root = se3.invert(T[:, self._index[self.base_frame]])
        return np.asarray(T_base_root[:, None] @ T)

    def jacobian(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Return how every link moves with every joint: the spatial geometric Jacobian.

        Args:
            positions: (N, J) as for `forward`.

        Returns:
            (N, L, 6, J) twists (v, w) in the base frame, per radian or metre: a point p that is
            fixed to the link, given in the base frame, moves by ``v + w x p``.

        Raises:
            RobotError: As for `forward`.
        """
        q = self._checked(positions)
        T = self._from_root(q)
        twists = np.zeros((len(q), len(self.link_names), 6, len(self.joint_names)))
        for joint in self._joints:
            child = self._index[joint.child]
            twists[:, child] = twists[:, self._index[joint.parent]]
            if joint.kind == "fixed":
                continue
            driver, multiplier, _ = self._coupling[joint.name]
            # A joint leaves its axis where it is, and its origin on that axis.
            axis = multiplier * (T[:, child, :3, :3] @ _unit_axis(joint))
            if joint.kind == "prismatic":
                twists[:, child, :3, driver] += axis
            else:
                twists[:, child, :3, driver] += np.cross(T[:, child, :3, 3], axis)
                twists[:, child, 3:, driver] += axis
        base = self._index[self.base_frame]
        if self.base_frame not in self._parent_joint:
            return twists
        # The base moves, too, when it is not the root: what counts is the motion against it.
        v, w = np.split(twists - twists[:, base, None], 2, axis=2)
        R, t = np.split(se3.invert(T[:, base])[:, None, :3], [3], axis=-1)
        w = R @ w
        return np.concatenate([R @ v + np.cross(t, w, axis=2), w], axis=2)

    def moving_joints(self, link: str) -> tuple[str, ...]:
        """Return which of `joint_names` move `link` relative to the base, from base to link.

        Raises:
            RobotError: There is no such link.
        """
        self._check_link(link)
        to_link, to_base = self._chain(link), self._chain(self.base_frame)
        shared = 0
        while shared < min(len(to_link), len(to_base)) and to_link[shared] is to_base[shared]:
            shared += 1
        path = [*reversed(to_base[shared:]), *to_link[shared:]]
        drivers = [self._coupling[joint.name][0] for joint in path if joint.kind in _MOVING]
        return tuple(dict.fromkeys(self.joint_names[i] for i in drivers))

    def parent(self, link: str) -> str | None:
        """Return the link that a link hangs on, None for the root.

        Raises:
            RobotError: There is no such link.
        """
        self._check_link(link)
        return self._parent_joint[link].parent if link in self._parent_joint else None

    def joint_parent(self, joint: str) -> str:
        """Return the link that a joint hangs on.

        Raises:
            RobotError: There is no such joint.
        """
        for other in self._joints:
            if other.name == joint:
                return other.parent
        raise RobotError(
            f"no joint '{joint}' in the robot description; it has: {', '.join(self.joint_names)}"
        )

    def _checked(self, positions: ArrayLike) -> NDArray[np.float64]:
        q = np.asarray(positions, dtype=np.float64)
        if q.ndim != 2 or q.shape[1] != len(self.joint_names):
            raise RobotError(
                f"joint positions must have shape (N, {len(self.joint_names)}) for joints "
                f"{', '.join(self.joint_names)}, got {q.shape}"
            )
        if not np.isfinite(q).all():
            frame, joint = np.argwhere(~np.isfinite(q))[0]
            raise RobotError(
                f"position of joint '{self.joint_names[joint]}' is not finite in row {frame}: "
                "leave this row out"
            )
        return q

    def _from_root(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (N, L, 4, 4) poses of the links in the root."""
        T = np.zeros((len(q), len(self.link_names), 4, 4))
        T[..., range(4), range(4)] = 1.0
        for joint in self._joints:
            T_zero = T[:, self._index[joint.parent]] @ joint.T_parent_child_zero
            T[:, self._index[joint.child]] = self._moved(joint, T_zero, q)
        return T

    def _check_link(self, link: str) -> None:
        if link not in self._index:
            raise RobotError(
                f"no link '{link}' in the robot description; it has: {', '.join(self.link_names)}"
            )

    def _chain(self, link: str) -> list[Joint]:
        """Return the joints from the root to `link`."""
        chain = []
        while link in self._parent_joint:
            chain.append(self._parent_joint[link])
            link = chain[-1].parent
        return chain[::-1]

    def _resolved(self, joint: Joint, moving: dict[str, Joint]) -> tuple[int, float, float]:
        multiplier, offset = 1.0, 0.0
        seen = [joint.name]
        while joint.mimic is not None:
            offset += multiplier * joint.mimic.offset
            multiplier *= joint.mimic.multiplier
            if joint.mimic.joint not in moving:
                raise RobotError(
                    f"joint '{joint.name}' mimics '{joint.mimic.joint}', which is not a movable "
                    f"joint; those are: {', '.join(self.joint_names)}"
                )
            joint = moving[joint.mimic.joint]
            if joint.name in seen:
                raise RobotError(
                    f"the mimic joints {', '.join(seen)} follow each other in a circle"
                )
            seen.append(joint.name)
        return self.joint_names.index(joint.name), multiplier, offset

    def _moved(
        self, joint: Joint, T_zero: NDArray[np.float64], q: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Apply the joint's motion to (N, 4, 4) poses of its frame at position zero."""
        if joint.kind == "fixed":
            return T_zero
        driver, multiplier, offset = self._coupling[joint.name]
        position = multiplier * q[:, driver] + offset
        motion = np.zeros((len(q), 4, 4))
        motion[:, range(4), range(4)] = 1.0
        path = position[:, None] * _unit_axis(joint)
        if joint.kind == "prismatic":
            motion[:, :3, 3] = path
        else:
            motion[:, :3, :3] = Rotation.from_rotvec(path).as_matrix()
        return np.asarray(T_zero @ motion)


def _unit_axis(joint: Joint) -> NDArray[np.float64]:
    return np.asarray(joint.axis / np.linalg.norm(joint.axis))


def _check_unique(kind: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RobotError(f"the robot description has more than one {kind} '{twice[0]}'")


def _from_root_to_leaves(link_names: Sequence[str], joints: Sequence[Joint]) -> list[Joint]:
    """Sort joints so that every parent link comes before its children, checking the tree."""
    parent_joint: dict[str, Joint] = {}
    for joint in joints:
        if joint.kind not in _KINDS:
            raise RobotError(
                f"joint '{joint.name}' is {joint.kind}; only {', '.join(_KINDS)} joints have a "
                "position in joint states: cut the description at this joint"
            )
        if joint.kind in _MOVING and not np.linalg.norm(joint.axis) > 0:
            raise RobotError(f"the axis of joint '{joint.name}' has no length")
        for link in (joint.parent, joint.child):
            if link not in link_names:
                raise RobotError(
                    f"joint '{joint.name}' names link '{link}', which the robot description "
                    f"lacks; it has: {', '.join(link_names)}"
                )
        if joint.child in parent_joint:
            raise RobotError(
                f"link '{joint.child}' has two parent joints, '{parent_joint[joint.child].name}' "
                f"and '{joint.name}': a robot description must be a tree"
            )
        parent_joint[joint.child] = joint
    roots = [name for name in link_names if name not in parent_joint]
    if len(roots) != 1:
        found = f"roots {', '.join(roots)}" if roots else "no root"
        raise RobotError(f"the robot description must be a tree with one root link, it has {found}")
    ordered: list[Joint] = []
    reached = set(roots)
    remaining = list(joints)
    while remaining:
        ready = [joint for joint in remaining if joint.parent in reached]
        if not ready:
            raise RobotError(f"joint '{remaining[0].name}' is part of a loop of links")
        ordered += ready
        reached |= {joint.child for joint in ready}
        remaining = [joint for joint in remaining if joint.child not in reached]
    return ordered
