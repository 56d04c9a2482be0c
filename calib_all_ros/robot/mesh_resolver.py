# SPDX-License-Identifier: Apache-2.0
"""Search for the files that a robot description names, with or without a ROS installation."""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from calib_all_ros.robot.kinematics import RobotError

_PARENT_LEVELS = 4
_PACKAGE_SCHEMES = ("package", "model")


class MeshResolver:
    """Turns `package://NAME/…`, `file://…` and relative names into existing files.

    Places are searched in this order: the given folders, the folder of the URDF file and its
    parents, ROS_PACKAGE_PATH, the shares of AMENT_PREFIX_PATH, the shares of this Python
    environment (also those of cmeel wheels such as `example-robot-data`), and the cache of
    `robot_descriptions`.
    """

    def __init__(self, mesh_paths: Sequence[Path] = (), urdf_folder: Path | None = None) -> None:
        """Remember where to look.

        Args:
            mesh_paths: Folders that contain packages, or are packages themselves.
            urdf_folder: Folder of the URDF file, if it was a file.

        Raises:
            RobotError: One of `mesh_paths` is not a folder.
        """
        for folder in mesh_paths:
            if not folder.is_dir():
                raise RobotError(f"mesh path {folder} is not a folder: check the path")
        self._mesh_paths = tuple(mesh_paths)
        self._urdf_folders: tuple[Path, ...] = ()
        if urdf_folder is not None:
            folder = urdf_folder.resolve()
            self._urdf_folders = (folder, *folder.parents)[:_PARENT_LEVELS]
        self._packages: dict[str, tuple[Path, ...]] = {}

    def resolve(self, uri: str) -> Path:
        """Return the file that `uri` means.

        Raises:
            RobotError: It does not exist in any of the places, which the message lists.
        """
        tried = []
        for candidate in self._candidates(uri):
            if candidate.is_file():
                return candidate
            tried.append(str(candidate))
        places = ", ".join(dict.fromkeys(tried)) or "no place, since none was given"
        raise RobotError(
            f"file '{uri}' of the robot description not found (tried: {places}); give the folder "
            "that contains its package, or the files themselves, as a mesh path"
        )

    def package(self, name: str) -> Path:
        """Return the root folder of a package.

        Raises:
            RobotError: There is no such package in any of the places, which the message lists.
        """
        for root in self._roots(name):
            if root.is_dir():
                return root
        places = ", ".join(str(root) for root in self._roots(name))
        raise RobotError(
            f"package '{name}' of the robot description not found (tried: {places}); give the "
            "folder that contains it as a mesh path"
        )

    def _candidates(self, uri: str) -> Iterator[Path]:
        scheme, separator, rest = uri.partition("://")
        if not separator:
            scheme, rest = "file", uri
        if scheme in _PACKAGE_SCHEMES:
            name, _, inside = rest.partition("/")
            yield from (root / inside for root in self._roots(name))
            return
        if scheme != "file":
            raise RobotError(
                f"mesh '{uri}' is neither a package:// nor a file:// name: download it and name "
                "the file"
            )
        path = Path(unquote(rest) if separator else rest)
        if not path.is_absolute():
            yield from (folder / path for folder in (*self._mesh_paths, *self._urdf_folders))
            return
        yield path
        # A description recorded on another machine names files of that machine's installation.
        if share := re.search(r"/share/([^/]+)/(.+)", path.as_posix()):
            yield from (root / share[2] for root in self._roots(share[1]))

    def _roots(self, name: str) -> tuple[Path, ...]:
        """Return where package `name` may be, the likely places first."""
        if name not in self._packages:
            self._packages[name] = tuple(dict.fromkeys(self._possible_roots(name)))
        return self._packages[name]

    def _possible_roots(self, name: str) -> Iterator[Path]:
        for folder in self._mesh_paths:
            yield from _in_or_at(folder, name)
            yield from sorted(folder.glob(f"*/{name}"))
        for folder in self._urdf_folders:
            yield from _in_or_at(folder, name)
        for folder in _folders("ROS_PACKAGE_PATH"):
            yield from _in_or_at(folder, name)
            yield from sorted(folder.glob(f"*/{name}"))
        for folder in (*_folders("AMENT_PREFIX_PATH"), Path(sys.prefix)):
            yield folder / "share" / name
        for packages in dict.fromkeys([sysconfig.get_path("purelib"), *site.getsitepackages()]):
            yield Path(packages) / "cmeel.prefix" / "share" / name
        cache = os.environ.get("ROBOT_DESCRIPTIONS_CACHE", "~/.cache/robot_descriptions")
        folder = Path(cache).expanduser()
        yield folder / name
        yield from sorted(folder.glob(f"*/{name}"))
        yield from sorted(folder.glob(f"*/*/{name}"))


def _folders(variable: str) -> list[Path]:
    """Return the folders that a search path in the environment names."""
    return [Path(entry) for entry in os.environ.get(variable, "").split(os.pathsep) if entry]


def _in_or_at(folder: Path, name: str) -> Iterator[Path]:
    """Yield `folder`/`name`, and `folder` if it is the package itself."""
    if folder.resolve().name == name or _declared_name(folder) == name:
        yield folder
    yield folder / name


def _declared_name(folder: Path) -> str | None:
    """Return the name in a folder's package.xml, if it has one."""
    manifest = folder / "package.xml"
    if not manifest.is_file():
        return None
    found = re.search(r"<name>\s*([^<\s]+)\s*</name>", manifest.read_text(errors="replace"))
    return found[1] if found else None
