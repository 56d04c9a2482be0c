# SPDX-License-Identifier: Apache-2.0
"""Robots of datasets, and joint positions from the state columns.

Datasets differ in what their state is: radians, degrees (older LeRobot arms), values from -100 to
100 of each motor's range (newer ones), or a pose of the gripper. Nothing of this is guessed: what
cannot be joint positions in radians is an error that says what to state.

The robot type of a dataset is but a word, and two labs may mean different grippers by it. So there
is no table in this package. A file that the user writes maps the word to a URDF, or to a URDF and
what the columns of the joint state mean::

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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dacite
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.lerobot.address import RANGES_SUFFIX, LerobotError, check_units
from calib_all_ros.lerobot.tables import read_json
from calib_all_ros.recording.camera_info import read_document
from calib_all_ros.robot.description import load_kinematics, parse_xml, read_description
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.robot.mesh_resolver import MeshResolver

IGNORED = "_"
"""Name for a column that is no joint."""

_GRIPPERS = ("gripper", "jaw")
# What LeRobot appends to the name of a motor where the column is its position.
_POSITION_SUFFIX = ".pos"
# Joints of arms turn less than one turn from zero.
_LARGEST_RAD = 2 * np.pi + 0.1
_NORMALISED = 100.0
# Steps of a turn less one, of the Feetech and Dynamixel motors that LeRobot's arms have.
_LAST_STEP = 4095

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DatasetRobot:
    """A robot, and what the joint state of its datasets means.

    Attributes:
        urdf: File or XML text; None where it is not known yet.
        joints: Feature of the joint state, or several joined by "+"; None where not said.
        joint_names: Name of each column of the state, `IGNORED` for a column that is no joint;
            None takes the dataset's.
        units: Of the joints that turn, see `LerobotAddress`.
        gripper: "joint", "A:B" or None, see `LerobotAddress`.
        base_frame: Link that poses refer to.
    """

    urdf: Path | str | None = None
    joints: str | None = None
    joint_names: list[str] | tuple[str, ...] | None = None
    units: str | None = None
    gripper: str | None = None
    base_frame: str | None = None


@dataclass(frozen=True, eq=False)
class JointPositions:
    """Joint positions at the frames of an episode.

    Attributes:
        names: (J,) joints.
        positions: (N, J) radians or metres.
        notes: What was left out, one sentence each.
        warnings: What casts doubt on them.
    """

    names: tuple[str, ...]
    positions: Array
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def find_robot(path: Path, robot_type: str | None, where: str) -> DatasetRobot:
    """Return what a YAML or JSON file says of a robot type; its URDF and units by full paths.

    Args:
        path: The file.
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
        robot = dacite.from_dict(
            DatasetRobot,
            {"urdf": content} if isinstance(content, str) else content,
            dacite.Config(strict=True),
        )
    except (dacite.DaciteError, AttributeError, TypeError) as error:
        raise LerobotError(f"{path} does not describe {robot_type} ({error})") from None
    if robot.urdf is None:
        raise LerobotError(f'{path} does not describe {robot_type} (missing value for "urdf")')
    units = robot.units
    check_units(units, str(path))
    if units is not None and units.endswith(RANGES_SUFFIX):
        units = _beside(path, units)
    return replace(robot, urdf=_beside(path, robot.urdf), units=units)


def _beside(path: Path, name: Path | str) -> str:
    return str(path.parent / Path(name).expanduser())


def portable_description(path: Path) -> str:
    """Return the XML text of a URDF or xacro file, its meshes by absolute paths.

    Raises:
        RobotError: The file or a mesh is not there.
    """
    root = parse_xml(read_description(path))
    resolver = MeshResolver((), path.parent)
    for mesh in root.iterfind("./link/visual/geometry/mesh"):
        mesh.set("filename", str(resolver.resolve(mesh.get("filename", ""))))
    return ET.tostring(root, encoding="unicode")


def joint_positions(
    names: Sequence[str], state: Array, robot: DatasetRobot, where: str
) -> JointPositions:
    """Name, choose and convert the columns of a state.

    Args:
        names: (C,) names of the columns as the dataset has them.
        state: (N, C) values.
        robot: What the user says of them.
        where: Names the feature and the dataset in messages.

    Raises:
        LerobotError: No column is a joint of the URDF, or the values cannot be what they are said
            to be.
        RobotError: The URDF cannot be read.
    """
    kinematics = None if robot.urdf is None else load_kinematics(read_description(robot.urdf))
    own = [name.removesuffix(_POSITION_SUFFIX) for name in names]
    named = _named(own, state.shape[1], robot.joint_names, where)
    chosen, left_out = _chosen(named, kinematics, robot, where)
    if not chosen:
        movable = "" if kinematics is None else f": {', '.join(kinematics.joint_names)}"
        raise LerobotError(
            f"no column of {where} is a joint of the URDF; the columns are {', '.join(named)}, "
            f"the joints{movable or ' none'}: name the columns in their order (joint names, "
            f"'{IGNORED}' for none), or the feature with the joints (joints=FEATURE)"
        )
    positions = state[:, chosen].astype(np.float64)
    kept = [named[column] for column in chosen]
    motors = [own[column] if len(own) == len(named) else named[column] for column in chosen]
    warnings = _convert(positions, kept, motors, kinematics, robot, where)
    notes = (f"left out of {where}: {', '.join(left_out)}",) if left_out else ()
    return JointPositions(tuple(kept), positions, notes, warnings)


def _named(
    own: Sequence[str], count: int, given: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    if given is not None:
        if len(given) != count:
            raise LerobotError(
                f"{where} has {count} columns but {len(given)} joint names were given "
                f"({', '.join(given)}): give one for each column, '{IGNORED}' where it is no joint"
            )
        return tuple(given)
    return tuple(own) if len(own) == count else tuple(f"column_{i}" for i in range(count))


def _chosen(
    named: Sequence[str], kinematics: Kinematics | None, robot: DatasetRobot, where: str
) -> tuple[list[int], list[str]]:
    """Return the columns that are joints, and the names of the others."""
    chosen, left_out = [], []
    for column, name in enumerate(named):
        if name == IGNORED:
            continue
        if robot.gripper is None and _is_gripper(name):
            left_out.append(f"{name} (say gripper=joint or gripper=LOWER:UPPER to use it)")
        elif kinematics is None or name in kinematics.joint_names:
            chosen.append(column)
        else:
            left_out.append(f"{name} (no joint of the URDF)")
    repeated = sorted({named[c] for c in chosen if [named[d] for d in chosen].count(named[c]) > 1})
    if repeated:
        raise LerobotError(f"{where} has several columns {', '.join(repeated)}: name each apart")
    return chosen, left_out


def _is_gripper(name: str) -> bool:
    return any(word in name.lower() for word in _GRIPPERS)


def _convert(
    positions: Array,
    names: Sequence[str],
    motors: Sequence[str],
    kinematics: Kinematics | None,
    robot: DatasetRobot,
    where: str,
) -> tuple[str, ...]:
    """Convert (N, J) positions in place; return warnings."""
    turning = np.ones(len(names), dtype=bool)
    for column, name in enumerate(names):
        limits = None
        if kinematics is not None:
            joint = kinematics.joint_names.index(name)
            turning[column] = kinematics.turning[joint]
            limits = float(kinematics.lower[joint]), float(kinematics.upper[joint])
        if _is_gripper(name) and robot.gripper != "joint":
            assert robot.gripper is not None
            positions[:, column] = _opening(positions[:, column], robot.gripper, limits, name)
            turning[column] = False
    largest = np.abs(positions).max(axis=0, initial=0.0)
    if robot.units not in (None, "radians"):
        if kinematics is None:
            raise LerobotError(
                f"{where} is not in radians, but which of its columns turn only the URDF tells: "
                "give it"
            )
        if robot.units != "degrees":
            turned = [motor for motor, turns in zip(motors, turning, strict=True) if turns]
            positions[:, turning] *= _radians_per_unit(Path(robot.units), turned)
            return ()
        positions[:, turning] = np.radians(positions[:, turning])
        return _warnings_about_degrees(largest[turning], where)
    too_far = [int(c) for c in np.flatnonzero(turning & (largest > _LARGEST_RAD))]
    if robot.units is None and too_far:
        far = ", ".join(f"{names[c]} up to {largest[c]:.4g}" for c in too_far)
        raise LerobotError(
            f"{where} cannot be in radians ({far}): say units=degrees if they are degrees, "
            "units=FILE.json with LeRobot's calibration of the arm if they run from -100 to 100 "
            "over each motor's range, units=radians for joints of several turns"
        )
    return ()


def _warnings_about_degrees(largest: Array, where: str) -> tuple[str, ...]:
    if (largest == _NORMALISED).sum() >= 2 and (largest <= _NORMALISED).all():
        return (
            f"{where} is said to be in degrees, but it ends at exactly 100: it may run from -100 "
            "to 100 over each motor's range (units=FILE.json, LeRobot's calibration of the arm)",
        )
    if (largest <= _LARGEST_RAD).all():
        return (f"{where} is said to be in degrees, but all of it could be in radians",)
    return ()


def _opening(values: Array, gripper: str, limits: tuple[float, float] | None, name: str) -> Array:
    """Map a gripper's scale to the range of its joint."""
    try:
        low, high = (float(number) for number in gripper.split(":"))
        if low == high:
            raise ValueError
    except ValueError:
        raise LerobotError(
            f"gripper={gripper} is not understood: say gripper=joint, or gripper=A:B where A is "
            "the value at the joint's lower limit and B at its upper, e.g. gripper=0:100"
        ) from None
    if limits is None or not np.isfinite(limits).all():
        raise LerobotError(
            f"gripper={gripper} needs the limits of the joint {name}, which only the URDF tells: "
            "give one that has them"
        )
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(limits[0] + share * (limits[1] - limits[0]), dtype=np.float64)


def _radians_per_unit(path: Path, motors: Sequence[str]) -> Array:
    """Return (J,) what one of the hundred parts from the middle to the end of each range is.

    The ends of the motors' ranges are in the file that LeRobot keeps of an arm,
    calibration/robots/TYPE/ID.json in its cache; zero is the middle of the range (LeRobot,
    `MotorsBus._normalize`). Motors that run backwards are errors, since LeRobot's drivers treat
    them in different ways.
    """
    document = read_json(path)
    factors = []
    for motor in motors:
        try:
            entry = document[motor]
            steps = float(entry["range_max"]) - float(entry["range_min"])
            backwards = bool(entry.get("drive_mode", 0))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            known = ", ".join(document) if isinstance(document, dict) else "none"
            raise LerobotError(
                f"{path} does not tell the range of the motor {motor} ({error!r}); it has: {known}"
            ) from None
        if backwards or not steps > 0:
            raise LerobotError(
                f"the motor {motor} in {path} runs backwards or has no range: convert the dataset "
                "to degrees first"
            )
        factors.append(steps / 2.0 / _NORMALISED * 2.0 * np.pi / _LAST_STEP)
    return np.array(factors)
