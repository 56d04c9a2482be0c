# SPDX-License-Identifier: Apache-2.0
"""Whether the camera_info that is recorded fits the images."""

from __future__ import annotations

from calib_all_ros.collection.finding import Finding
from calib_all_ros.recording.bag_storage import CAMERA_INFO
from calib_all_ros.recording.bag_topics import camera_info_beside, is_rectified
from calib_all_ros.recording.camera_info import CameraInfo, camera_of
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.recording.ros_messages import RosMessages

_STAMP_END = 12


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
    ) -> list[Finding]:
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
                Finding(
                    "error",
                    "camera_info",
                    f"no camera_info for {image_topic} yet: have the driver publish "
                    f"{camera_info_beside(image_topic)}, or name its topic (camera_info_topic)",
                )
            ]
        if self._change is not None:
            return [
                Finding(
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
            return [Finding("error", "camera_info", str(error))]
        if image_size is not None and image_size != (camera.width, camera.height):
            return [
                Finding(
                    "error",
                    "camera_info",
                    f"the images on {image_topic} have {image_size[0]}x{image_size[1]} pixels, the "
                    f"camera_info on {self._topic} is for {camera.width}x{camera.height}: have the "
                    "camera calibrated at the resolution of the images, or record the topic that "
                    "it belongs to",
                )
            ]
        return []
