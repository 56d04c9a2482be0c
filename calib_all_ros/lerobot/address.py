# SPDX-License-Identifier: Apache-2.0
"""The address of one episode and camera: ``DATASET#episode=3,camera=observation.images.top``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from calib_all_ros.recording.recording import RecordingError

INFO_FILE = "meta/info.json"
STATE_KEY = "observation.state"
UNITS = ("radians", "degrees")
RANGES_SUFFIX = ".json"


class LerobotError(RecordingError):
    """A LeRobot dataset that cannot be read, written, or used as a recording."""


@dataclass(frozen=True)
class LerobotAddress:
    """Which episode and camera of which dataset, and what its joint state means.

    Attributes:
        path: Folder of the dataset.
        episode: Number of the episode; None where the dataset has but one.
        camera: Feature of the images; None where the dataset has but one camera.
        joints: Feature of the joint state, or several of them joined by "+"; None takes
            `STATE_KEY`.
        units: "radians", "degrees", or a .json file with LeRobot's calibration of the arm where
            the values run from -100 to 100 over each motor's range; None takes radians where the
            values can be.
        gripper: What the columns of grippers mean: "joint" where they are positions of the URDF's
            joints, ``A:B`` where A is that joint's lower limit and B its upper; None leaves them
            out.
        robots: File that tells by the dataset's robot type which URDF it has, and what else the
            address does not say, see `lerobot.robots`.
    """

    path: Path
    episode: int | None = None
    camera: str | None = None
    joints: str | None = None
    units: str | None = None
    gripper: str | None = None
    robots: str | None = None

    def __str__(self) -> str:
        parts = [
            f"{field.name}={value}"
            for field in fields(self)[1:]
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{self.path}#{','.join(parts)}" if parts else str(self.path)


def find_address(text: Path | str) -> LerobotAddress | None:
    """Read an address; return None where it leads to no LeRobot dataset.

    Raises:
        LerobotError: It leads to one, but what follows the "#" is not understood.
    """
    path = Path(text)
    if (path / INFO_FILE).is_file():
        return LerobotAddress(path)
    folder, mark, selection = str(text).rpartition("#")
    if not mark or not (Path(folder) / INFO_FILE).is_file():
        return None
    return _select(Path(folder), selection)


def with_topics(
    address: LerobotAddress, image_topic: str | None, others: Sequence[str]
) -> LerobotAddress:
    """Return the address with what was said of topics: that of the images names the camera.

    Args:
        address: The address.
        image_topic: Feature of the camera; None where none was named.
        others: Other topics that were named.

    Raises:
        LerobotError: The address names another camera, or other topics were named: a dataset has
            none.
    """
    if others:
        raise LerobotError(
            f"{address.path} is a LeRobot dataset, it has no topic {others[0]}: give intrinsics by "
            "a camera file, and the joint state by its feature (joints=FEATURE in the address)"
        )
    if image_topic is None:
        return address
    if address.camera not in (None, image_topic):
        raise LerobotError(
            f"{address} and the image topic {image_topic} name two cameras: leave one of them out"
        )
    return replace(address, camera=image_topic)


def _select(path: Path, selection: str) -> LerobotAddress:
    known = [field.name for field in fields(LerobotAddress)[1:]]
    values: dict[str, str] = {}
    for part in selection.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in known or not equals or not value:
            raise LerobotError(
                f"'{part}' in the address of {path} is not understood: give "
                f"NAME=VALUE with one of {', '.join(known)}, e.g. "
                f"{path}#episode=0,camera=observation.images.top"
            )
        values[name] = value
    episode = values.pop("episode", None)
    if episode is not None and not episode.isdecimal():
        raise LerobotError(f"episode={episode} in the address of {path} is not a number from 0")
    for name, value in values.items():
        if name == "robots" or (name == "units" and value.endswith(RANGES_SUFFIX)):
            # Other processes may run in other folders.
            values[name] = str(Path(value).expanduser().absolute())
    address = LerobotAddress(path, None if episode is None else int(episode), **values)
    check_units(address.units, f"the address of {path}")
    return address


def check_units(units: str | None, where: str) -> None:
    """Raise LerobotError unless these are units that are known, or a file that may tell them."""
    if units is not None and units not in UNITS and not units.endswith(RANGES_SUFFIX):
        raise LerobotError(
            f"units={units} in {where} is unknown: say {', '.join(UNITS)}, or a file "
            f"FILE{RANGES_SUFFIX} with LeRobot's calibration of the arm"
        )
