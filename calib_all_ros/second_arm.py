# SPDX-License-Identifier: Apache-2.0
"""Two arms beside each other: what is asked of the second one, and their joint description."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.input_files import InputSelection
from calib_all_ros.robot.description import load_kinematics, parse_xml, read_description
from calib_all_ros.robot.kinematics import RobotError
from calib_all_ros.robot.mesh_resolver import MeshResolver

MOUNT_JOINT = "second_arm_mount"
_LENGTH_TOLERANCE = 0.01


def joined_description(files: InputSelection, recorded: str | None) -> Path | str | None:
    """Return the robot description that is meant: both arms', where there are two.

    Args:
        files: What is asked for.
        recorded: XML text that the recording holds, which is the first arm's.

    Raises:
        RobotError: What is said of the second arm is not complete, or a description cannot be used.
    """
    first = files.urdf or recorded
    if files.second_urdf is None:
        if files.second_base is not None or files.second_joint_topics:
            raise RobotError(
                "a second arm needs its robot description, too: give --second-urdf FILE"
            )
        if files.prefix:
            raise RobotError(
                "--prefix tells two arms apart, and there is but one: give --second-urdf FILE, too"
            )
        return first
    if files.second_base is None:
        raise RobotError(
            "--second-urdf needs --second-base, the pose of the second arm's root in the first "
            "one's base"
        )
    if files.second_joint_topics and not files.joint_topics:
        raise RobotError(
            "--second-joint-topic needs --joint-topic, the joint states of the first arm"
        )
    if first is None:
        return None
    return join_descriptions(
        first,
        files.second_urdf,
        second_base_pose(files.second_base),
        prefix=files.prefix,
        second_prefix=files.second_prefix,
        base_frame=files.base_frame,
        mesh_paths=files.mesh_paths,
    )


def joint_prefixes(files: InputSelection) -> dict[str, str]:
    """Return what goes before the names of the joints on each topic, by the topic."""
    if not files.second_joint_topics:
        return {}
    first = dict.fromkeys(files.joint_topics or (), files.prefix)
    return {**first, **dict.fromkeys(files.second_joint_topics, files.second_prefix)}


def second_base_pose(numbers: Sequence[float]) -> NDArray[np.float64]:
    """Return the (4, 4) transform of a position and a quaternion, or roll, pitch and yaw.

    Args:
        numbers: x, y, z in metres, then x, y, z, w; or angles about fixed axes in radians.

    Raises:
        RobotError: They are not six or seven, or the quaternion has no unit length.
    """
    position, rotation = np.array(numbers[:3]), np.array(numbers[3:])
    if len(rotation) == 3:
        return se3.make(Rotation.from_euler("xyz", rotation).as_matrix(), position)
    if len(rotation) != 4:
        raise RobotError(
            f"--second-base has {len(numbers)} numbers: give X,Y,Z,QX,QY,QZ,QW or "
            "X,Y,Z,ROLL,PITCH,YAW"
        )
    length = float(np.linalg.norm(rotation))
    if abs(length - 1.0) > _LENGTH_TOLERANCE:
        raise RobotError(
            f"the quaternion of --second-base has the length {length:.3f}, not 1: check its order "
            "(x y z w) and its numbers"
        )
    return se3.from_quaternion_xyzw(rotation, position)


def join_descriptions(
    first: Path | str,
    second: Path | str,
    T_first_second: NDArray[np.float64],
    *,
    prefix: str = "",
    second_prefix: str = "second_",
    base_frame: str | None = None,
    mesh_paths: Sequence[Path] = (),
) -> str:
    """Return the URDF of two arms, the second one fixed to the base of the first.

    Links and joints get the prefix of their arm before their names; names of visual meshes become
    full paths, since each arm may have come with its own folder.

    Args:
        first: URDF or xacro file, or XML text, of the first arm.
        second: The same of the second arm.
        T_first_second: (4, 4) maps points in the second arm's root link to the first one's base.
        prefix: Before the names of the first arm.
        second_prefix: Before the names of the second arm.
        base_frame: Link of the first arm, prefix included, that ``T_first_second`` refers to; None
            takes its root.
        mesh_paths: Folders searched first for meshes.

    Raises:
        RobotError: A description is not valid, a mesh is missing, or both arms use a name.
    """
    arms = [_arm(first, prefix, mesh_paths), _arm(second, second_prefix, mesh_paths)]
    for kind in ("link", "joint"):
        names = [{str(each.get("name")) for each in arm.iterfind(kind)} for arm in arms]
        both = sorted(names[0] & names[1])
        if both:
            raise RobotError(
                f"both arms have a {kind} '{both[0]}': give each a prefix, as the recording names "
                "the joints (--prefix, --second-prefix)"
            )
    roots = [load_kinematics(ElementTree.tostring(arm, "unicode")).base_frame for arm in arms]
    links = [link.get("name") for link in arms[0].iterfind("link")]
    if base_frame is not None and base_frame not in links:
        raise RobotError(
            f"the first arm has no link '{base_frame}' for the second one to refer to; it has: "
            f"{', '.join(map(str, links))}"
        )
    joined = ElementTree.Element("robot", name="+".join(str(arm.get("name")) for arm in arms))
    for arm in arms:
        joined.extend(each for each in arm if each.tag in ("link", "joint"))
    mount = ElementTree.SubElement(joined, "joint", name=MOUNT_JOINT, type="fixed")
    ElementTree.SubElement(mount, "parent", link=base_frame or roots[0])
    ElementTree.SubElement(mount, "child", link=roots[1])
    angles = Rotation.from_matrix(T_first_second[:3, :3]).as_euler("xyz")
    place = {"xyz": T_first_second[:3, 3], "rpy": angles}
    numbers = {name: " ".join(repr(float(v)) for v in values) for name, values in place.items()}
    ElementTree.SubElement(mount, "origin", numbers)
    return ElementTree.tostring(joined, "unicode")


def _arm(urdf: Path | str, prefix: str, mesh_paths: Sequence[Path]) -> ElementTree.Element:
    """Return an arm's description with the prefix before its names."""
    xml = read_description(urdf, mesh_paths=mesh_paths)
    load_kinematics(xml)  # which tells what is wrong with it
    root = parse_xml(xml)
    for path, attribute in (
        ("link", "name"),
        ("joint", "name"),
        ("joint/parent", "link"),
        ("joint/child", "link"),
        ("joint/mimic", "joint"),
    ):
        for named in root.iterfind(path):
            named.set(attribute, prefix + str(named.get(attribute)))
    resolver = MeshResolver(
        mesh_paths, urdf.expanduser().parent if isinstance(urdf, Path) else None
    )
    for mesh in root.iterfind("link/visual/geometry/mesh"):
        mesh.set("filename", resolver.resolve(str(mesh.get("filename"))).resolve().as_uri())
    return root
