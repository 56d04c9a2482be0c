# SPDX-License-Identifier: Apache-2.0
"""Checks of streams together: images, camera_info and joint states, and the robot."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from calib_all_ros.collection.finding import RecordingIssue
from calib_all_ros.collection.serialised import JointSample
from calib_all_ros.collection.stream_check import StreamCheck
from calib_all_ros.recording.bag_storage import CAMERA_INFO
from calib_all_ros.recording.bag_topics import camera_info_beside, is_rectified
from calib_all_ros.recording.camera_info import CameraInfo, camera_of
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.recording.ros_messages import RosMessages
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.solving.observations import match_joints

# Images come later than joint states by exposure, processing and transport, tens of milliseconds;
# a wrong clock is usually wrong by more than a second. The solve finds lags of some 100 ms itself.
_MOST_APART_S = 0.5
_LARGEST_LAG_S = 0.25
_FEWEST = 5
_STAMP_END = 12
_SECOND_NS = 1_000_000_000
_KEPT_NS = 5 * _SECOND_NS
# The nearest sample stands for the pose; at usual rates that is nearer than poses have to be.
_NEAR_NS = 100_000_000
# Publishers of the same joints that change their names all the time are nobody's robot.
_MOST_PUBLISHERS = 16
_PATIENCE_S = 2.0
_SILENCE_S = 1.0
_IMAGES_LOST = (
    "let the camera run at a lower rate or resolution, take its compressed topic, or raise "
    "image_depth"
)
_JOINTS_LOST = "look after the robot's driver and the network between it and here"


def clock_findings(images: StreamCheck, joints: Iterable[StreamCheck]) -> list[RecordingIssue]:
    """Compare how much later than their stamps images and joint states arrive.

    A constant difference of some 10 ms is normal and does no harm.
    """
    delays = [check.delay_s for check in joints if check.count >= _FEWEST]
    known = [delay for delay in delays if delay is not None]
    if images.count < _FEWEST or images.delay_s is None or not known:
        return []
    # The slowest publisher of joint states may be a gripper with a clock of its own.
    apart = max((images.delay_s - delay for delay in known), key=abs)
    if abs(apart) <= _LARGEST_LAG_S:
        return []
    direction = "behind" if apart > 0 else "ahead of"
    if abs(apart) <= _MOST_APART_S:
        return [
            RecordingIssue(
                "warn",
                "clocks",
                f"images come {abs(apart):.2f} s {'later' if apart > 0 else 'earlier'} after their "
                "stamps than joint states do: if this is not the way of the images but the clocks, "
                "synchronise them (chrony, PTP)",
            )
        ]
    return [
        RecordingIssue(
            "error",
            "clocks",
            f"the stamps of the images are {abs(apart):.1f} s {direction} those of the joint "
            "states: synchronise the clocks of camera and robot (chrony, PTP), or set "
            "use_sim_time alike in all nodes",
        )
    ]


class CameraInfoCheck:
    """Looks at each camera_info that differs from the one before.

    Attributes:
        count: Messages so far.
        latest: The last of them, None at first.
    """

    def __init__(self, messages: RosMessages) -> None:
        """Begin without any."""
        self.count = 0
        self.latest: CameraInfo | None = None
        self._messages = messages
        self._topic = ""
        self._raw = b""
        self._change: str | None = None
        self._changed_after_s = 0.0
        self._begin_ns = 0

    def begin(self) -> None:
        """Forget changes that were before the recording."""
        self._change = None
        self._begin_ns = 0

    def add(self, topic: str, data: bytes, receipt_ns: int) -> None:
        """Take note of a message.

        Raises:
            RecordingError: The bytes are no camera_info.
        """
        self.count += 1
        self._begin_ns = self._begin_ns or receipt_ns
        content = data[_STAMP_END:]
        if content == self._raw and topic == self._topic:
            return
        self._raw, self._topic = content, topic
        try:
            message = self._messages.typestore.deserialize_cdr(data, CAMERA_INFO)
            info = CameraInfo.from_message(message)
        except Exception as error:  # generated code meets bytes of any kind
            raise RecordingError(f"a message on {topic} is no camera_info ({error})") from error
        if self.latest is not None and self._change is None:
            self._change = info.differs_from(self.latest)
            self._changed_after_s = (receipt_ns - self._begin_ns) / 1e9
        self.latest = info

    def findings(
        self, image_topic: str, image_size: tuple[int, int] | None, waited_s: float
    ) -> list[RecordingIssue]:
        """Return what is wrong.

        Args:
            image_topic: Topic of the images.
            image_size: Their width and height in pixels, None if not known yet.
            waited_s: For how long images have been coming.
        """
        if self.latest is None:
            if waited_s < 2.0:
                return []
            return [
                RecordingIssue(
                    "error",
                    "camera_info",
                    f"no camera_info for {image_topic} yet: have the driver publish "
                    f"{camera_info_beside(image_topic)}, or name its topic (camera_info_topic)",
                )
            ]
        if self._change is not None:
            return [
                RecordingIssue(
                    "error",
                    "camera_info",
                    f"the camera_info on {self._topic} changed {self._changed_after_s:.1f} s into "
                    f"the recording ({self._change}): fix focus, zoom and resolution and start "
                    "again",
                )
            ]
        try:
            camera = camera_of(self.latest, rectified=is_rectified(image_topic), where=self._topic)
        except RecordingError as error:
            return [RecordingIssue("error", "camera_info", str(error))]
        if image_size is not None and image_size != (camera.width, camera.height):
            return [
                RecordingIssue(
                    "error",
                    "camera_info",
                    f"the images on {image_topic} have {image_size[0]}x{image_size[1]} pixels, the "
                    f"camera_info on {self._topic} is for {camera.width}x{camera.height}: have the "
                    "camera calibrated at the resolution of the images, or record the topic that "
                    "it belongs to",
                )
            ]
        return []


class JointHistory:
    """Keeps the joint states of five seconds, of each set of joints by itself."""

    def __init__(self) -> None:
        """Begin without any."""
        self._samples: dict[tuple[str, ...], list[JointSample]] = {}

    def add(self, sample: JointSample) -> None:
        """Add a joint state."""
        samples = self._samples.setdefault(sample.names, [])
        if samples and sample.stamp_ns < samples[-1].stamp_ns:
            # The clock was set back, or a bag begins anew.
            samples.clear()
        samples.append(sample)
        # Half of the list goes at a time: taking away the first of a list each time is slow.
        middle = len(samples) // 2
        if sample.stamp_ns - samples[middle].stamp_ns > _KEPT_NS:
            del samples[:middle]

    @property
    def newest_ns(self) -> int:
        """The newest stamp, 0 if there is none."""
        return max((samples[-1].stamp_ns for samples in self._samples.values()), default=0)

    def is_known_until(self, stamp_ns: int) -> bool:
        """Return whether all joints have reported since a stamp."""
        return bool(self._samples) and all(
            samples[-1].stamp_ns >= stamp_ns for samples in self._samples.values()
        )

    def at(self, stamp_ns: int) -> dict[str, float]:
        """Return the positions of the joints that are known within 0.1 s of a stamp."""
        pose: dict[str, float] = {}
        for names, samples in self._samples.items():
            place = bisect_left(samples, stamp_ns, key=lambda sample: sample.stamp_ns)
            near = samples[max(place - 1, 0) : place + 1]
            sample = min(near, key=lambda sample: abs(sample.stamp_ns - stamp_ns))
            if abs(sample.stamp_ns - stamp_ns) <= _NEAR_NS:
                pose.update(zip(names, sample.positions.tolist(), strict=False))
        return pose


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
    ) -> list[RecordingIssue]:
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

    def _silence(self, now_ns: int) -> list[RecordingIssue]:
        found = []
        if self.images.count and self.images.pause_s(now_ns) > _SILENCE_S:
            found.append(
                RecordingIssue(
                    "error",
                    "images",
                    f"no images on {self._image_topic} for {self.images.pause_s(now_ns):.0f} s: "
                    "look after the camera's driver",
                )
            )
        for (topic, names), check in self.joints.items():
            if check.pause_s(now_ns) > _SILENCE_S:
                found.append(
                    RecordingIssue(
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
                    RecordingIssue(
                        "error",
                        "joint states",
                        "there are images but no joint states: start the robot's driver, or name "
                        "the topic of its joint states (joint_topics)",
                    )
                )
        return found

    def _joints_of(self, kinematics: Kinematics, now_ns: int) -> list[RecordingIssue]:
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
            return [
                RecordingIssue("error", "joints", f"{error}: record the joint states of this robot")
            ]
        return [RecordingIssue("note", "joints", note) for note in matched.notes]


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown}, …" if len(names) > 3 else shown or "no joint"
