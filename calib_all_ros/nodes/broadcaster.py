# SPDX-License-Identifier: Apache-2.0
"""Broadcast of calibrated cameras on the edge of the TF tree that leaves it a tree."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rclpy.node import Node

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import (
    ConnectedError,
    FrameTreeError,
    StaticTransform,
    cautions,
    edge_to_publish,
    frame_name,
)
from calib_all_ros.nodes.executable import log_sentence, steady_timer
from calib_all_ros.nodes.tf_topics import StaticEdges, TfListener
from calib_all_ros.results.paste import urdf_origin

_TICK_S = 0.1
_LOOK_FOR_PUBLISHERS_S = 0.5
# Others may take back what is in the way, and nothing tells whose edge is missing in a message.
_LISTEN_AGAIN_IN_TROUBLE_S = 5.0
# Once the tree has settled, /tf is listened to only now and then.
_LISTEN_MOVING_EVERY_S = 5.0
_LISTEN_MOVING_FOR_S = 0.5


@dataclass(frozen=True)
class Broadcast:
    """How it stands with one camera.

    Attributes:
        level: "ok", "warn" or "error", as for diagnostics.
        sentence: What is published, or why not.
        edge: What is on /tf_static, None where nothing is.
    """

    level: str
    sentence: str
    edge: StaticTransform | None = None


@dataclass
class _PublishedCamera:
    """A calibrated camera, what is published of it, and the frames above it at that time."""

    pose: StaticTransform
    broadcast: Broadcast
    frames_above: Hashable = None


class CalibrationBroadcaster:
    """Publishes calibrated poses on /tf_static once the TF tree is known, and follows its changes.

    Each camera is attached by the topmost frame above its optical frame (`edge_to_publish`). When
    its driver comes later, ``base -> optical`` leaves /tf_static and ``base -> camera_link`` takes
    its place. Listeners that know the former forget it when the driver's transform of the optical
    frame arrives, which is repeated once from here for those that got it before.

    When the driver goes, the edge stays, so that nothing changes when it comes back. When somebody
    else connects camera and base, the edge is withdrawn: the tree gets no second parent from here.
    Where the camera's mount moves over /tf, the edge is computed once, not with every movement.

    All methods are to be called from the thread that spins the node.
    """

    def __init__(self, node: Node, *, settle_s: float = 1.0) -> None:
        """Start to listen.

        Args:
            node: Has the publisher and the subscriptions.
            settle_s: How long nothing may change about the frames above base and cameras before
                an edge is chosen; also the time in which others are to be discovered.
        """
        self._node = node
        self._settle_s = settle_s
        self._edges = StaticEdges(node)
        self._listener = TfListener(node, self._edges)
        self._cameras: dict[str, _PublishedCamera] = {}
        self._seen: tuple[int, Hashable] = (-1, None)
        self._echoed: tuple[StaticTransform, ...] = ()
        self._settled = False
        self._next_look_s = 0.0
        self._last_listened_s = 0.0
        self._wait()
        self._timer = steady_timer(node, _TICK_S, self._tick)

    def publish(self, name: str, pose: StaticTransform) -> None:
        """Publish a calibrated pose, now or as soon as the tree has settled.

        Args:
            name: Of the camera's result; replaces what was published under that name.
            pose: From the base frame to the optical frame.
        """
        old = self._cameras.get(name)
        if old is not None and _content((old.pose,)) == _content((pose,)):
            return
        waiting = Broadcast("ok", f"{name} waits for the TF tree to settle", _moved(old, pose))
        self._cameras[name] = _PublishedCamera(pose, waiting)
        self._seen = (self._listener.version, self._situation())
        if self._settled:
            self._decide()
        else:
            self._send_changes()

    def withdraw(self, name: str) -> None:
        """Take a camera out of /tf_static."""
        if self._cameras.pop(name, None) is not None:
            self._send_changes()

    def broadcast(self, name: str) -> Broadcast:
        """Return how it stands with one camera that was given to `publish`."""
        return self._cameras[name].broadcast

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._next_look_s:
            self._next_look_s = now + _LOOK_FOR_PUBLISHERS_S
            if self._listener.look_for_publishers():
                self._wait()
        if self._listener.version != self._seen[0]:
            situation = self._situation()
            if situation != self._seen[1]:
                self._wait()
            self._seen = (self._listener.version, situation)
        if not self._settled:
            if now >= self._settled_at_s:
                self._settled = True
                self._last_listened_s = now
                self._decide()
        elif self._in_trouble() and now >= self._settled_at_s + _LISTEN_AGAIN_IN_TROUBLE_S:
            self._listener.start_over()
            self._wait()
        else:
            since_s = now - self._last_listened_s
            self._listener.listen_to_moving(since_s >= _LISTEN_MOVING_EVERY_S)
            if since_s >= _LISTEN_MOVING_EVERY_S + _LISTEN_MOVING_FOR_S:
                self._last_listened_s = now

    def _in_trouble(self) -> bool:
        return any(camera.broadcast.level == "error" for camera in self._cameras.values())

    def _wait(self) -> None:
        """Decide when nothing has changed for a while."""
        # Two processes that answer to each other's edges must not do so in step for ever.
        self._settled_at_s = time.monotonic() + random.uniform(1.0, 1.5) * self._settle_s
        self._settled = False
        self._listener.listen_to_moving(True)

    def _situation(self) -> Hashable:
        """Return what changes when the frames above a base or a camera do."""
        tree = self._listener.tree()
        found: list[Hashable] = []
        for camera in self._cameras.values():
            for frame in (camera.pose.parent, camera.pose.child):
                try:
                    found.append(tree.situation(frame_name(frame)))
                except FrameTreeError as error:
                    found.append(str(error))
        return tuple(found)

    def _decide(self) -> None:
        """Choose the edges, and publish them if one has changed."""
        for name, camera in self._cameras.items():
            broadcast = self._chosen(name, camera)
            if broadcast.sentence != camera.broadcast.sentence:
                log_sentence(self._node, broadcast.level, broadcast.sentence)
            camera.broadcast = broadcast
        self._send_changes()

    def _chosen(self, name: str, camera: _PublishedCamera) -> Broadcast:
        """Return what to publish of one camera, the others being as they are."""
        pose, old = camera.pose, camera.broadcast
        others = {_ends(edge): other for other, edge in self._published() if other != name}
        tree = self._listener.tree([edge for other, edge in self._published() if other != name])
        optical = frame_name(pose.child)
        if old.edge is not None and old.edge.child != optical and optical not in tree.frames:
            # Its driver has gone.
            return Broadcast("ok", f"publishes {old.edge} for {name}", old.edge)
        try:
            edge = edge_to_publish(tree, pose)
            frames_above = tree.situation(optical)
            doubts = cautions(tree, pose)
        except ConnectedError as error:
            if _ends(error.obstacle) in others:
                return Broadcast(
                    "error",
                    f"'{error.obstacle.child}' is above the cameras of both {name} and "
                    f"{others[_ends(error.obstacle)]}, which place it differently: publish one of "
                    "them only",
                )
            return self._connected(error, old.edge)
        except FrameTreeError as error:
            # What is published holds unless others place the same frame.
            held = None if old.edge is None or tree.has_parent(old.edge.child) else old.edge
            return Broadcast("error", f"{error}{self._suspects()}", held)
        if edge is None or _ends(edge) in others:
            return Broadcast("ok", f"the TF tree has {name} at its calibrated pose already")
        same = old.edge is not None and _ends(old.edge) == _ends(edge)
        # A mount that moves must not take the edge with it.
        if same and frames_above == camera.frames_above:
            edge = old.edge
        camera.frames_above = frames_above
        sentence = "; ".join((f"publishes {edge} for {name}", *doubts))
        return Broadcast("warn" if doubts else "ok", sentence, edge)

    def _connected(self, error: ConnectedError, edge: StaticTransform | None) -> Broadcast:
        """Return what to do about a camera that others place; ``edge`` is published until now."""
        rival = error.obstacle
        if edge is not None and _ends(rival) == _ends(edge):
            # That is no second parent. Would both give way, both would come back.
            angle_deg, distance_m = se3.difference(
                se3.invert(rival.T_parent_child), se3.invert(edge.T_parent_child)
            )
            return Broadcast(
                "error",
                f"somebody else publishes {edge} too, {1000 * distance_m:.1f} mm and "
                f"{angle_deg:.2f} deg away, and listeners use what came last: stop one of the two"
                f"{self._suspects()}",
                edge,
            )
        correction = ""
        if error.corrected is not None:
            origin = urdf_origin(error.corrected.T_parent_child)
            correction = f", or correct it to {origin}"
        return Broadcast("error", f"{error}{correction}{self._suspects()}")

    def _suspects(self) -> str:
        return f" (nodes that publish transforms: {', '.join(self._listener.publishers)})"

    def _published(self) -> list[tuple[str, StaticTransform]]:
        return [
            (name, camera.broadcast.edge)
            for name, camera in self._cameras.items()
            if camera.broadcast.edge is not None
        ]

    def _send_changes(self) -> None:
        edges = tuple(edge for _, edge in self._published())
        if _content(edges) == _content(self._edges.edges) and not self._echoed:
            return
        left = {edge.child for edge in self._edges.edges} - {edge.child for edge in edges}
        self._echoed = self._listener.fixed(left)
        self._edges.send(edges, self._echoed)
        # What others publish can be told apart only from what is being sent now.
        self._listener.start_over()
        self._wait()


def _moved(old: _PublishedCamera | None, pose: StaticTransform) -> StaticTransform | None:
    """Return the edge that is published of a camera as it has to be for another pose of it."""
    if old is None or old.broadcast.edge is None or _ends(old.pose) != _ends(pose):
        return None
    edge = old.broadcast.edge
    T_optical_child = se3.invert(old.pose.T_parent_child) @ edge.T_parent_child
    return StaticTransform(edge.parent, edge.child, pose.T_parent_child @ T_optical_child)


def _content(edges: Sequence[StaticTransform]) -> Hashable:
    return tuple((_ends(edge), edge.T_parent_child.tobytes()) for edge in edges)


def _ends(edge: StaticTransform | None) -> tuple[str, str] | None:
    return None if edge is None else (edge.parent, edge.child)
