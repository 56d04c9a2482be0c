# SPDX-License-Identifier: Apache-2.0
"""Whether images, camera_info and joint states go together, and with the robot."""

from __future__ import annotations

from calib_all_ros.collection.camera_info_check import CameraInfoCheck
from calib_all_ros.collection.clock_check import clock_findings
from calib_all_ros.collection.finding import Finding
from calib_all_ros.collection.serialised import JointSample
from calib_all_ros.collection.stream_check import StreamCheck
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.recording.ros_messages import RosMessages
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.solving.observations import match_joints

_SECOND_NS = 1_000_000_000
# Publishers of the same joints that change their names all the time are nobody's robot.
_MOST_PUBLISHERS = 16
_PATIENCE_S = 2.0
_SILENCE_S = 1.0

_IMAGES_LOST = (
    "let the camera run at a lower rate or resolution, take its compressed topic, or raise "
    "image_depth"
)
_JOINTS_LOST = "look after the robot's driver and the network between it and here"


class StreamChecks:
    """Follows all streams of a recording.

    Attributes:
        images: Stamps of the images.
        camera_info: The camera's own description.
        joints: Stamps of each set of joints, by topic and names.
    """

    def __init__(self, messages: RosMessages) -> None:
        """Begin without messages."""
        self.camera_info = CameraInfoCheck(messages)
        self._image_topic = ""
        self._began_ns = 0
        self.begin()

    def begin(self) -> None:
        """Forget what was before the recording, but for the camera_info."""
        self.images = StreamCheck("images", self._image_topic, _IMAGES_LOST)
        self.joints: dict[tuple[str, tuple[str, ...]], StreamCheck] = {}
        self.camera_info.begin()

    def add_image(self, topic: str, stamp_ns: int, receipt_ns: int) -> None:
        """Take note of an image."""
        if topic != self._image_topic:
            self._image_topic = topic
            self.images = StreamCheck("images", topic, _IMAGES_LOST)
        self.images.add(stamp_ns, receipt_ns)
        if self.images.count == 1:
            self._began_ns = receipt_ns

    def add_joint_state(self, topic: str, sample: JointSample, receipt_ns: int) -> None:
        """Take note of a joint state."""
        key = (topic, sample.names)
        if key not in self.joints:
            if len(self.joints) >= _MOST_PUBLISHERS:
                return
            self.joints[key] = StreamCheck("joint states", topic, _JOINTS_LOST)
        self.joints[key].add(sample.stamp_ns, receipt_ns)

    def findings(
        self, now_ns: int, image_size: tuple[int, int] | None, kinematics: Kinematics | None
    ) -> list[Finding]:
        """Return all that is wrong with the streams.

        Args:
            now_ns: The present time, of the clock that the times of receipt are of.
            image_size: Width and height of the images in pixels, None if not known yet.
            kinematics: The robot, None if not known yet.
        """
        found = self._silence(now_ns)
        if self.images.count:
            waited_s = (now_ns - self._began_ns) / _SECOND_NS
            found += self.camera_info.findings(self._image_topic, image_size, waited_s)
        found += clock_findings(self.images, self.joints.values())
        found += self.images.findings()
        for check in self.joints.values():
            found += check.findings()
        if kinematics is not None:
            found += self._joints_of(kinematics, now_ns)
        return found

    def _silence(self, now_ns: int) -> list[Finding]:
        found = []
        if self.images.count and self.images.pause_s(now_ns) > _SILENCE_S:
            found.append(
                Finding(
                    "error",
                    "images",
                    f"no images on {self._image_topic} for {self.images.pause_s(now_ns):.0f} s: "
                    "look after the camera's driver",
                )
            )
        for (topic, names), check in self.joints.items():
            if check.pause_s(now_ns) > _SILENCE_S:
                found.append(
                    Finding(
                        "error",
                        f"joint states of {names[0] if names else topic}",
                        f"no joint states of {_listed(names)} on {topic} for "
                        f"{check.pause_s(now_ns):.0f} s, and images without them cannot be used: "
                        "look after the robot's driver",
                    )
                )
        if self.images.count and not self.joints:
            waited_s = (now_ns - self._began_ns) / _SECOND_NS
            if waited_s > _PATIENCE_S:
                found.append(
                    Finding(
                        "error",
                        "joint states",
                        "there are images but no joint states: start the robot's driver, or name "
                        "the topic of its joint states (joint_topics)",
                    )
                )
        return found

    def _joints_of(self, kinematics: Kinematics, now_ns: int) -> list[Finding]:
        if not self.joints:
            return []
        # Another publisher, of the gripper say, may need a moment longer.
        first_ns = min(check.first_receipt_ns for check in self.joints.values())
        if (now_ns - first_ns) / _SECOND_NS < _PATIENCE_S:
            return []
        recorded = tuple(dict.fromkeys(name for _, names in self.joints for name in names))
        try:
            matched = match_joints(kinematics, recorded)
        except RecordingError as error:
            return [Finding("error", "joints", f"{error}: record the joint states of this robot")]
        return [Finding("note", "joints", note) for note in matched.notes]


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown}, …" if len(names) > 3 else shown or "no joint"
