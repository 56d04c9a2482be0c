# SPDX-License-Identifier: Apache-2.0
"""Collection of a recording: serialised messages are checked and recorded, what is missing is said.

It knows nothing of ROS: a node feeds it with what arrives, or `playback` with what is in a bag.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.collection.background_writer import BackgroundWriter
from calib_all_ros.collection.coverage import ImageLook
from calib_all_ros.collection.finding import CollectionError, RecordingIssue, sorted_findings
from calib_all_ros.collection.inspector import Inspector
from calib_all_ros.collection.serialised import LatchedMessages, MessageReader, header_stamp_ns
from calib_all_ros.collection.session import Session
from calib_all_ros.collection.settings import CollectionSettings
from calib_all_ros.collection.stop_and_go import JointConfigurations
from calib_all_ros.collection.stream_checks import JointHistory, StreamChecks
from calib_all_ros.collection.stream_writer import BagStream, StreamMessage
from calib_all_ros.recording.bag_storage import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    JOINT_STATE,
    STRING,
    TF_MESSAGE,
)
from calib_all_ros.recording.recording import RecordingError

State = Literal["idle", "recording", "closing"]
DESCRIPTION_TOPIC = "/robot_description"
_LONG_WAIT_NS = 3_000_000_000
# Radians or metres; encoder noise is far below.
_MOVED = 0.01


@dataclass(frozen=True)
class Progress:
    """Where a collection stands.

    Attributes:
        state: "idle", "recording" or "closing".
        is_informative: Whether enough is recorded, and nothing stands in the way of using it.
        findings: What there is to say, the most important first.
        figures: Numbers for people who look closer, their units in the names.
    """

    state: State
    is_informative: bool
    findings: tuple[RecordingIssue, ...]
    figures: dict[str, object]


class Collector:
    """Takes messages at any time, records them between `start` and `stop`.

    Its methods may be called from any thread, and none blocks for long.

    Attributes:
        state: What it does with messages: nothing, record, or finish the recording.
        now_ns: When the last message was received.
        ended_by: Why the recording has ended without `stop`, if it has.
    """

    def __init__(
        self,
        settings: CollectionSettings | None = None,
        *,
        urdf: str | None = None,
        base_frame: str | None = None,
        configurations: JointConfigurations | None = None,
        in_background: bool = True,
    ) -> None:
        """Begin to take messages.

        Args:
            settings: The defaults where None.
            urdf: XML text of the robot's description; taken from its topic where None.
            base_frame: The robot's base link; the root of its description where None.
            configurations: What to visit in stop and go; any new pose where None.
            in_background: Look at images in a thread, and leave out those, and messages, that it
                or the disk has no time for. Otherwise `add` waits.
        """
        self.state: State = "idle"
        self.now_ns = 0
        self.ended_by: str | None = None
        self._settings = settings or CollectionSettings()
        self._configurations = configurations
        self._in_background = in_background
        self._own_urdf = urdf is not None
        self._lock = threading.RLock()
        self._reader = MessageReader()
        self._checks = StreamChecks(self._reader.messages)
        self._history = JointHistory()
        self._latched = LatchedMessages()
        self._inspector = Inspector(self._reader, base_frame, in_background=in_background)
        self._broken: dict[str, RecordingIssue] = {}
        self._at_first: dict[tuple[str, ...], NDArray[np.float64]] = {}
        self._has_moved = False
        self._writer: BackgroundWriter | None = None
        self._session = self._new_session()
        if urdf is not None:
            text = self._reader.messages.string(urdf)
            data = self._reader.messages.serialised(text, STRING)
            self._latched.add(StreamMessage(DESCRIPTION_TOPIC, STRING, 0, data, True))
            self._inspector.load(urdf)

    def add(self, message: StreamMessage) -> None:
        """Take a message of one of the types that a recording consists of; others are ignored."""
        takers = {
            IMAGE: self._take_image,
            COMPRESSED_IMAGE: self._take_image,
            CAMERA_INFO: self._take_camera_info,
            JOINT_STATE: self._take_joint_state,
            STRING: self._take_description,
            TF_MESSAGE: self._take_transforms,
        }
        if message.kind not in takers:
            return
        with self._lock:
            self.now_ns = message.log_ns
            try:
                takers[message.kind](message)
            except RecordingError as error:
                topic = f"messages on {message.topic}"
                self._broken[topic] = RecordingIssue("error", topic, f"{message.topic}: {error}")
            if self._writer is not None and self._writer.failure is not None:
                self.ended_by = str(self._writer.failure)
                self.stop()

    def start(self, path: Path, now_ns: int) -> Path:
        """Begin a recording and return the folder that it will be when it is finished.

        Args:
            path: Folder; a name in use gets a number behind.
            now_ns: The present time, of the clock by which messages are received.

        Raises:
            CollectionError: One is under way, or the folder cannot be written to.
        """
        with self._lock:
            if self.state != "idle":
                raise CollectionError("a recording is under way: stop it before starting another")
            stream = BagStream(path, self._settings.storage)
            queue = self._settings.max_queued_megabytes
            self._writer = BackgroundWriter(stream, max_queued_megabytes=queue)
            self._session = self._new_session()
            self.state = "recording"
            for message in self._latched.messages():
                self._record(message._replace(log_ns=now_ns))
            return stream.path

    @property
    def images(self) -> int:
        """How many images have been recorded."""
        return self._session.images

    @property
    def awaits(self) -> str | None:
        """What has to happen before a recording makes sense; None if it does."""
        if not self._checks.images.count:
            return "images"
        if not self._checks.joints:
            return "joint states"
        if not self._has_moved and self._settings.mode == "continuous":
            return "the robot to move"
        return None

    def stop(self) -> None:
        """Have the recording finished; `result` tells when it is."""
        with self._lock:
            if self.state == "recording" and self._writer is not None:
                self.state = "closing"
                if self.images:
                    self._writer.close()
                else:
                    self._writer.discard()

    def discard(self) -> None:
        """Have the recording under way deleted."""
        with self._lock:
            if self.state == "recording" and self._writer is not None:
                self.state = "closing"
                self._writer.discard()

    def result(self, timeout_s: float | None = 0.0) -> Path | None:
        """Return the folder of the recording once it is finished.

        Args:
            timeout_s: How long to wait for it; None for as long as it takes.

        Returns:
            The folder; None if it is not finished yet, or was discarded for want of images.

        Raises:
            CollectionError: It could not be finished.
        """
        with self._lock:
            writer = self._writer if self.state == "closing" else None
        if writer is None:
            return None
        try:
            path = writer.result(timeout_s)
        finally:
            if writer.is_done:
                self.state = "idle"
        return path

    def progress(self, now_ns: int) -> Progress:
        """Return where the collection stands.

        Args:
            now_ns: The present time, of the clock by which messages are received.
        """
        with self._lock:
            kinematics = self._inspector.kinematics
            if kinematics is not None:
                self._session.know(kinematics)
            found = self._inspector.findings()
            found += self._broken.values()
            found += self._checks.findings(now_ns, self._inspector.image_size, kinematics)
            found += self._losses()
            if kinematics is None and not self._inspector.is_busy:
                found += self._no_robot(now_ns)
            missing = self._session.missing(self._history) if self.state == "recording" else []
            open_ends = [f for f in (*found, *missing) if f.level in ("error", "hint")]
            done = self.state == "recording" and not open_ends
            return Progress(self.state, done, sorted_findings([*found, *missing]), self._figures())

    def close(self) -> None:
        """End the threads; a recording under way is finished first."""
        self.stop()
        try:
            self.result(None)
        finally:
            self._inspector.close()

    def _new_session(self) -> Session:
        """Forget what was before."""
        self.ended_by = None
        self._checks.begin()
        self._broken.clear()
        return Session(self._settings, self._configurations, self._inspector.kinematics)

    def _take_image(self, message: StreamMessage) -> None:
        stamp_ns = header_stamp_ns(message.data)
        self._checks.add_image(message.topic, stamp_ns, message.log_ns)
        stamp_ns = stamp_ns or message.log_ns
        taken = self.state == "recording" and self._session.takes(stamp_ns)
        if taken:
            self._record(message)
        # The first image is looked at in any case: its size has to fit the camera_info.
        if taken or self._inspector.image_size is None:
            self._look(message, stamp_ns, taken)

    def _look(self, message: StreamMessage, stamp_ns: int, taken: bool) -> None:
        session = self._session
        has_time = not self._in_background or not self._inspector.is_busy
        if not session.wants_look(stamp_ns) or not (has_time or session.needs_every_look):
            return
        session.begin_look(stamp_ns)

        def note(look: ImageLook) -> None:
            with self._lock:
                if taken:
                    session.end_look(stamp_ns, look)

        self._inspector.look(message.topic, message.kind, message.data, note)

    def _take_camera_info(self, message: StreamMessage) -> None:
        self._checks.camera_info.add(message.topic, message.data, message.log_ns)
        self._latched.add(message)
        self._record(message)

    def _take_joint_state(self, message: StreamMessage) -> None:
        sample = self._reader.joint_state(message.data)
        self._checks.add_joint_state(message.topic, sample, message.log_ns)
        if sample.stamp_ns == 0:
            sample = sample._replace(stamp_ns=message.log_ns)
        self._record(message)
        if not len(sample.positions):
            return
        self._history.add(sample)
        first = self._at_first.setdefault(sample.names, sample.positions)
        self._has_moved |= bool(np.abs(sample.positions - first).max() > _MOVED)
        self._session.add_joint_state(sample, self._history)

    def _take_description(self, message: StreamMessage) -> None:
        if self._own_urdf or not message.topic.endswith("robot_description"):
            return
        if self._latched.add(message):
            self._inspector.load(self._reader.text(message.data))
            self._record(message)

    def _take_transforms(self, message: StreamMessage) -> None:
        if self._latched.add(message):
            self._record(message)

    def _record(self, message: StreamMessage) -> None:
        if self.state == "recording" and self._writer is not None:
            self._writer.put(message, wait=not self._in_background)

    def _no_robot(self, now_ns: int) -> list[RecordingIssue]:
        images = self._checks.images
        waited_ns = now_ns - images.first_receipt_ns
        if self._latched.has(STRING) or not images.count or waited_ns < _LONG_WAIT_NS:
            return []
        return [
            RecordingIssue(
                "warn",
                "robot description",
                "there is no robot description, so the motion cannot be judged: publish it "
                "(robot_state_publisher), or give a URDF file (urdf)",
            )
        ]

    def _losses(self) -> list[RecordingIssue]:
        if self._writer is None or self.state != "recording" or not self._writer.lost:
            return []
        lost = self._writer.lost
        return [
            RecordingIssue(
                "warn",
                "disk",
                f"{sum(lost.values())} messages were lost ({', '.join(lost)}) because the disk is "
                "too slow: record a compressed or smaller image topic, or to a faster disk",
            )
        ]

    def _figures(self) -> dict[str, object]:
        figures = self._session.figures()
        figures["images_dropped"] = self._checks.images.dropped
        period_s = self._checks.images.period_s
        if period_s:
            figures["image_rate_hz"] = round(1.0 / period_s, 1)
        if self._writer is not None:
            figures["megabytes"] = round(self._writer.bytes_written / 1e6, 1)
            figures["messages_lost"] = sum(self._writer.lost.values())
        return figures
