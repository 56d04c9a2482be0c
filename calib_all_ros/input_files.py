# SPDX-License-Identifier: Apache-2.0
"""Inputs of a calibration: names only, so that asking needs no heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Any

from calib_all_ros.options import names, numbers, option

MASK_SOURCES = ("images", "grounded_sam2")
"""How masks are made where none are recorded."""


def _pose(text: str) -> tuple[float, ...]:
    """Read a position and a quaternion, or roll, pitch and yaw."""
    if text.count(",") == 5:
        return numbers(6, "X,Y,Z,R,P,Y")(text)
    return numbers(7, "X,Y,Z,QX,QY,QZ,QW")(text)


@dataclass(frozen=True, kw_only=True)
class RobotFiles:
    """Which robot is meant."""

    TITLE = "robot"

    urdf: Path | None = option(
        "URDF or xacro; default: the recording's /robot_description", "FILE", default=None
    )
    base_frame: str | None = option("default: the root of the URDF", "LINK", default=None)
    mesh_paths: tuple[Path, ...] = option(
        "folder with the packages that the URDF names; may be repeated", "DIR", default=()
    )


@dataclass(frozen=True, kw_only=True)
class SecondArm:
    """A second arm beside the first.

    ``second_base`` is x, y, z in metres, then a quaternion (x, y, z, w) or roll, pitch and yaw in
    radians. Where ``second_joint_topics`` are given, both arms' joints are named without their
    prefixes there, and those on ``joint_topics`` are the first one's; else with them.
    """

    TITLE = "second arm with a description of its own"

    second_urdf: Path | None = option(
        "URDF or xacro of a second arm; needs --second-base", "FILE", default=None
    )
    second_base: tuple[float, ...] | None = option(
        "pose of its root link in the base of the first arm (--base-frame), metres and quaternion "
        "or radians",
        "X,Y,Z,QX,QY,QZ,QW|X,Y,Z,R,P,Y",
        default=None,
        parse=_pose,
    )
    prefix: str = option(
        "what the recording puts before the joint names of the first arm (default: nothing)",
        "TEXT",
        default="",
    )
    second_prefix: str = option(
        "the same of the second arm (default: second_)", "TEXT", default="second_"
    )
    second_joint_topics: tuple[str, ...] | None = option(
        "joint states of the second arm, where both arms call their joints alike and only the "
        "topics differ; --joint-topic is then the first one's",
        "TOPIC",
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class JointStreams:
    """Which joint states of a recording are read, and from when to when."""

    TITLE = "recording"

    joint_topics: tuple[str, ...] | None = option(
        "may be repeated; default: all joint states", "TOPIC", default=None
    )
    joint_names: tuple[str, ...] | None = option(
        "joints of an .npz (default: the first of the URDF) or of a LeRobot dataset (default: by "
        "their names there) in the order of the columns, _ for a column that is no joint",
        "A,B,...",
        default=None,
        parse=names,
    )
    start_s: float | None = option(
        "seconds after the first image", "S", default=None, flags=("--start",)
    )
    end_s: float | None = option(
        "seconds after the first image", "S", default=None, flags=("--end",)
    )


@dataclass(frozen=True, kw_only=True)
class Streams(JointStreams):
    """What of a recording of one camera is read."""

    TITLE = "recording"

    image_topic: str | None = option("default: found by type", "TOPIC", default=None)
    camera_info_topic: str | None = option("default: the image's", "TOPIC", default=None)
    camera: Path | None = option(
        "intrinsics to use instead of the recording's: camera.json or camera_info YAML",
        "FILE",
        default=None,
    )


@dataclass(frozen=True)
class RecordingSource(Streams):
    """A recording, and what of it is read; None takes what the option says.

    Attributes:
        path: Bag file or folder, recording folder, .npz file, or the address of an episode and
            camera of a LeRobot dataset (see `lerobot.address`).
        masks: "auto" for none of the recording's (masks are then made from the images), "recorded"
            for the recording's own, a topic of a bag, or a folder of mask images.
        urdf: URDF file or XML text, to name the joints of an .npz and to choose those of a LeRobot
            dataset; `Recording.urdf` stays what the recording itself holds.
        joint_prefixes: What goes before the names of the joints on a topic, by the topic: tells two
            arms apart whose joints have the same names.
    """

    path: Path | str
    _: KW_ONLY
    masks: Path | str = "auto"
    urdf: Path | str | None = None
    joint_prefixes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class InputSelection(RobotFiles, SecondArm, Streams):
    """Which robot is meant, and what of a recording is read; None takes what the option says.

    Attributes:
        masks: "auto", "recorded", a topic, or a folder.
    """

    masks: str = "auto"


@dataclass(frozen=True)
class InputFiles(InputSelection):
    """What a calibration reads.

    Attributes:
        recording: Bag, recording folder or .npz.
    """

    recording: Path


def shared_fields(kind: type[Any], chosen: Any) -> dict[str, Any]:
    """Return the values of a dataclass's fields that another one, ``kind``, has, too."""
    names = {each.name for each in fields(kind)} & {each.name for each in fields(chosen)}
    return {name: getattr(chosen, name) for name in names}
