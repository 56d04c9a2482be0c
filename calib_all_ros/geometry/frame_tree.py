# SPDX-License-Identifier: Apache-2.0
"""The TF tree, and the edge that adds a calibrated camera with no second parent for any frame.

A camera's driver usually publishes ``camera_link -> ... -> camera_optical_frame``. The optical
frame has its parent then, so the camera is attached by the topmost frame of the driver's tree.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3

# Poses that are closer than this say the same: numbers in a URDF are often rounded.
_SAME_DISTANCE_M = 1e-4
_SAME_ANGLE_DEG = 0.01


@dataclass(frozen=True, eq=False)
class StaticTransform:
    """One edge of /tf_static: ``T_parent_child`` (4, 4) maps child points to the parent frame."""

    parent: str
    child: str
    T_parent_child: NDArray[np.float64]

    def __str__(self) -> str:
        return f"{self.parent} -> {self.child}"


Path = tuple[StaticTransform, ...]
"""Edges from a frame upwards, each one's parent the next one's child."""


class FrameTreeError(CalibAllError):
    """The TF tree is broken, or the camera cannot be added to it."""


class ConnectedError(FrameTreeError):
    """The TF tree connects the base and the camera already, at another pose.

    Attributes:
        obstacle: The edge that has to go before the calibrated pose can be published.
        corrected: That edge with the transform that would agree with the calibration; None where
            parts between base and camera move, so that no fixed transform would.
    """

    def __init__(
        self, message: str, obstacle: StaticTransform, corrected: StaticTransform | None
    ) -> None:
        super().__init__(message)
        self.obstacle = obstacle
        self.corrected = corrected


class FrameTree:
    """Frames and their parents, as far as they are published.

    Edges without a name at one end, or from a frame to itself, are ignored as tf2 does.

    Args:
        edges: The newest transform of each edge; the last one counts where an edge repeats.
        moving: Child frames of edges that may change, because they come over /tf.
    """

    def __init__(self, edges: Iterable[StaticTransform], moving: Collection[str] = ()) -> None:
        self._parents: dict[str, dict[str, NDArray[np.float64]]] = {}
        for edge in edges:
            parent, child = frame_name(edge.parent), frame_name(edge.child)
            if parent and child and parent != child:
                self._parents.setdefault(child, {})[parent] = edge.T_parent_child
        self._moving = frozenset(map(frame_name, moving))

    @property
    def frames(self) -> frozenset[str]:
        """All frames that an edge speaks of."""
        return frozenset(self._parents).union(*self._parents.values())

    @property
    def roots(self) -> frozenset[str]:
        """The frames that have no parent."""
        return self.frames.difference(self._parents)

    def has_parent(self, frame: str) -> bool:
        """Whether an edge ends at a frame."""
        return frame in self._parents

    def path_to_root(self, frame: str) -> Path:
        """Return the edges from a frame to the root above it; none if it has no parent.

        Raises:
            FrameTreeError: The way up forks or goes round in circles.
        """
        path: list[StaticTransform] = []
        seen = [frame]
        while parents := self._parents.get(frame):
            if len(parents) > 1:
                raise FrameTreeError(
                    f"frame '{frame}' has several parents in the TF tree, "
                    f"{_and(sorted(parents))}, where only one is allowed: stop what publishes the "
                    "others"
                )
            ((parent, T_parent_child),) = parents.items()
            path.append(StaticTransform(parent, frame, T_parent_child))
            if parent in seen:
                circle = " -> ".join(reversed([*seen[seen.index(parent) :], parent]))
                raise FrameTreeError(
                    f"the TF tree has a loop, {circle}: stop what publishes one of these transforms"
                )
            seen.append(parent)
            frame = parent
        return tuple(path)

    def moves(self, edge: StaticTransform) -> bool:
        """Whether an edge may change, because it comes over /tf."""
        return edge.child in self._moving

    def situation(self, frame: str) -> Hashable:
        """Return what changes when the frames above, or the fixed transforms between them, do.

        Raises:
            FrameTreeError: As `path_to_root`.
        """
        return tuple(
            (edge.parent, None if self.moves(edge) else edge.T_parent_child.tobytes())
            for edge in self.path_to_root(frame)
        )


def frame_name(name: str) -> str:
    """Return a frame's name as tf2 knows it, without slashes in front."""
    return name.strip().lstrip("/")


def edge_to_publish(tree: FrameTree, pose: StaticTransform) -> StaticTransform | None:
    """Return the edge that puts a camera where the calibration says.

    It goes from the base to the topmost frame above the optical frame, which is the optical frame
    itself where no driver publishes one. What is above the base does not matter.

    Args:
        tree: What others publish.
        pose: The calibration: from the base frame to the camera's optical frame.

    Returns:
        The edge; None where the tree puts the camera there already without it. An edge from the
        base that exists and is right is returned as it is, so that two who publish the same
        result agree.

    Raises:
        ConnectedError: The tree has the camera elsewhere.
        FrameTreeError: The tree is broken, or the frames are not two.
    """
    base, optical = frame_name(pose.parent), frame_name(pose.child)
    if not base or not optical or base == optical:
        raise FrameTreeError(
            f"'{pose.parent}' and '{pose.child}' are not the names of a base frame and an optical "
            "frame: name both, and differently"
        )
    up_camera, up_base = tree.path_to_root(optical), tree.path_to_root(base)
    root = up_camera[-1].parent if up_camera else optical
    if root != (up_base[-1].parent if up_base else base):
        return StaticTransform(base, root, pose.T_parent_child @ se3.invert(_T_root(up_camera)))
    up_camera, up_base = _below_common_ancestor(up_camera, up_base)
    still = not any(tree.moves(edge) for edge in (*up_camera, *up_base))
    T_base_optical = se3.invert(_T_root(up_base)) @ _T_root(up_camera)
    if still and _same(T_base_optical, pose.T_parent_child):
        return up_camera[-1] if not up_base else None
    raise _connected(tree, StaticTransform(base, optical, pose.T_parent_child), up_camera, up_base)


def cautions(tree: FrameTree, pose: StaticTransform) -> tuple[str, ...]:
    """Return warnings about an edge of `edge_to_publish`, one sentence each.

    Raises:
        FrameTreeError: The tree is broken.
    """
    base, optical = frame_name(pose.parent), frame_name(pose.child)
    found = []
    path = tree.path_to_root(optical)
    moving = [edge for edge in path if tree.moves(edge)]
    if moving:
        found.append(
            f"the camera's mount may move ({', '.join(map(str, moving))} over /tf): the pose is "
            "right only if the mount stands now as it stood during the calibration"
        )
    optical_alike = _alike(optical, tree.frames)
    if optical not in tree.frames and optical_alike:
        found.append(
            f"the TF tree has no frame '{optical}' but {_and(optical_alike)}: set optical_frame if "
            "that is the camera's"
        )
    others = tree.roots - {path[-1].parent if path else optical}
    if base not in tree.frames and others:
        alike = _alike(base, tree.frames)
        found.append(
            f"the TF tree has no frame '{base}' but {_and(alike or sorted(others))}: start what "
            "publishes the robot's frames, or set base_frame if its name is another one"
        )
    return tuple(found)


def _T_root(path: Path) -> NDArray[np.float64]:
    """Return (4, 4), which maps points of a path's first frame to its topmost one."""
    T = np.eye(4)
    for edge in path:
        T = edge.T_parent_child @ T
    return T


def _below_common_ancestor(first: Path, second: Path) -> tuple[Path, Path]:
    """Return two paths to the same root, cut off where they meet."""
    shared = {edge.child for edge in first} & {edge.child for edge in second}
    return (
        tuple(edge for edge in first if edge.child not in shared),
        tuple(edge for edge in second if edge.child not in shared),
    )


def _same(T_first: NDArray[np.float64], T_second: NDArray[np.float64]) -> bool:
    angle_deg, distance_m = se3.difference(se3.invert(T_first), se3.invert(T_second))
    return angle_deg < _SAME_ANGLE_DEG and distance_m < _SAME_DISTANCE_M


def _connected(
    tree: FrameTree, pose: StaticTransform, up_camera: Path, up_base: Path
) -> ConnectedError:
    """Return the error for paths from camera and base to where they meet."""
    path, other = (up_camera, up_base) if up_camera else (up_base, up_camera)
    moving = [number for number, edge in enumerate(path) if tree.moves(edge)]
    # What moves belongs to the robot, and the camera is fixed to it below.
    number = max(moving[0] - 1, 0) if moving else len(path) - 1
    obstacle, corrected = path[number], None
    if not moving and not any(tree.moves(edge) for edge in other):
        # Without up_camera the robot hangs under the camera, not the camera under the robot.
        T_base_optical = pose.T_parent_child
        T_top_bottom = (
            _T_root(up_base) @ T_base_optical if up_camera else se3.invert(T_base_optical)
        )
        T_parent_child = T_top_bottom @ se3.invert(_T_root(path[:-1]))
        corrected = StaticTransform(obstacle.parent, obstacle.child, T_parent_child)
    chain = " -> ".join([path[-1].parent, *(edge.child for edge in reversed(path))])
    return ConnectedError(
        f"the TF tree connects '{pose.parent}' and the camera's '{pose.child}' already ({chain}): "
        f"'{obstacle.child}' has the parent '{obstacle.parent}' and may not get a second one, so "
        f"nothing is published; stop what publishes {obstacle}, be it a fixed joint of the URDF, a "
        "static_transform_publisher or an earlier calibration",
        obstacle,
        corrected,
    )


def _alike(name: str, frames: Collection[str]) -> list[str]:
    """Return frames that are called the same under another prefix."""
    last = name.rpartition("/")[2]
    return sorted(frame for frame in frames if frame.rpartition("/")[2] == last)


def _and(names: Collection[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
