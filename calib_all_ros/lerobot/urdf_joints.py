# SPDX-License-Identifier: Apache-2.0
"""What the URDF says of joints whose positions a dataset holds."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from calib_all_ros.lerobot.address import LerobotError
from calib_all_ros.robot.description import read_description

_TURNING = ("revolute", "continuous")


@dataclass(frozen=True)
class UrdfJoint:
    """A joint that moves.

    Attributes:
        name: Its name.
        turns: Whether its position is an angle; a length where not.
        lower: Lower limit, radians or metres, None without.
        upper: Upper limit.
    """

    name: str
    turns: bool
    lower: float | None
    upper: float | None


def urdf_joints(urdf: Path | str) -> dict[str, UrdfJoint]:
    """Return the joints of a URDF that move and mimic no other, by name in document order.

    Args:
        urdf: File (URDF or xacro), or XML text.

    Raises:
        CalibAllError: It cannot be read.
    """
    try:
        root = ET.fromstring(read_description(urdf))
    except ET.ParseError as error:
        raise LerobotError(f"the URDF cannot be read ({error}): give another one") from None
    joints = {}
    for joint in root.iterfind("joint"):
        kind, name = joint.get("type"), joint.get("name", "")
        if kind in (*_TURNING, "prismatic") and joint.find("mimic") is None:
            limit = joint.find("limit") if kind != "continuous" else None
            joints[name] = UrdfJoint(
                name, kind in _TURNING, _number(limit, "lower"), _number(limit, "upper")
            )
    return joints


def _number(limit: ET.Element | None, name: str) -> float | None:
    # The format takes a limit that is not written for 0.
    return None if limit is None else float(limit.get(name, 0.0))
