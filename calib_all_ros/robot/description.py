# SPDX-License-Identifier: Apache-2.0
"""The URDF or xacro description of a robot, and the arm that comes with this package."""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import trimesh
import xacrodoc
import yourdfpy

from calib_all_ros.robot.kinematics import Joint, Kinematics, Mimic, RobotError
from calib_all_ros.robot.mesh_resolver import MeshResolver
from calib_all_ros.robot.surface import RobotSurface, load_mesh

_CYLINDER_SECTIONS = 64
_SPHERE_SUBDIVISIONS = 4
_MOST_PACKAGES = 100
_DEMO = Path("urdf") / "demo_arm.urdf"
_BEFORE_XML = "\ufeff \t\r\n"


@dataclass(frozen=True, eq=False)
class Robot:
    """A robot as the solver needs it.

    Attributes:
        name: Name in the description.
        kinematics: Forward kinematics; `kinematics.link_names` equals `surface.link_names`.
        surface: The visual meshes.
        description_hash: SHA-256 of the URDF without comments and white space; the contents of the
            meshes are not part of it.
        notes: What the user may want to know, one sentence each.
    """

    name: str
    kinematics: Kinematics
    surface: RobotSurface
    description_hash: str
    notes: tuple[str, ...] = ()


def load_robot(
    urdf: Path | str,
    *,
    base_frame: str | None = None,
    mesh_paths: Sequence[Path | str] = (),
    xacro_arguments: Mapping[str, str] | None = None,
) -> Robot:
    """Load kinematics and visual surface of a robot.

    Collision geometry is never drawn: it is up to centimetres larger than the robot.

    Args:
        urdf: A URDF file, a xacro file (ending in `.xacro`), or the XML text of a URDF as on
            `/robot_description`.
        base_frame: Link in whose frame poses are given; None takes the root link.
        mesh_paths: Folders searched first for the packages that the description names.
        xacro_arguments: Values of the xacro file's arguments.

    Raises:
        RobotError: The description is not valid, has no visual geometry, or a mesh is missing.
    """
    folders = [Path(folder).expanduser() for folder in mesh_paths]
    xml = read_description(urdf, mesh_paths=folders, xacro_arguments=xacro_arguments)
    model = _parse(xml)
    kinematics = _kinematics(model, base_frame)
    urdf_folder = None if _is_xml(urdf) else Path(urdf).expanduser().parent
    resolver = MeshResolver(folders, urdf_folder)
    cache: dict[Path, trimesh.Trimesh] = {}
    surface = RobotSurface.from_meshes(
        [_link_mesh(link, resolver, cache) for link in model.links], kinematics.link_names
    )
    if len(surface.faces) == 0:
        raise RobotError(
            f"robot '{model.name}' has no visual geometry in its description: use a description "
            "with <visual> elements (collision geometry is too coarse)"
        )
    unseen = [link.name for link in model.links if link.collisions and not link.visuals]
    notes = (f"links without visual geometry are not drawn: {', '.join(unseen)}",) if unseen else ()
    return Robot(model.name, kinematics, surface, _description_hash(xml), notes)


def load_kinematics(xml: str, *, base_frame: str | None = None) -> Kinematics:
    """Load the kinematics of a robot alone: its meshes need not be there.

    Args:
        xml: XML text of a URDF, as on `/robot_description`.
        base_frame: Link in whose frame poses are given; None takes the root link.

    Raises:
        RobotError: The description is not valid.
    """
    return _kinematics(_parse(xml), base_frame)


def read_description(
    urdf: Path | str,
    *,
    mesh_paths: Sequence[Path] = (),
    xacro_arguments: Mapping[str, str] | None = None,
) -> str:
    """Return the XML text of a URDF: of a file, of a xacro file after expansion, or as given.

    Raises:
        RobotError: The file is missing or not readable, or the xacro expansion fails.
    """
    if _is_xml(urdf):
        return str(urdf)
    path = Path(urdf).expanduser()
    if not path.is_file():
        raise RobotError(f"robot description {path} not found: give a URDF or xacro file")
    if path.suffix == ".xacro":
        return _expand_xacro(path, mesh_paths, xacro_arguments or {})
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RobotError(f"robot description {path} is not UTF-8 text: {error}") from error


def _is_xml(urdf: Path | str) -> bool:
    return isinstance(urdf, str) and urdf.lstrip(_BEFORE_XML).startswith("<")


def _expand_xacro(path: Path, mesh_paths: Sequence[Path], arguments: Mapping[str, str]) -> str:
    resolver = MeshResolver(mesh_paths, path.parent)
    xacrodoc.packages.reset()
    # xacrodoc knows fewer places than MeshResolver: tell it each package that it misses.
    for _ in range(_MOST_PACKAGES):
        try:
            document = xacrodoc.XacroDoc.from_file(
                path, subargs=dict(arguments), resolve_packages=False
            )
            return str(document.to_urdf_string())
        except Exception as error:  # xacro evaluates Python expressions, which raise anything
            missing = _missing_package(error)
            if missing is None:
                raise RobotError(f"cannot expand xacro file {path}: {error}") from error
            package = resolver.package(missing)
        xacrodoc.packages.update_package_cache({missing: package})
    raise RobotError(f"cannot expand xacro file {path}: it needs over {_MOST_PACKAGES} packages")


def _missing_package(error: BaseException | None) -> str | None:
    """Return the package that xacro looked for in vain, if that is behind its error."""
    while error is not None:
        if isinstance(error, xacrodoc.packages.PackageNotFoundError):
            return str(error.args[0])
        error = error.__cause__ or error.__context__
    return None


def parse_xml(xml: str) -> ElementTree.Element:
    """Return the <robot> element of a description.

    Raises:
        RobotError: The text is no XML, or has another root element.
    """
    try:
        root = ElementTree.fromstring(xml.lstrip(_BEFORE_XML).encode())
    except ElementTree.ParseError as error:
        raise RobotError(f"the robot description is not valid XML: {error}") from error
    if root.tag != "robot":
        raise RobotError(f"the robot description must be a <robot> element, not <{root.tag}>")
    return root


def _parse(xml: str) -> yourdfpy.urdf.Robot:
    # yourdfpy would log and repair malformed XML, which hides a truncated description.
    text = io.BytesIO(ElementTree.tostring(parse_xml(xml)))
    try:
        model = yourdfpy.URDF.load(text, build_scene_graph=False, load_meshes=False).robot
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RobotError(
            f"the robot description is not a valid URDF ({error}): check it with check_urdf"
        ) from error
    if not model.links:
        raise RobotError(f"robot '{model.name}' has no links")
    return model


def _kinematics(model: yourdfpy.urdf.Robot, base_frame: str | None) -> Kinematics:
    return Kinematics(
        [link.name for link in model.links], [_joint(j) for j in model.joints], base_frame
    )


def _joint(joint: yourdfpy.urdf.Joint) -> Joint:
    lower, upper = -np.inf, np.inf
    if joint.type in ("revolute", "prismatic") and joint.limit is not None:
        # A missing bound is 0 by the URDF specification.
        lower, upper = joint.limit.lower or 0.0, joint.limit.upper or 0.0
    origin = np.eye(4) if joint.origin is None else joint.origin
    mimic = joint.mimic and Mimic(joint.mimic.joint, joint.mimic.multiplier, joint.mimic.offset)
    return Joint(
        joint.name,
        str(joint.type),
        joint.parent,
        joint.child,
        origin,
        joint.axis,
        lower,
        upper,
        mimic,
    )


def _link_mesh(
    link: yourdfpy.urdf.Link, resolver: MeshResolver, cache: dict[Path, trimesh.Trimesh]
) -> trimesh.Trimesh | None:
    """Return all visuals of a link as one mesh in the link's frame, None without any."""
    parts: list[trimesh.Trimesh] = []
    for visual in link.visuals:
        try:
            mesh = _geometry_mesh(visual.geometry, resolver, cache)
        except RobotError as error:
            raise RobotError(f"visual of link '{link.name}': {error}") from None
        if visual.origin is not None:
            mesh.apply_transform(visual.origin)
        parts.append(mesh)
    if not parts:
        return None
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return trimesh.Trimesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]),
        process=False,
    )


def _geometry_mesh(
    geometry: yourdfpy.urdf.Geometry, resolver: MeshResolver, cache: dict[Path, trimesh.Trimesh]
) -> trimesh.Trimesh:
    """Return a new mesh of one visual in the visual's own frame."""
    mesh: trimesh.Trimesh
    if geometry.box is not None:
        mesh = trimesh.creation.box(extents=geometry.box.size)
        return mesh
    if geometry.cylinder is not None:
        radius, length = geometry.cylinder.radius, geometry.cylinder.length
        mesh = trimesh.creation.cylinder(radius=radius, height=length, sections=_CYLINDER_SECTIONS)
        return mesh
    if geometry.sphere is not None:
        mesh = trimesh.creation.icosphere(_SPHERE_SUBDIVISIONS, geometry.sphere.radius)
        return mesh
    if not geometry.mesh.filename:
        raise RobotError("a mesh has no filename")
    path = resolver.resolve(geometry.mesh.filename)
    if path not in cache:
        cache[path] = load_mesh(path)
    mesh = cache[path].copy()
    if geometry.mesh.scale is not None:
        scale = np.eye(4)
        scale[range(3), range(3)] = geometry.mesh.scale
        mesh.apply_transform(scale)  # turns the triangles over where the scale mirrors
    return mesh


def _description_hash(xml: str) -> str:
    text = ElementTree.canonicalize(xml.lstrip(_BEFORE_XML), strip_text=True)
    return hashlib.sha256(text.encode()).hexdigest()


def demo_urdf_path() -> Path:
    """Return the URDF of the demo arm: of the source tree, or of the installed share.

    Raises:
        RobotError: It is in none of the places, which the message lists.
    """
    module = Path(__file__).resolve()
    # An installation with --prefix or --user puts lib/pythonX/site-packages beside share.
    prefixes = [Path(sys.prefix), *module.parents[3:7]]
    prefixes += [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    shares = [prefix / "share" / "calib_all_ros" for prefix in dict.fromkeys(prefixes)]
    places = [folder / _DEMO for folder in (module.parents[2], *shares)]
    for place in places:
        if place.is_file():
            return place
    raise RobotError(
        f"the demo arm is not installed (tried: {', '.join(map(str, places))}): install "
        "calib_all_ros again"
    )
