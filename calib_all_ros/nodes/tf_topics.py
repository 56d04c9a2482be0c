# SPDX-License-Identifier: Apache-2.0
"""Traffic on /tf_static and /tf: this process's fixed edges out, everybody's edges in.

tf2_ros would do for neither: its static broadcaster cannot take an edge back, and its listener does
not tell what it got from others apart from what its own process said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from tf2_msgs.msg import TFMessage

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import FrameTree, StaticTransform, frame_name
from calib_all_ros.nodes.messages import LATCHED, transform_message

# Absolute as in tf2; robots with a namespace remap them.
TF = "/tf"
TF_STATIC = "/tf_static"

# Every publisher of static transforms keeps its last message for those who come later.
HEAR_STATIC = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# A lost message does not matter: the next one repeats it.
_LISTEN_MOVING = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)


class StaticEdges:
    """The fixed transforms that this process publishes, all in one latched message.

    A subscriber that starts later gets the last message of each publisher and no other; so there
    is one publisher a process, and each message repeats all edges that still hold. What is left
    out of a message is gone for later subscribers. Earlier ones keep it as long as they run,
    unless another edge to the same child frame replaces it: tf2 cannot forget a fixed transform.

    Attributes:
        edges: What was sent last.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(TFMessage, TF_STATIC, LATCHED)
        self._sent: list[Any] = []
        self.edges: tuple[StaticTransform, ...] = ()

    def send(
        self, edges: Sequence[StaticTransform], echoed: Sequence[StaticTransform] = ()
    ) -> None:
        """Publish edges, which have different children, and no others any more.

        Args:
            edges: This process's own.
            echoed: Edges of others, repeated as they are. They take the place of what this process
                said of the same child before, for listeners that got it after the others.
        """
        now_ns = self._node.get_clock().now().nanoseconds
        transforms = [
            transform_message(edge.T_parent_child, edge.parent, edge.child, now_ns)
            for edge in (*edges, *echoed)
        ]
        self.edges = tuple(edges)
        self._sent = transforms
        self._publisher.publish(TFMessage(transforms=transforms))

    def sent(self, message: Any) -> bool:
        """Whether a TFMessage is the last one from here: as they have stamps, no two are equal."""
        return bool(message.transforms == self._sent)


class TfListener:
    """Who has which parent, according to everybody but this process.

    Messages do not tell who sent them. So this process's own is told by its content, and what is
    fixed is received afresh when a publisher has gone, whose edges would stay otherwise.

    Attributes:
        version: Grows with every change: new edges, new parents, other fixed transforms.
    """

    def __init__(self, node: Node, own: StaticEdges) -> None:
        self.version = 0
        self._node = node
        self._own = own
        self._static: dict[tuple[str, str], StaticTransform] = {}
        self._moving: dict[tuple[str, str], StaticTransform] = {}
        self._publishers: dict[tuple[str, bytes], str] = {}
        self._moving_group = _PausableGroup()
        node.create_subscription(
            TFMessage, TF, self._on_moving, _LISTEN_MOVING, callback_group=self._moving_group
        )
        self._static_subscription: Any = None
        self.start_over()

    def tree(self, more: Sequence[StaticTransform] = ()) -> FrameTree:
        """Return what was received, and ``more`` edges with it."""
        moving = [child for _, child in self._moving]
        return FrameTree([*self._static.values(), *self._moving.values(), *more], moving)

    def fixed(self, children: Collection[str]) -> tuple[StaticTransform, ...]:
        """Return the fixed edges that end at these frames."""
        return tuple(edge for edge in self._static.values() if edge.child in children)

    @property
    def publishers(self) -> tuple[str, ...]:
        """Other nodes that publish transforms, as they were when last looked at."""
        return tuple(sorted(set(self._publishers.values())))

    def listen_to_moving(self, wanted: bool) -> None:
        """Take messages from /tf, or leave them: they come so often that they cost time."""
        self._moving_group.paused = not wanted

    def look_for_publishers(self) -> bool:
        """Return whether others that publish transforms have come or gone since the last call."""
        before = self._publishers
        me = (self._node.get_name(), self._node.get_namespace())
        self._publishers = {
            (topic, bytes(info.endpoint_gid)): f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for topic in (TF_STATIC, TF)
            for info in self._node.get_publishers_info_by_topic(topic)
            if (info.node_name, info.node_namespace) != me
        }
        gone = {topic for topic, _ in before.keys() - self._publishers.keys()}
        if gone:
            if TF in gone:
                self._moving.clear()
            self.start_over()
        return before.keys() != self._publishers.keys()

    def start_over(self) -> None:
        """Forget what is fixed and listen for it again: who is still there repeats it."""
        if self._static_subscription is not None:
            self._node.destroy_subscription(self._static_subscription)
        self._static.clear()
        self.version += 1
        self._static_subscription = self._node.create_subscription(
            TFMessage, TF_STATIC, self._on_static, HEAR_STATIC
        )

    def _on_static(self, message: Any) -> None:
        if self._own.sent(message):
            return
        for transform in message.transforms:
            edge = _edge(transform)
            if edge is None:
                continue
            ends = _ends(transform)
            known = self._static.get(ends)
            if known is None or not np.array_equal(known.T_parent_child, edge.T_parent_child):
                self._static[ends] = edge
                self.version += 1

    def _on_moving(self, message: Any) -> None:
        for transform in message.transforms:
            edge = _edge(transform)
            if edge is not None:
                ends = _ends(transform)
                self.version += ends not in self._moving
                self._moving[ends] = edge


class _PausableGroup(ReentrantCallbackGroup):
    """Callbacks that can be left uncalled for a while, without telling the whole graph."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False

    def can_execute(self, entity: Any) -> bool:
        return not self.paused


def _ends(transform: Any) -> tuple[str, str]:
    return frame_name(transform.header.frame_id), frame_name(transform.child_frame_id)


def _edge(transform: Any) -> StaticTransform | None:
    """Return an edge, or None where tf2 would not take it either."""
    t, q = transform.transform.translation, transform.transform.rotation
    place, turn = np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w])
    if not np.isfinite([*place, *turn]).all() or abs(np.linalg.norm(turn) - 1.0) > 0.01:
        return None
    return StaticTransform(*_ends(transform), se3.from_quaternion_xyzw(turn, place))
