# SPDX-License-Identifier: Apache-2.0
"""Collecting in stop and go: an image of each pose in which the arm rests.

The protocol of ManiUniCon: the arm goes to one configuration of a list after the other and rests
in each; the image is taken once it has rested for half a second. Who moves the arm does not matter
here, nor in which order; without a list every new pose counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.collection.configurations import JointConfigurations
from calib_all_ros.collection.finding import Finding
from calib_all_ros.collection.rest_detector import RestDetector

_SECOND_NS = 1_000_000_000
# An image that is ahead of all joint states by more cannot be said to show the arm at rest.
_MOST_AHEAD_NS = 200_000_000


@dataclass(frozen=True)
class StopAndGoSettings:
    """When an image is taken.

    Attributes:
        rest_s: How long the arm has to have been at rest, seconds.
        tolerance: How near a configuration of the list every joint has to be, radians or metres.
        least_difference: Without a list: by how much some joint has to differ from every pose
            taken before, radians or metres.
        poses: Without a list: how many poses are enough.
        images_per_pose: Images taken of each pose.
    """

    rest_s: float = 0.5
    tolerance: float = 0.03
    least_difference: float = 0.15
    poses: int = 16
    images_per_pose: int = 1


class StopAndGo:
    """Decides which images to take."""

    def __init__(
        self, settings: StopAndGoSettings, configurations: JointConfigurations | None = None
    ) -> None:
        """Begin; without configurations every new pose counts."""
        self._settings = settings
        self._list = configurations
        self._rest = RestDetector()
        self._done: set[int] = set()
        self._poses: list[dict[str, float]] = []
        self._resting_since_ns = 0
        self._images_left = 0

    @property
    def taken(self) -> int:
        """Poses of which images have been taken."""
        return len(self._poses)

    @property
    def wanted(self) -> int:
        """Poses of which images are to be taken."""
        return self._settings.poses if self._list is None else len(self._list)

    @property
    def is_complete(self) -> bool:
        """Whether all images are taken."""
        return self.taken >= self.wanted and self._images_left == 0

    def add_joint_state(
        self, stamp_ns: int, names: Sequence[str], positions: NDArray[np.float64]
    ) -> None:
        """Take note of a joint state."""
        self._rest.add(stamp_ns, names, positions)

    def takes(self, stamp_ns: int) -> bool:
        """Return whether an image is one to record: the first ones of a new pose at rest."""
        names = self._rest.names if self._list is None else self._list.joint_names
        since_ns = self._rest.resting_since_ns(names)
        pose = self._rest.positions(names)
        if since_ns is None or pose is None:
            return False
        rested_s = (stamp_ns - since_ns) / _SECOND_NS
        if rested_s < self._settings.rest_s:
            return False
        if stamp_ns > self._rest.latest_ns(names) + _MOST_AHEAD_NS:
            return False
        if since_ns == self._resting_since_ns and self._images_left > 0:
            self._images_left -= 1
            return True
        if not self._is_new(pose):
            return False
        self._poses.append(pose)
        self._resting_since_ns = since_ns
        self._images_left = self._settings.images_per_pose - 1
        return True

    def findings(self) -> list[Finding]:
        """Return what to do next."""
        if self.is_complete:
            return []
        if self._images_left:
            return [Finding("hint", "poses", "hold the arm still: more images of this pose follow")]
        progress = f"{self.taken} of {self.wanted} poses are taken"
        hold = f"hold it still for {self._settings.rest_s:g} s"
        if self._list is None:
            what = f"move the arm to a pose that differs by {self._settings.least_difference:g} rad"
            return [Finding("hint", "poses", f"{progress}: {what} in some joint and {hold}")]
        number, target = self._nearest_missing()
        return [
            Finding(
                "hint",
                "poses",
                f"{progress}: move the arm to configuration {number + 1} of the list ({target}) "
                f"and {hold}",
            )
        ]

    def _is_new(self, pose: Mapping[str, float]) -> bool:
        if self._list is None:
            # Another joint may have appeared since a pose was taken.
            return all(
                max(abs(turned(pose[name] - other[name])) for name in pose if name in other)
                >= self._settings.least_difference
                for other in self._poses
            )
        errors = self._errors(pose)
        for number in np.argsort(errors):
            if errors[number] <= self._settings.tolerance and int(number) not in self._done:
                self._done.add(int(number))
                return True
        return False

    def _errors(self, pose: Mapping[str, float]) -> NDArray[np.float64]:
        """Return (N,) how far the worst joint is from each configuration of the list."""
        assert self._list is not None
        here = np.array([pose[name] for name in self._list.joint_names])
        return np.asarray(np.abs(turned(self._list.positions - here)).max(axis=1))

    def _nearest_missing(self) -> tuple[int, str]:
        """Return the number of a configuration that is not taken yet, and how to get there."""
        assert self._list is not None
        missing = [i for i in range(len(self._list)) if i not in self._done]
        pose = self._rest.positions(self._list.joint_names)
        if pose is None:
            unknown = [name for name in self._list.joint_names if name not in self._rest.names]
            return missing[0], f"the joint states lack {', '.join(unknown)}"
        errors = self._errors(pose)
        number = min(missing, key=lambda i: float(errors[i]))
        here = np.array([pose[name] for name in self._list.joint_names])
        away = turned(self._list.positions[number] - here)
        worst = int(np.argmax(np.abs(away)))
        return number, f"'{self._list.joint_names[worst]}' is {-away[worst]:+.2f} rad off"


def turned(difference: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return differences of joint positions, whole turns left out."""
    return np.asarray(difference - 2 * np.pi * np.round(np.asarray(difference) / (2 * np.pi)))
