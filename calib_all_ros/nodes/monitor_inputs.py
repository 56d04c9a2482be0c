# SPDX-License-Identifier: Apache-2.0
"""What the monitor listens to: images, joint states, camera_info and the robot's description."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_msgs.msg import String

from calib_all_ros.collection.camera_info_check import CameraInfoCheck
from calib_all_ros.collection.serialised import MessageReader
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.nodes.monitor_parameters import MonitorParameters
from calib_all_ros.nodes.subscriptions import (
    CAMERA_INFOS,
    JOINT_STATES,
    ImageSubscription,
    MatchedSubscription,
)
from calib_all_ros.recording.bag_storage import STRING
from calib_all_ros.recording.bag_topics import is_rectified
from calib_all_ros.recording.camera_info import CameraInfo, camera_of

_JOINT_DEPTH = 500


class MonitorInputs:
    """The monitor's subscriptions.

    Attributes:
        description: The robot's URDF from the parameters' file or from its topic, None before it
            has come.
    """

    def __init__(
        self,
        node: Node,
        parameters: MonitorParameters,
        on_image: Callable[[str, bytes, str], None],
        on_joints: Callable[[bytes], None],
    ) -> None:
        """Subscribe.

        Args:
            node: Whose subscriptions these are.
            parameters: What to subscribe to.
            on_image: Called with type, bytes and topic of an image.
            on_joints: Called with the bytes of a joint state.
        """
        self._node = node
        self._options = parameters
        self._reader = MessageReader()
        self._info = CameraInfoCheck(self._reader.messages)
        self._camera_info: MatchedSubscription | None = None
        self._camera: Camera | None = None
        self._described_by: CameraInfo | None = None
        self.description: str | None = parameters.urdf or None
        # The newest image is all that counts.
        self.images = ImageSubscription(
            node,
            parameters.image_topic,
            lambda kind, data: on_image(kind, data, self.images.topic or ""),
            depth=1,
        )
        self._joints = [
            MatchedSubscription(
                node, topic, JOINT_STATES, lambda _, data: on_joints(data), depth=_JOINT_DEPTH
            )
            for topic in parameters.joint_topics
        ]
        self._description: MatchedSubscription | None = None
        if not parameters.urdf:
            self._description = MatchedSubscription(
                node, parameters.robot_description_topic, {STRING: String}, self._describe, depth=1
            )

    @property
    def joint_trouble(self) -> str | None:
        """One sentence if no joint states arrive, else None."""
        return next((joints.trouble for joints in self._joints if joints.trouble), None)

    @property
    def description_trouble(self) -> str:
        """Why there is no robot description yet."""
        assert self._description is not None
        trouble = self._description.trouble
        if trouble is None:
            return f"waits for the robot's description on {self._description.topic}"
        return f"{trouble}; or give a URDF file (urdf)"

    def look(self) -> None:
        """Subscribe to the camera_info as soon as it is known where it is; call now and then."""
        topic = self._options.camera_info_topic or self.images.camera_info_topic
        if self._camera_info is None and topic:
            name = str(self._node.resolve_topic_name(topic))
            self._camera_info = MatchedSubscription(
                self._node,
                topic,
                CAMERA_INFOS,
                lambda _, data: self._info.add(name, data, 0),
                depth=1,
            )

    def camera(self) -> Camera | None:
        """Return the camera that camera_info describes, the same until that changes.

        None before it has come.

        Raises:
            RecordingError: It is not calibrated, or of a kind that is not supported.
        """
        info = self._info.latest
        if info is None or self._camera_info is None:
            return None
        if info is not self._described_by:
            rectified = is_rectified(self.images.topic or "")
            self._camera = camera_of(info, rectified=rectified, where=self._camera_info.topic)
            self._described_by = info
        return self._camera

    def _describe(self, kind: str, data: bytes) -> None:
        self.description = self._reader.text(data)
