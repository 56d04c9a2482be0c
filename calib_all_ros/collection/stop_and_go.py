# SPDX-License-Identifier: Apache-2.0
"""Collection in stop and go: an image of each pose in which the arm rests.

The protocol of ManiUniCon: the arm goes to one configuration of a list after the other and rests
in each; the image is taken once it has rested for half a second. Who moves the arm does not matter
here, nor in which order; without a list every new pose counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from calib_all_ros.collection.finding import CollectionError, RecordingIssue
from calib_all_ros.results import yaml_text
from calib_all_ros.results.atomic_file import write_atomically

# Encoder noise and a controller that trembles stay within, slow motion does not.
_STILL = 0.004
_SECOND_NS = 1_000_000_000
# An image that is ahead of all joint states by more cannot be said to show the arm at rest.
_MOST_AHEAD_NS = 200_000_000


class RestDetector:
    """Follows joint states, each of which may list any of the joints.

    A joint is at rest since the first sample from which no later one is farther away than 0.004 rad
    (or m): slow motion therefore counts as motion.
    """

    def __init__(self) -> None:
        """Begin without joints."""
        self._anchors: dict[str, tuple[float, int]] = {}
        self._latest: dict[str, tuple[float, int]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The joints seen so far."""
        return tuple(self._latest)

    def add(self, stamp_ns: int, names: Sequence[str], positions: NDArray[np.float64]) -> None:
        """Take note of a joint state; one that is older than what is known is passed over."""
        for name, position in zip(names, positions.tolist(), strict=False):
            known = self._latest.get(name)
            if known is not None and stamp_ns < known[1]:
                continue
            self._latest[name] = (position, stamp_ns)
            anchor = self._anchors.get(name)
            if anchor is None or abs(position - anchor[0]) > _STILL:
                self._anchors[name] = (position, stamp_ns)

    def positions(self, names: Iterable[str]) -> dict[str, float] | None:
        """Return the latest positions, None if a joint is not known."""
        if any(name not in self._latest for name in names):
            return None
        return {name: self._latest[name][0] for name in names}

    def resting_since_ns(self, names: Iterable[str]) -> int | None:
        """Return since which stamp all of the joints are at rest, None if one is not known."""
        anchors = [self._anchors.get(name) for name in names]
        if not anchors or any(anchor is None for anchor in anchors):
            return None
        return max(stamp for _, stamp in filter(None, anchors))

    def latest_ns(self, names: Iterable[str]) -> int:
        """Return the stamp up to which all of the joints are known."""
        return min((self._latest[name][1] for name in names if name in self._latest), default=0)


@dataclass(frozen=True, eq=False)
class JointConfigurations:
    """Configurations of an arm.

    Attributes:
        joint_names: (J,) joints.
        positions: (N, J) in radians or metres.
    """

    joint_names: tuple[str, ...]
    positions: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.shape[1] != len(self.joint_names):
            raise CollectionError(
                f"joint configurations have shape {self.positions.shape}, which does not fit the "
                f"joints {', '.join(self.joint_names) or 'none'}: give one value for each joint"
            )
        if len(set(self.joint_names)) < len(self.joint_names):
            raise CollectionError(
                f"a joint is named twice in {', '.join(self.joint_names)}: name each once"
            )
        if not np.isfinite(self.positions).all() or not len(self.positions):
            raise CollectionError(
                "joint configurations must be finite numbers, and there must be some: correct the "
                "list of configurations"
            )

    def __len__(self) -> int:
        return len(self.positions)


def read_configurations(path: Path, joint_names: Sequence[str] = ()) -> JointConfigurations:
    """Read a file of joint configurations.

    Args:
        path: A YAML file, or a text file with one list a line.
        joint_names: Names of the joints where the file has none, in the order of its columns.

    Raises:
        CollectionError: The file cannot be read, or is none of the two kinds.
    """
    try:
        # A text file of lists is not YAML as a whole, but each of its lines is.
        text = path.expanduser().read_text(encoding="utf-8")
        if path.suffix.lower() in (".yaml", ".yml"):
            document = yaml.safe_load(text)
        else:
            rows = [yaml.safe_load(line) for line in text.splitlines() if line.strip()]
            document = {"configurations": rows}
    except OSError as error:
        raise CollectionError(
            f"cannot read the joint configurations {path} ({error.strerror}): name a file that "
            "exists"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise _no_configurations(path, reason) from error
    if not isinstance(document, dict) or not isinstance(document.get("configurations"), list):
        raise _no_configurations(path, "'configurations' is missing")
    names = tuple(str(name) for name in document.get("joint_names") or joint_names)
    if not names:
        raise CollectionError(
            f"{path} does not name the joints of its configurations: name them, in the order of "
            "its columns (configuration_joints)"
        )
    try:
        positions = np.array(document["configurations"], dtype=np.float64)
        return JointConfigurations(names, positions)
    except (TypeError, ValueError) as error:
        raise _no_configurations(path, str(error)) from error
    except CollectionError as error:
        raise CollectionError(f"{path}: {error}") from None


def write_configurations(path: Path, configurations: JointConfigurations) -> None:
    """Write a file of joint configurations, whole or not at all.

    A ``.txt`` gets one list a line, without the joints' names; any other file is YAML.

    Raises:
        ResultError: The file cannot be written.
    """
    rows = configurations.positions.tolist()
    if path.suffix.lower() == ".txt":
        write_atomically(path, "".join(f"{row}\n" for row in rows).encode())
        return
    document = {"joint_names": list(configurations.joint_names), "configurations": rows}
    write_atomically(path, yaml_text.dump(document).encode())


def _no_configurations(path: Path, reason: str) -> CollectionError:
    return CollectionError(
        f"{path} holds no joint configurations ({reason}): write joint_names and configurations "
        "in YAML, or a text file with one list of numbers a line"
    )


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

    def findings(self) -> list[RecordingIssue]:
        """Return what to do next."""
        if self.is_complete:
            return []
        if self._images_left:
            return [
                RecordingIssue(
                    "hint", "poses", "hold the arm still: more images of this pose follow"
                )
            ]
        progress = f"{self.taken} of {self.wanted} poses are taken"
        hold = f"hold it still for {self._settings.rest_s:g} s"
        if self._list is None:
            what = f"move the arm to a pose that differs by {self._settings.least_difference:g} rad"
            return [RecordingIssue("hint", "poses", f"{progress}: {what} in some joint and {hold}")]
        number, target = self._nearest_missing()
        return [
            RecordingIssue(
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
