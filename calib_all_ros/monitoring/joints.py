# SPDX-License-Identifier: Apache-2.0
"""Latest joint states, as many as a monitor needs, and whether they will do."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import RecordingError
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.solving.observations import MatchedJoints, match_joints

NS_PER_S = 1_000_000_000
# Images and joint states so far apart are not stamped by the same clock.
CLOCK_DIFFERENCE_S = 5.0


class JointWindow:
    """Keeps joint states of the last seconds, from any number of publishers.

    Attributes:
        newest_ns: Stamp of the newest joint state, None before the first.
    """

    def __init__(self, length_s: float) -> None:
        """Begin empty.

        Args:
            length_s: How long a joint state is kept, by the stamps.
        """
        self.newest_ns: int | None = None
        self._length_ns = round(length_s * NS_PER_S)
        self._states: deque[tuple[int, tuple[str, ...], NDArray[np.float64]]] = deque()

    def add(self, stamp_ns: int, names: Sequence[str], positions: ArrayLike) -> None:
        """Take a joint state; one without positions, or with any that is not finite, is dropped.

        A stamp that jumps back by more than the length is a new beginning.
        """
        values = np.asarray(positions, dtype=np.float64)
        if values.shape != (len(names),) or not values.size or not np.isfinite(values).all():
            return
        if self.newest_ns is not None and stamp_ns < self.newest_ns - self._length_ns:
            self._states.clear()
            self.newest_ns = None
        self._states.append((stamp_ns, tuple(names), values))
        self.newest_ns = stamp_ns if self.newest_ns is None else max(self.newest_ns, stamp_ns)
        while self._states[0][0] < self.newest_ns - self._length_ns:
            self._states.popleft()

    def around(self, stamp_ns: int, reach_s: float) -> JointTrajectory:
        """Return what is kept, less what is more than ``reach_s`` before a stamp."""
        begin = stamp_ns - round(reach_s * NS_PER_S)
        near = [state for state in self._states if state[0] >= begin]
        return JointTrajectory.from_messages(near or self._states)


@dataclass(frozen=True)
class JointTrouble:
    """Why the joint states will not do for an image.

    Attributes:
        sentence: The same for people.
        passing: It has lasted so short a time that it is not worth telling.
        clocks_differ: Images and joint states are not stamped by the same clock.
    """

    sentence: str
    passing: bool = False
    clocks_differ: bool = False


class JointCheck:
    """Matches published joints with the robot's, and looks whether they cover the images."""

    def __init__(self, kinematics: Kinematics, timeout_s: float, max_gap_s: float) -> None:
        """Begin without any.

        Args:
            kinematics: The robot.
            timeout_s: Joint states have stopped when the newest is so much older than an image.
            max_gap_s: Longer gaps are not interpolated across.
        """
        self._kinematics = kinematics
        self._timeout_s = timeout_s
        self._max_gap_ns = round(max_gap_s * NS_PER_S)
        self._matched: MatchedJoints | None = None
        self._ignored: frozenset[str] = frozenset()
        self._covered_ns: int | None = None

    def begin_anew(self) -> None:
        """Forget when joint states last covered an image, because the clock was set back."""
        self._covered_ns = None

    def judge(self, joints: JointTrajectory, instant_ns: int) -> MatchedJoints | JointTrouble:
        """Return which joints are known at an instant; the same object until that changes."""
        ours = set(self._kinematics.joint_names) - self._ignored
        published = tuple(name for name in joints.names if name not in self._ignored)
        known = set() if self._matched is None else set(self._matched.recorded)
        if self._matched is None or not ours & set(published) <= known:
            try:
                self._matched = match_joints(self._kinematics, published)
            except RecordingError as error:
                return JointTrouble(str(error))
        present = tuple(name for name in self._matched.recorded if name in joints.names)
        if not present:
            return JointTrouble("the joint states are not those of this robot any more")
        return self._far_off(joints, present, instant_ns) or self._at(joints, present, instant_ns)

    def _far_off(
        self, joints: JointTrajectory, present: tuple[str, ...], instant_ns: int
    ) -> JointTrouble | None:
        ends = np.array([joints.series(name)[0][[0, -1]] for name in present])
        before_s = (int(ends[:, 0].min()) - instant_ns) / NS_PER_S
        after_s = (instant_ns - int(ends[:, 1].max())) / NS_PER_S
        if before_s > CLOCK_DIFFERENCE_S:
            return JointTrouble(
                f"the images are stamped {before_s:.1f} s before the joint states: let camera and "
                "robot use the same clock",
                clocks_differ=True,
            )
        if after_s > self._timeout_s:
            return JointTrouble(
                f"the newest joint state is {after_s:.1f} s older than the image: the joint states "
                "have stopped, or camera and robot do not use the same clock"
            )
        return None

    def _at(
        self, joints: JointTrajectory, present: tuple[str, ...], instant_ns: int
    ) -> MatchedJoints | JointTrouble:
        assert self._matched is not None
        wanted = self._matched.recorded
        positions, _ = joints.at([instant_ns], present, max_gap_ns=self._max_gap_ns)
        covered = [name for name, at in zip(present, positions[0], strict=True) if np.isfinite(at)]
        if self._covered_ns is None or len(covered) == len(wanted):
            self._covered_ns = instant_ns
        if len(covered) == len(wanted):
            return self._matched
        missing = [name for name in wanted if name not in covered]
        told = (
            f"there are no joint states of {', '.join(missing)} around the stamps of the images: "
            "they come too rarely, too late, or with another clock"
        )
        if instant_ns - self._covered_ns < self._timeout_s * NS_PER_S:
            return JointTrouble(told, passing=True)
        try:
            self._matched = match_joints(self._kinematics, tuple(covered))
        except RecordingError:
            return JointTrouble(told)
        # Nothing hangs on them. A gripper that reports now and then must not count as new each
        # time.
        self._ignored |= frozenset(missing)
        return self._matched
