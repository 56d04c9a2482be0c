# SPDX-License-Identifier: Apache-2.0
"""Images that a recording has gathered, and what it lacks."""

from __future__ import annotations

from calib_all_ros.collection.coverage import Coverage, ImageLook
from calib_all_ros.collection.finding import RecordingIssue
from calib_all_ros.collection.serialised import JointSample
from calib_all_ros.collection.settings import CollectionSettings
from calib_all_ros.collection.stop_and_go import JointConfigurations, StopAndGo
from calib_all_ros.collection.stream_checks import JointHistory
from calib_all_ros.robot.kinematics import Kinematics

_SECOND_NS = 1_000_000_000
# The joint states go on for so long after the last image that is needed.
_TAIL_NS = 300_000_000
_PATIENCE_NS = 1_000_000_000
# Cameras are not punctual.
_NEARLY = 0.9


class Session:
    """Follows one recording.

    Attributes:
        images: How many images have been taken.
    """

    def __init__(
        self,
        settings: CollectionSettings,
        configurations: JointConfigurations | None,
        kinematics: Kinematics | None,
    ) -> None:
        """Begin.

        Args:
            settings: How it is collected.
            configurations: What to visit in stop and go; any new pose where None.
            kinematics: The robot, if it is known already.
        """
        self.images = 0
        self._interval_ns = settings.inspection_interval_s * _SECOND_NS
        self._coverage = Coverage(settings.goals, kinematics)
        self._stop_and_go: StopAndGo | None = None
        self._follows_list = configurations is not None
        if settings.mode == "stop_and_go":
            self._stop_and_go = StopAndGo(settings.stop_and_go, configurations)
        self._first_image_ns = 0
        self._last_image_ns = 0
        self._last_look_ns: int | None = None
        self._without_pose: list[int] = []

    @property
    def needs_every_look(self) -> bool:
        """Whether each image that is taken has to be looked at."""
        return self._stop_and_go is not None

    def know(self, kinematics: Kinematics) -> None:
        """Take note of the robot."""
        self._coverage.kinematics = kinematics

    def takes(self, stamp_ns: int) -> bool:
        """Return whether to record an image."""
        if self._stop_and_go is not None and not self._stop_and_go.takes(stamp_ns):
            return False
        self._first_image_ns = self._first_image_ns or stamp_ns
        self._last_image_ns = stamp_ns
        self.images += 1
        return True

    def wants_look(self, stamp_ns: int) -> bool:
        """Return whether it is time to look at an image again."""
        last_ns = self._last_look_ns
        return last_ns is None or not 0 <= stamp_ns - last_ns < _NEARLY * self._interval_ns

    def begin_look(self, stamp_ns: int) -> None:
        """Take note that an image is being looked at."""
        self._last_look_ns = stamp_ns

    def end_look(self, stamp_ns: int, look: ImageLook) -> None:
        """Take note of what was seen."""
        if self._coverage.add_image(look):
            self._without_pose.append(stamp_ns)

    def add_joint_state(self, sample: JointSample, history: JointHistory) -> None:
        """Take note of a joint state, which is in the history already."""
        if self._stop_and_go is not None:
            self._stop_and_go.add_joint_state(*sample)
        while self._without_pose:
            stamp_ns = self._without_pose[0]
            overdue = sample.stamp_ns - stamp_ns > _PATIENCE_NS
            if not overdue and not history.is_known_until(stamp_ns):
                return
            self._coverage.add_pose(history.at(stamp_ns))
            self._without_pose.pop(0)

    def missing(self, history: JointHistory) -> list[RecordingIssue]:
        """Return what has to be recorded yet."""
        if self._stop_and_go is None:
            return self._coverage.findings()
        missing = self._stop_and_go.findings()
        if not missing and history.newest_ns < self._last_image_ns + _TAIL_NS:
            sentence = "the joint states after the last image are awaited"
            missing.append(RecordingIssue("hint", "poses", sentence))
        if not self._follows_list:
            return missing + self._coverage.findings()
        # A list of configurations is its author's decision: what it lacks is only said.
        return missing or [
            RecordingIssue("warn", finding.topic, f"all poses are taken, but {finding.sentence}")
            for finding in self._coverage.findings()
        ]

    def figures(self) -> dict[str, object]:
        """Return numbers for people who look closer, their units in the names."""
        motion, images = self._coverage.figures()
        figures: dict[str, object] = {
            "images": self.images,
            "duration_s": round((self._last_image_ns - self._first_image_ns) / _SECOND_NS, 1),
            "distinct_poses": motion.poses,
            "changed_share": round(images.changed_share, 3),
            "images_inspected": images.inspected,
            "images_blurred": images.blurred,
        }
        if motion.done is not None:
            figures["end_effector"] = motion.done.link
            figures["travel_m"] = round(motion.done.travel_m, 2)
            figures["turn_deg"] = round(motion.done.turn_deg)
            figures["second_turn_deg"] = round(motion.done.second_turn_deg)
        if self._stop_and_go is not None:
            figures["poses_taken"] = self._stop_and_go.taken
        return figures
