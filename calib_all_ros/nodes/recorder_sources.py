# SPDX-License-Identifier: Apache-2.0
"""Sources of the recorder: topics, their messages, and silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rclpy.node import Node
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from calib_all_ros.collection.finding import RecordingIssue
from calib_all_ros.collection.stream_writer import StreamMessage
from calib_all_ros.nodes.recorder_parameters import RecorderParameters
from calib_all_ros.nodes.subscriptions import (
    CAMERA_INFOS,
    JOINT_STATES,
    ImageSubscription,
    MatchedSubscription,
)
from calib_all_ros.nodes.tf_topics import HEAR_STATIC, TF_STATIC
from calib_all_ros.recording.bag_storage import STRING, TF_MESSAGE


class RecorderSources:
    """Subscribes to all that belongs into a recording."""

    def __init__(
        self,
        node: Node,
        parameters: RecorderParameters,
        on_message: Callable[[StreamMessage], None],
    ) -> None:
        """Subscribe.

        Args:
            node: Whose subscriptions these are.
            parameters: What to subscribe to.
            on_message: Called with each message, in the executor's thread.
        """
        self._node = node
        self._options = parameters
        self._on_message = on_message
        self._images = ImageSubscription(
            node,
            parameters.image_topic,
            lambda kind, data: self._hear(self._images.topic or "", kind, data),
            depth=parameters.image_depth,
        )
        self._joints = [
            self._subscribe(topic, JOINT_STATES, parameters.joint_depth)
            for topic in parameters.joint_topics
        ]
        self._camera_info: MatchedSubscription | None = None
        self._description: MatchedSubscription | None = None
        if not parameters.urdf:
            self._description = self._subscribe(
                parameters.robot_description_topic, {STRING: String}, 1, latched=True
            )
        tf_static = str(node.resolve_topic_name(TF_STATIC))
        self._statics = node.create_subscription(
            TFMessage,
            tf_static,
            lambda data: self._hear(tf_static, TF_MESSAGE, data, latched=True),
            HEAR_STATIC,
            raw=True,
        )

    def look(self) -> None:
        """Subscribe to the camera_info as soon as it is known where it is; call now and then."""
        topic = self._options.camera_info_topic or self._images.camera_info_topic
        if self._camera_info is None and topic:
            self._camera_info = self._subscribe(topic, CAMERA_INFOS, 10)

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._images.close()
        for subscription in (*self._joints, self._camera_info, self._description):
            if subscription is not None:
                subscription.close()
        self._node.destroy_subscription(self._statics)

    def findings(self) -> list[RecordingIssue]:
        """Return where there is silence, and why."""
        # The same subjects as the collector's own findings, which say less.
        troubles = [("images", "error", self._images.trouble)]
        troubles += [("joint states", "error", joints.trouble) for joints in self._joints]
        if self._camera_info is not None:
            troubles.append(("camera_info", "error", self._camera_info.trouble))
        if self._description is not None and not self._description.received:
            trouble = self._description.trouble
            advice = f"{trouble}; or give a URDF file (urdf)" if trouble else None
            troubles.append(("robot description", "warn", advice))
        return [
            RecordingIssue("error" if level == "error" else "warn", subject, sentence)
            for subject, level, sentence in troubles
            if sentence is not None
        ]

    def received(self) -> dict[str, object]:
        """Return how many messages have arrived."""
        return {
            "images_received": self._images.received,
            "joint_states_received": sum(joints.received for joints in self._joints),
        }

    def _subscribe(
        self, topic: str, kinds: Mapping[str, type], depth: int, *, latched: bool = False
    ) -> MatchedSubscription:
        name = str(self._node.resolve_topic_name(topic))
        return MatchedSubscription(
            self._node,
            topic,
            kinds,
            lambda kind, data: self._hear(name, kind, data, latched=latched),
            depth=depth,
        )

    def _hear(self, topic: str, kind: str, data: bytes, *, latched: bool = False) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        self._on_message(StreamMessage(topic, kind, now_ns, data, latched))
