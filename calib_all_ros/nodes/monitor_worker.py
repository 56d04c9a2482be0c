# SPDX-License-Identifier: Apache-2.0
"""Examination of images in a thread of its own: the newest counts, the others are dropped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from std_msgs.msg import String

from calib_all_ros.collection.serialised import MessageReader, header_stamp_ns
from calib_all_ros.collection.stream_checks import CameraInfoCheck
from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.monitoring.joints import JointWindow
from calib_all_ros.monitoring.monitor import Monitor
from calib_all_ros.monitoring.state import Observation, State
from calib_all_ros.nodes.monitor_parameters import MonitorParameters
from calib_all_ros.nodes.subscriptions import (
    CAMERA_INFOS,
    JOINT_STATES,
    ImageSubscription,
    MatchedSubscription,
)
from calib_all_ros.pictures.overlay import AFTER, BEFORE, draw_outline
from calib_all_ros.recording.bag_storage import STRING
from calib_all_ros.recording.bag_topics import is_rectified
from calib_all_ros.recording.camera_info import CameraInfo, camera_of

_JOINT_DEPTH = 500
# Joint states are kept for so long, by their stamps.
JOINTS_S = 4.0
# An image waits for joint states so much after its stamp: they tell whether it is stamped early.
AFTERMATH_NS = 250_000_000
PATIENCE_S = 0.5
LOOK_AGAIN_S = 0.02
BEFORE_IMAGE_S = 1.0
MAX_WAITING_IMAGES = 4
CLOSING_S = 5.0
# Images that come at the rate wanted, or a little too early, are not dropped.
EARLY_SHARE = 0.9
# At 1 kHz this is what comes while the robot is loaded.
MAX_WAITING_JOINTS = 20_000
OUTLINE_PX = 2


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


@dataclass(frozen=True)
class Look:
    """What an image showed.

    Attributes:
        observation: The finding.
        overlay: (H, W, 3) RGB image with the robot's outline, None where nobody wants it.
        cpu_ms: CPU time that looking took.
    """

    observation: Observation
    overlay: NDArray[np.uint8] | None
    cpu_ms: float


@dataclass(frozen=True)
class _Waiting:
    kind: str
    data: bytes
    topic: str
    stamp_ns: int
    since_s: float


class MonitorWorker:
    """Feeds a monitor with the newest image whenever it is due.

    Attributes:
        latest: The last look, None before the first.
        trouble: What keeps it from looking, one sentence.
        error: An exception that ends the node: the robot cannot be loaded, or a bug.
        seen: Images looked at.
        wants_overlay: Set from outside: whether pictures are to be drawn.
    """

    def __init__(
        self, make_monitor: Callable[[], Monitor], rate_hz: float, overlay_rate_hz: float
    ) -> None:
        """Start the thread.

        Args:
            make_monitor: Called in the thread; may take seconds.
            rate_hz: Images per second, at most.
            overlay_rate_hz: Pictures per second, at most.
        """
        self.latest: Look | None = None
        self.trouble: str | None = None
        self.error: Exception | None = None
        self.seen = 0
        self.wants_overlay = False
        self._make_monitor = make_monitor
        self._interval_s = 1.0 / rate_hz
        self._overlay_interval_s = 1.0 / overlay_rate_hz
        self._drawn_s = -np.inf
        self._reader = MessageReader()
        self._window = JointWindow(JOINTS_S)
        self._news = threading.Condition()
        self._images: deque[_Waiting] = deque(maxlen=MAX_WAITING_IMAGES)
        self._accepted_s = -np.inf
        self._joints: deque[bytes] = deque(maxlen=MAX_WAITING_JOINTS)
        self._closing = False
        self._monitor: Monitor | None = None
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._thread.start()

    @property
    def monitor(self) -> Monitor | None:
        """The monitor, None until it is made."""
        return self._monitor

    def add_image(self, kind: str, data: bytes, topic: str) -> None:
        """Offer a serialised image; it is dropped when another was taken just before."""
        now_s = time.monotonic()
        if now_s - self._accepted_s < EARLY_SHARE * self._interval_s:
            return
        self._accepted_s = now_s
        with self._news:
            self._images.append(_Waiting(kind, data, topic, header_stamp_ns(data), now_s))
            self._news.notify()

    def add_joints(self, data: bytes) -> None:
        """Take a serialised joint state."""
        with self._news:
            self._joints.append(data)

    def end(self) -> None:
        """Let the thread end, without waiting for it."""
        with self._news:
            self._closing = True
            self._news.notify()

    def close(self) -> None:
        """End the thread; one that still loads the robot is left behind."""
        self.end()
        self._thread.join(CLOSING_S)

    def _run(self) -> None:
        try:
            self._monitor = self._make_monitor()
            while (image := self._next_image()) is not None:
                try:
                    self._look(image)
                    self.trouble = None
                except CalibAllError as error:
                    self.trouble = str(error)
        # Whatever it is, it belongs to the main thread, which ends the node with it.
        except Exception as error:
            self.error = error

    def _next_image(self) -> _Waiting | None:
        """Wait for the newest image that can be looked at; None when it is time to end."""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._closing or self._images)
                if self._closing:
                    return None
                joints, self._joints = self._joints, deque(maxlen=MAX_WAITING_JOINTS)
            for data in joints:
                state = self._reader.joint_state(data)
                self._window.add(state.stamp_ns, state.names, state.positions)
            with self._news:
                for number in reversed(range(len(self._images))):
                    if self._is_due(self._images[number]):
                        image = self._images[number]
                        # Older ones would only tell what has been.
                        for _ in range(number + 1):
                            self._images.popleft()
                        return image
                self._news.wait_for(lambda: self._closing, LOOK_AGAIN_S)

    def _is_due(self, image: _Waiting) -> bool:
        """Return whether joint states reach beyond an image, or it has waited long enough."""
        if time.monotonic() - image.since_s > PATIENCE_S:
            return True
        newest_ns = self._window.newest_ns
        return newest_ns is not None and newest_ns >= image.stamp_ns + AFTERMATH_NS

    def _look(self, waiting: _Waiting) -> None:
        assert self._monitor is not None
        began_s = time.thread_time()
        stamp_ns = waiting.stamp_ns
        if self._window.newest_ns is None:
            told = "no joint states have come yet"
            self.latest = Look(Observation(State.NO_JOINTS, told, stamp_ns), None, 0.0)
            return
        image = self._reader.image(waiting.kind, waiting.data, waiting.topic)
        joints = self._window.around(stamp_ns, BEFORE_IMAGE_S)
        observation = self._monitor.observe(image, stamp_ns, joints)
        overlay = self._draw(image, observation)
        self.seen += 1
        self.latest = Look(observation, overlay, 1e3 * (time.thread_time() - began_s))

    def _draw(self, image: NDArray[np.uint8], observation: Observation) -> NDArray[np.uint8] | None:
        now_s = time.monotonic()
        due = now_s - self._drawn_s >= self._overlay_interval_s
        if not self.wants_overlay or not due or self._monitor is None:
            return None
        self._drawn_s = now_s
        picture = self._monitor.shown(image)
        if observation.positions is None:
            return picture
        calibrated = self._monitor.silhouette(observation.positions)
        if observation.T_camera_base is None:
            return draw_outline(picture, calibrated, AFTER, OUTLINE_PX)
        found = self._monitor.silhouette(observation.positions, observation.T_camera_base)
        picture = draw_outline(picture, calibrated, BEFORE, OUTLINE_PX, dashed=True)
        return draw_outline(picture, found, AFTER, OUTLINE_PX)
