# SPDX-License-Identifier: Apache-2.0
"""Which URDF belongs to which robot type: a YAML file that the user writes.

The robot type of a dataset is but a word, and two labs may mean different grippers by it. So there
is no table in this package. A file maps the word to a URDF, or to a URDF and what the columns of
the joint state mean::

    panda: franka/panda.urdf
    so101_follower:
      urdf: so101/so101.urdf
      units: degrees
      gripper: 0:100
      base_frame: base
      joints: observation.state
      joint_names: [shoulder_pan, shoulder_lift, elbow_flex, wrist_flex, wrist_roll, gripper]

Paths are relative to the file.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dacite

from calib_all_ros.lerobot.address import RANGES_SUFFIX, check_units
from calib_all_ros.lerobot.errors import LerobotError
from calib_all_ros.recording.camera_info import read_document
from calib_all_ros.robot.description import read_description
from calib_all_ros.robot.mesh_resolver import MeshResolver


@dataclass(frozen=True)
class RobotEntry:
    """What a robot type means.

    Attributes:
        urdf: File of its URDF.
        joints: Feature of the joint state, or several joined by "+"; None where not said.
        joint_names: Names of its columns, "_" for a column that is no joint.
        units: See `lerobot.address`.
        gripper: What the columns of grippers mean, see `lerobot.address`.
        base_frame: Link that poses refer to.
    """

    urdf: str
    joints: str | None = None
    joint_names: list[str] | None = None
    units: str | None = None
    gripper: str | None = None
    base_frame: str | None = None

    def description(self) -> str:
        """Return the XML text of the URDF, its meshes by absolute paths.

        Raises:
            RobotError: The URDF or a mesh is not there.
        """
        path = Path(self.urdf)
        try:
            root = ET.fromstring(read_description(path))
        except ET.ParseError as error:
            raise LerobotError(f"{path} cannot be read ({error}): give another URDF") from None
        resolver = MeshResolver((), path.parent)
        for mesh in root.iterfind("./link/visual/geometry/mesh"):
            mesh.set("filename", str(resolver.resolve(mesh.get("filename", ""))))
        return ET.tostring(root, encoding="unicode")


def robot_entry(path: Path, robot_type: str | None, where: str) -> RobotEntry:
    """Return what a file says of a robot type.

    Args:
        path: YAML or JSON file.
        robot_type: As the dataset calls it; None where it does not say.
        where: Names the dataset in messages.

    Raises:
        RecordingError: The file cannot be read.
        LerobotError: It is no such file, or does not know the robot type.
    """
    document: Any = read_document(path)
    if not isinstance(document, dict):
        raise LerobotError(f"{path} is no table of robots: write ROBOT_TYPE: URDF in each line")
    known = ", ".join(map(str, document)) or "none"
    if robot_type not in document:
        called = f"a robot of the type {robot_type}" if robot_type else "no robot type"
        raise LerobotError(f"{where} has {called}, {path} knows: {known}; add it there")
    content = document[robot_type]
    try:
        entry = dacite.from_dict(
            RobotEntry,
            {"urdf": content} if isinstance(content, str) else content,
            dacite.Config(strict=True),
        )
    except (dacite.DaciteError, AttributeError, TypeError) as error:
        raise LerobotError(f"{path} does not describe {robot_type} ({error})") from None
    units = entry.units
    check_units(units, str(path))
    if units is not None and units.endswith(RANGES_SUFFIX):
        units = _beside(path, units)
    return replace(entry, urdf=_beside(path, entry.urdf), units=units)


def _beside(path: Path, name: str) -> str:
    return str(path.parent / Path(name).expanduser())
