# SPDX-License-Identifier: Apache-2.0
"""Which module may import which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "calib_all_ros"
MODULES = sorted(PACKAGE.rglob("*.py"))
COMMAND_LINE = ("calib_all_ros.cli", "calib_all_ros.commands")
NODES = ("calib_all_ros.nodes",)
ROS = (
    "rclpy",
    "rcl_interfaces",
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
    "visualization_msgs",
)


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""


def within(module: str, parents: tuple[str, ...]) -> bool:
    return any(module == parent or module.startswith(parent + ".") for parent in parents)


def core() -> list[Path]:
    outside = [PACKAGE / name for name in ("cli.py", "__main__.py", "commands", "nodes")]
    return [m for m in MODULES if not {m, *m.parents} & set(outside)]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", core(), ids=name_of)
def test_core_needs_no_ros_no_torch_and_no_interface(path: Path) -> None:
    forbidden = (*ROS, "torch", *COMMAND_LINE, *NODES)
    assert [module for module in imported(path) if within(module, forbidden)] == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "nodes").glob("*.py")), ids=name_of)
def test_nodes_and_command_line_do_not_need_each_other(path: Path) -> None:
    assert [module for module in imported(path) if within(module, COMMAND_LINE)] == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "commands").glob("*.py")), ids=name_of)
def test_command_line_needs_no_ros(path: Path) -> None:
    assert [module for module in imported(path) if within(module, (*ROS, *NODES))] == []


def layers() -> dict[str, int]:
    """The row of each room in the table of ARCHITECTURE.md, from the top."""
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = [re.findall(r"`(\w+)`", cell) for cell in re.findall(r"^\| (`[^|]+) \|", text, re.M)]
    return {room: number for number, rooms in enumerate(rows) for room in rooms}


def test_rooms_import_only_rooms_above_them() -> None:
    layer = layers()
    for path in MODULES:
        if path == PACKAGE / "__init__.py":
            continue  # names the public interface, and imports it when it is used
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        assert room in layer, f"ARCHITECTURE.md does not list {room}"
        for module in imported(path):
            if within(module, ("calib_all_ros",)) and module != "calib_all_ros":
                other = module.split(".")[1]
                if other != "__version__":
                    assert layer[other] <= layer[room], f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "simulation").glob("*.py")), ids=name_of)
def test_simulator_shares_nothing_with_what_it_tests(path: Path) -> None:
    forbidden = ("calib_all_ros.rendering", "calib_all_ros.solving", "calib_all_ros.masks")
    assert [module for module in imported(path) if within(module, forbidden)] == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*/__init__.py")), ids=name_of)
def test_packages_import_nothing_by_themselves(path: Path) -> None:
    assert list(imported(path)) == []


def test_no_modules_import_each_other() -> None:
    """Not even in a circle of several, nor inside of functions."""
    named = {
        ".".join(("calib_all_ros", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in MODULES
    }
    open_ends = {name: set(imported(path)) & set(named) - {name} for name, path in named.items()}
    while leaves := [name for name, needed in open_ends.items() if not needed & set(open_ends)]:
        for name in leaves:
            del open_ends[name]
    assert sorted(open_ends) == []
