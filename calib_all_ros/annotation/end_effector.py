# SPDX-License-Identifier: Apache-2.0
"""Choice of the end-effector link and of the gripper's links, where nobody says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calib_all_ros.annotation.errors import AnnotationError
from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.robot.kinematics import Kinematics

_GRIPPER_JOINT = re.compile(r"gripper|finger|knuckle|jaw|claw|hand", re.IGNORECASE)
_SENSOR_FRAME = re.compile(r"camera|optical|depth|imu|sensor", re.IGNORECASE)

# The origin of a tool often lies on the face that it is mounted with.
_TOUCHING_M = 0.03


@dataclass(frozen=True)
class EndEffector:
    """The end of an arm.

    Attributes:
        link: Its origin is the point whose trajectory is annotated.
        gripper_links: Links that the gripper mask shows, in the robot's order.
        own_links: Links that do not hide the end-effector, since it lies in them, on them or
            between them: the gripper, and what is fixed to the link and touches its origin.
        why: How the two were found, one sentence without a full stop.
    """

    link: str
    gripper_links: tuple[str, ...]
    own_links: tuple[str, ...]
    why: str


def find_end_effector(
    robot: Robot, link: str | None = None, gripper_links: Sequence[str] | None = None
) -> EndEffector:
    """Find the end-effector and the gripper of a robot.

    The arm is the chain of links that most joints move. Where it forks into fingers (or its last
    joints are called gripper, finger, jaw...) the gripper begins: it is the link that carries the
    fingers and all that hangs on it. Without such joints it is the last part of the arm. The
    end-effector is the only frame without a surface at the end of the gripper's fixed part (a tool
    centre point), or else the link that carries the fingers.

    Args:
        robot: The robot, its base being that of the arm.
        link: The end-effector, where it is known; the gripper is then what hangs on it, if that
            has a surface.
        gripper_links: The links of the gripper, where they are known.

    Raises:
        RobotError: There is no such link.
        AnnotationError: No links for the gripper were named, or nothing moves.
    """
    kinematics = robot.kinematics
    if gripper_links is not None and not gripper_links:
        raise AnnotationError("no links of the gripper are named: name one or more, or none at all")
    for name in (*(() if link is None else (link,)), *(gripper_links or ())):
        kinematics.parent(name)
    carrier, how = _carrier(kinematics)
    others = ""
    if link is None:
        frame = _tool_frame(robot, carrier)
        link = frame or carrier
        why = f"the end-effector is {link}, {'the tool frame of ' if frame else ''}{how}"
        end = _end_of_another_arm(kinematics)
        if end is not None:
            others = f"; another arm ends with {end} and is left out: --eef-link names another"
    else:
        why = f"the end-effector is {link}, as named"
    hanging = _below(kinematics, link)
    if gripper_links is not None:
        gripper = tuple(name for name in kinematics.link_names if name in gripper_links)
        why += "; the gripper is as named"
    elif link in _below(kinematics, carrier) or not _has_surface(robot, hanging):
        gripper = _below(kinematics, carrier)
        why += f"; the gripper is {carrier} and what hangs on it"
    else:
        gripper = hanging
        why += "; the gripper is that link and what hangs on it"
    own = {*_touching(robot, link), *(gripper if link in gripper else ())}
    own_links = tuple(name for name in kinematics.link_names if name in own)
    return EndEffector(link, gripper, own_links, why + others)


def _carrier(kinematics: Kinematics) -> tuple[str, str]:
    """Return the link that carries the fingers, or ends the arm, and what it is."""
    chain = kinematics.moving_joints(_tip(kinematics, kinematics.link_names))
    if not chain:
        raise AnnotationError("no joint moves any link of the robot: give the right description")
    # The fork that is nearest to the tip counts: a torso forks, too, but it carries more joints
    # than it has below it.
    for level in range(len(chain) - 1, 0, -1):
        children = [
            name
            for name in kinematics.link_names
            if _level(kinematics, kinematics.parent(name), chain) == level
            and _level(kinematics, name, chain) != level
        ]
        if len(children) > 1 and len(chain) - level < level:
            return _common_ancestor(kinematics, children), "the link that carries the fingers"
    level = len(chain)
    while level > 1 and _GRIPPER_JOINT.search(chain[level - 1]):
        level -= 1
    if level < len(chain):
        return kinematics.joint_parent(chain[level]), f"the link that carries {chain[level]}"
    # Of the links that the last joint moves, the one that it moves directly.
    last = [n for n in kinematics.link_names if _level(kinematics, n, chain) == level]
    first = next(n for n in last if kinematics.parent(n) not in last)
    return first, "the last part of the arm"


def _tip(kinematics: Kinematics, links: Sequence[str]) -> str:
    """Return the first of those links that most joints move."""
    return max(links, key=lambda name: len(kinematics.moving_joints(name)))


def _end_of_another_arm(kinematics: Kinematics) -> str | None:
    """Return where another arm ends, None where there is but one.

    It leaves the first one's chain below the middle, where no finger does, and has more than half
    as many joints of its own; a head has fewer.
    """
    chain = kinematics.moving_joints(_tip(kinematics, kinematics.link_names))
    beside = []
    for name in kinematics.link_names:
        joints = kinematics.moving_joints(name)
        shared = 0
        while shared < min(len(chain), len(joints)) and chain[shared] == joints[shared]:
            shared += 1
        branch, rest = len(joints) - shared, len(chain) - shared
        if rest >= shared and 2 * branch > rest:
            beside.append(name)
    return _tip(kinematics, beside) if beside else None


def _level(kinematics: Kinematics, link: str | None, chain: tuple[str, ...]) -> int | None:
    """Return how many joints of the chain move a link, None where others do."""
    if link is None:
        return None
    joints = kinematics.moving_joints(link)
    return len(joints) if joints == chain[: len(joints)] else None


def _tool_frame(robot: Robot, carrier: str) -> str | None:
    """Return the only frame that ends the fixed part of a gripper, None where it is not clear."""
    kinematics = robot.kinematics
    parents = {kinematics.parent(name) for name in kinematics.link_names}
    joints = kinematics.moving_joints(carrier)
    ends = [
        name
        for name in _below(kinematics, carrier)
        if name not in parents
        and kinematics.moving_joints(name) == joints
        and not _has_surface(robot, (name,))
        and not _SENSOR_FRAME.search(name)
        and name != carrier
    ]
    return ends[0] if len(ends) == 1 else None


def _touching(robot: Robot, link: str) -> list[str]:
    """Return a link, and those fixed to it that have its origin in or near their surface."""
    kinematics, surface = robot.kinematics, robot.surface
    joints = kinematics.moving_joints(link)
    home = np.clip(0.0, kinematics.lower, kinematics.upper)[None]
    T_base_link = kinematics.forward(home)[0]
    names = kinematics.link_names
    origin = T_base_link[names.index(link), :3, 3]
    found = [link]
    for index, name in enumerate(names):
        vertices = surface.vertices[surface.link_of_vertex == index]
        if name != link and len(vertices) and kinematics.moving_joints(name) == joints:
            away = se3.transform(T_base_link[index], vertices) - origin
            if np.linalg.norm(away, axis=1).min() < _TOUCHING_M:
                found.append(name)
    return found


def _below(kinematics: Kinematics, link: str) -> tuple[str, ...]:
    """Return a link and all links that hang on it, in the robot's order."""
    return tuple(n for n in kinematics.link_names if link in _ancestors(kinematics, n))


def _ancestors(kinematics: Kinematics, link: str) -> list[str]:
    """Return a link and all above it, up to the root."""
    up: list[str] = []
    name: str | None = link
    while name is not None:
        up.append(name)
        name = kinematics.parent(name)
    return up


def _common_ancestor(kinematics: Kinematics, links: Sequence[str]) -> str:
    """Return the lowest link that all of these hang on, themselves left out."""
    above = [_ancestors(kinematics, link)[1:] for link in links]
    return next(name for name in above[0] if all(name in others for others in above))


def _has_surface(robot: Robot, links: Sequence[str]) -> bool:
    surface = robot.surface
    seen = {surface.link_names[i] for i in set(surface.link_of_face.tolist())}
    return any(name in seen for name in links)
