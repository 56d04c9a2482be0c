# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that fit their publishers' QoS, follow them when they change, and tell of silence.

Messages arrive serialised: recording them needs no more, and Python takes long to build an image
message that nobody looks at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from calib_all_ros.nodes.executable import steady_timer
from calib_all_ros.recording.bag_topics import camera_info_beside, image_base

OnMessage = Callable[[str, bytes], None]

IMAGES: Mapping[str, type] = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
}
CAMERA_INFOS: Mapping[str, type] = {"sensor_msgs/msg/CameraInfo": CameraInfo}
JOINT_STATES: Mapping[str, type] = {"sensor_msgs/msg/JointState": JointState}

# Pictures that this package's own nodes publish are no input to it.
OWN_NODES = ("calibrator", "monitor")

_LOOK_AGAIN_S = 0.5
_DISCOVERY_S = 1.0
_FETCH_S = 0.01
_COMPRESSED = "/compressed"


class MatchedSubscription:
    """A subscription with the QoS that suits all publishers of its topic.

    Reliable if every publisher is, transient local if every publisher is: a request beyond what
    a publisher offers gets nothing from it, without a word.

    Attributes:
        topic: Resolved name.
        received: Messages so far.
        kind: Type of what is subscribed to, e.g. "sensor_msgs/msg/Image"; None while there is no
            publisher.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        kinds: Mapping[str, type],
        on_message: OnMessage,
        *,
        depth: int = 10,
        patience_s: float = 5.0,
    ) -> None:
        """Look for publishers now and twice a second.

        Args:
            node: The node to subscribe with.
            topic: Its namespace and remapping rules apply.
            kinds: Message types that will do, by name.
            on_message: Called with the name of the type and the serialised message.
            depth: Messages kept while the node is busy.
            patience_s: Silence of that length is trouble.
        """
        self.topic = node.resolve_topic_name(topic)
        self.received = 0
        self.kind: str | None = None
        self._node = node
        self._kinds = kinds
        self._on_message = on_message
        self._depth = depth
        self._patience_s = patience_s
        self._profile: QoSProfile | None = None
        self._subscription: Any = None
        self._last = time.monotonic()
        self._offers: list[Any] = []
        self._timer = steady_timer(node, _LOOK_AGAIN_S, self._look)
        self._look()

    @property
    def publishers(self) -> int:
        """How many publishers the topic has."""
        return len(self._offers)

    @property
    def trouble(self) -> str | None:
        """One sentence if nothing arrives, else None."""
        silence_s = time.monotonic() - self._last
        if silence_s < self._patience_s:
            return None
        if not self._offers:
            return (
                f"no publisher on {self.topic}: start the driver, or name another topic "
                f"(of this type there {self._alternatives()})"
            )
        if self.kind is None:
            kinds = sorted({offer.topic_type for offer in self._offers})
            return (
                f"{self.topic} has the type {', '.join(kinds)}; wanted is "
                f"{' or '.join(self._kinds)}"
            )
        return (
            f"no messages on {self.topic} for {silence_s:.0f} s; publishers offer: "
            f"{'; '.join(map(_offer, self._offers))}"
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_timer(self._timer)
        self._unsubscribe()

    def _look(self) -> None:
        self._offers = self._node.get_publishers_info_by_topic(self.topic)
        fitting = [offer for offer in self._offers if offer.topic_type in self._kinds]
        if not fitting:
            # Without publishers the subscription stays: the same one may come back.
            return
        kind = fitting[0].topic_type
        profile = _profile([o for o in fitting if o.topic_type == kind], self._depth)
        if kind == self.kind and profile == self._profile:
            return
        self._unsubscribe()
        self.kind, self._profile = kind, profile
        self._subscription = self._node.create_subscription(
            self._kinds[kind],
            self.topic,
            lambda data: self._take(kind, data),
            profile,
            raw=True,
        )

    def _take(self, kind: str, data: bytes) -> None:
        self._hand_over(kind, data)
        # rclpy's executor fetches one message at a time and takes longer over it than this package
        # does: what waits behind is fetched here, or joint states pile up behind images.
        subscription, until = self._subscription, time.monotonic() + _FETCH_S
        while subscription is not None and time.monotonic() < until:
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, True)
            if taken is None:
                return
            self._hand_over(kind, taken[0])

    def _hand_over(self, kind: str, data: bytes) -> None:
        self.received += 1
        self._last = time.monotonic()
        self._on_message(kind, data)

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _alternatives(self) -> str:
        names = topics_of(self._node, self._kinds)
        return f"are: {', '.join(names)}" if names else "are none"


class ImageSubscription:
    """A subscription to images that finds its topic: raw or compressed, named or the only one.

    A topic that nobody publishes is looked for under NAME/compressed as well, which is what image
    transport makes of it. The only topic is the only one in the node's namespace, if there is any,
    so that cameras side by side, each with nodes in its namespace, need not be named.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        on_message: OnMessage,
        *,
        depth: int = 10,
        patience_s: float = 5.0,
    ) -> None:
        """Look for the images now and twice a second until they are found.

        Args:
            node: The node to subscribe with.
            topic: Its name; "" takes the only image topic, once it has been so for a second.
            on_message: Called with the name of the type and the serialised message.
            depth: Messages kept while the node is busy.
            patience_s: Silence of that length is trouble.
        """
        self._node = node
        self._wanted = topic
        self._on_message = on_message
        self._depth = depth
        self._patience_s = patience_s
        self._since = time.monotonic()
        self._only_since: tuple[str | None, float] = (None, self._since)
        self._subscription: MatchedSubscription | None = None
        self._timer = steady_timer(node, _LOOK_AGAIN_S, self._find)
        self._find()

    @property
    def topic(self) -> str | None:
        """The resolved topic, None while it is not found."""
        return None if self._subscription is None else self._subscription.topic

    @property
    def camera_info_topic(self) -> str | None:
        """The camera_info beside the images, None while they are not found."""
        return None if self.topic is None else camera_info_beside(self.topic)

    @property
    def received(self) -> int:
        """Messages so far."""
        return 0 if self._subscription is None else self._subscription.received

    @property
    def publishers(self) -> int:
        """How many publishers the topic has."""
        return 0 if self._subscription is None else self._subscription.publishers

    @property
    def trouble(self) -> str | None:
        """One sentence if nothing arrives, else None."""
        if self._subscription is not None:
            return self._subscription.trouble
        if time.monotonic() - self._since < self._patience_s:
            return None
        found = self._candidates()
        if self._wanted:
            name = self._node.resolve_topic_name(self._wanted)
            return (
                f"no publisher on {name} nor {name}{_COMPRESSED}; images are published on: "
                f"{', '.join(found) or 'no topic'}"
            )
        if not found:
            return "nobody publishes images: start the camera's driver"
        if len({name.removesuffix(_COMPRESSED) for name in found}) == 1:
            # It has only just appeared.
            return None
        return f"there are several image topics, name one (image_topic): {', '.join(found)}"

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_timer(self._timer)
        if self._subscription is not None:
            self._subscription.close()

    def _find(self) -> None:
        if self._subscription is not None:
            return
        topic = self._named() if self._wanted else self._only()
        if topic is not None:
            self._subscription = MatchedSubscription(
                self._node,
                topic,
                IMAGES,
                self._on_message,
                depth=self._depth,
                patience_s=self._patience_s,
            )

    def _named(self) -> str | None:
        name = str(self._node.resolve_topic_name(self._wanted))
        for candidate in (name, name + _COMPRESSED):
            if self._node.get_publishers_info_by_topic(candidate):
                return candidate
        return None

    def _only(self) -> str | None:
        """Return the only camera, unless others may still be about to be discovered."""
        found = self._candidates()
        # A raw topic and what image transport makes of it are one camera.
        cameras = {image_base(name): name for name in sorted(found, reverse=True)}
        only = next(iter(cameras.values())) if len(cameras) == 1 else None
        now = time.monotonic()
        if only != self._only_since[0]:
            self._only_since = (only, now)
        return only if now - self._only_since[1] >= _DISCOVERY_S else None

    def _candidates(self) -> list[str]:
        found = topics_of(self._node, IMAGES)
        inside = self._node.get_namespace().rstrip("/") + "/"
        return [name for name in found if name.startswith(inside)] or found


def topics_of(node: Node, kinds: Mapping[str, type]) -> list[str]:
    """Return the topics of these types that somebody else than this package publishes, sorted."""
    found = []
    for name, types in node.get_topic_names_and_types():
        if set(types) & set(kinds):
            publishers = node.get_publishers_info_by_topic(name)
            if any(publisher.node_name not in OWN_NODES for publisher in publishers):
                found.append(name)
    return sorted(found)


def _profile(offers: list[Any], depth: int) -> QoSProfile:
    qos = [offer.qos_profile for offer in offers]
    reliable = all(q.reliability == ReliabilityPolicy.RELIABLE for q in qos)
    latched = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in qos)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _offer(offer: Any) -> str:
    qos = offer.qos_profile
    return (
        f"{offer.node_namespace.rstrip('/')}/{offer.node_name} "
        f"{qos.reliability.name.lower()}, {qos.durability.name.lower()}"
    )
