# SPDX-License-Identifier: Apache-2.0
"""Slow looks at some images and at the robot's description, beside the stream of messages."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from calib_all_ros.collection.coverage import ImageLook, look_at
from calib_all_ros.collection.finding import RecordingIssue
from calib_all_ros.collection.serialised import MessageReader
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.robot.kinematics import Kinematics, RobotError

Found = TypeVar("Found")


class Inspector:
    """Decodes images and reads descriptions, in a thread or at once.

    Attributes:
        kinematics: The robot of the last description, None while there is none.
        image_size: Width and height in pixels of the last image, None while there is none.
    """

    def __init__(
        self, reader: MessageReader, base_frame: str | None, *, in_background: bool
    ) -> None:
        """Start.

        Args:
            reader: Decodes messages.
            base_frame: The robot's base link; the root of its description where None.
            in_background: Work in a thread.
        """
        self.kinematics: Kinematics | None = None
        self.image_size: tuple[int, int] | None = None
        self._reader = reader
        self._base_frame = base_frame
        self._thread = ThreadPoolExecutor(1, "inspector") if in_background else None
        self._jobs: list[Future[None]] = []
        self._wrong: dict[str, RecordingIssue] = {}

    @property
    def is_busy(self) -> bool:
        """Whether something is being looked at."""
        return any(not job.done() for job in self._jobs)

    def findings(self) -> list[RecordingIssue]:
        """Return what could not be read.

        Raises:
            Exception: What went wrong in the thread beyond that.
        """
        self._collect()
        return list(self._wrong.values())

    def load(self, urdf: str) -> None:
        """Read the kinematics of a robot's description, XML text."""
        self._run(lambda: self._load(urdf))

    def look(
        self, topic: str, kind: str, data: bytes, on_look: Callable[[ImageLook], None]
    ) -> None:
        """Decode an image and hand what is worth knowing of it to ``on_look``, in the thread."""
        self._run(lambda: self._look(topic, kind, data, on_look))

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, job: Callable[[], None]) -> None:
        self._collect()
        if self._thread is None:
            job()
        else:
            self._jobs.append(self._thread.submit(job))

    def _collect(self) -> None:
        """Forget the jobs that are done, and raise what went wrong in them."""
        done = [job for job in self._jobs if job.done()]
        self._jobs = [job for job in self._jobs if not job.done()]
        for job in done:
            job.result()

    def _load(self, urdf: str) -> None:
        # It takes two seconds to import what reads descriptions.
        from calib_all_ros.robot.description import load_kinematics

        try:
            self.kinematics = load_kinematics(urdf, base_frame=self._base_frame)
            self._wrong.pop("robot description", None)
        except RobotError as error:
            self.kinematics = None
            self._wrong["robot description"] = RecordingIssue(
                "error", "robot description", str(error)
            )

    def _look(
        self, topic: str, kind: str, data: bytes, on_look: Callable[[ImageLook], None]
    ) -> None:
        try:
            look = look_at(self._reader.image(kind, data, topic))
        except RecordingError as error:
            self._wrong["image"] = RecordingIssue("error", "image", str(error))
            return
        self._wrong.pop("image", None)
        self.image_size = look.size
        on_look(look)
