# SPDX-License-Identifier: Apache-2.0
"""Arguments of the launch files, which become parameters of the nodes.

The defaults that --show-args tells are those of config/*.yaml. An argument that is not given leaves
its parameter alone, so that a parameter file can set it. Imports nothing but ROS's own launch
packages, so that `ros2 launch` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch_ros.actions import Node

PACKAGE = "calib_all_ros"
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


@dataclass(frozen=True)
class LaunchOption:
    """A launch argument; most become the parameter of the same name.

    Attributes:
        name: Of both.
        description: For --show-args.
        kind: Type of the parameter; list takes words with commas between them.
        default: Where it is not the nodes' own.
        nodes: Which of the launched nodes have the parameter.
    """

    name: str
    description: str
    kind: type = str
    default: str | None = None
    nodes: tuple[str, ...] = ()


COMMON = (
    LaunchOption(
        "namespace", "namespace of the nodes, and of topics with relative names", default=""
    ),
    LaunchOption("params_file", "YAML file of parameters, on top of the defaults", default=""),
    LaunchOption("remap", "rules for all nodes, e.g. '/tf:=tf /tf_static:=tf_static'", default=""),
    LaunchOption(
        "use_sim_time", "take the time from /clock, e.g. of ros2 bag play --clock", bool, "false"
    ),
    LaunchOption("log_level", "debug, info, warn, error or fatal", default=""),
)


class Launch:
    """The arguments of one launch, and the nodes that they make.

    Attributes:
        given: The arguments that somebody gave, by their names.
    """

    def __init__(
        self, context: LaunchContext, options: Sequence[LaunchOption], given: set[str]
    ) -> None:
        self._context = context
        self._options = options
        self.given = given

    def value(self, name: str) -> str:
        """Return the text of an argument, or of its default."""
        return str(self._context.launch_configurations[name]).strip()

    def flag(self, name: str) -> bool:
        """Return an argument that is true or false.

        Raises:
            ValueError: It is neither.
        """
        return (
            parse(LaunchOption(name, "an argument of this launch file", bool), self.value(name))
            is True
        )

    def node(self, name: str, without: Sequence[str] = ()) -> Node:
        """Return one of this package's nodes.

        Args:
            name: Of the node.
            without: Arguments that are not for it this time.

        Raises:
            ValueError: An argument is not of its parameter's type.
        """
        own = [o for o in self._options if name in o.nodes and o.name not in without]
        ours = {o.name: parse(o, o.default) for o in own if o.default is not None}
        given = {o.name: parse(o, self.value(o.name)) for o in own if o.name in self.given}
        if "use_sim_time" in self.given:
            given["use_sim_time"] = self.flag("use_sim_time")
        file = self.value("params_file")
        # What comes later counts. launch_ros takes no empty dictionary.
        sources = [defaults_file(name), ours, Path(file).expanduser() if file else "", given]
        level = self.value("log_level")
        return Node(
            package=PACKAGE,
            executable=f"calib_all_{name}",
            name=name,
            namespace=self.value("namespace"),
            parameters=[str(s) if isinstance(s, Path) else s for s in sources if s],
            remappings=self.remappings(),
            ros_arguments=["--log-level", level] if level else [],
            output="screen",
            emulate_tty=True,
            on_exit=_end_launch if self.flag("required") else None,
        )

    def remappings(self) -> list[tuple[str, str]]:
        """Return the remapping rules that were given.

        Raises:
            ValueError: One of them is no rule.
        """
        rules = [rule.partition(":=") for rule in self.value("remap").split()]
        for old, _, new in rules:
            if not old or not new:
                raise ValueError(
                    f"remap:='{self.value('remap')}' has no FROM:=TO where it says '{old}': give "
                    "rules with spaces between them, e.g. '/tf:=tf /tf_static:=tf_static'"
                )
        return [(old, new) for old, _, new in rules]

    def rviz(self, remappings: Sequence[tuple[str, str]] = ()) -> list[Node | LogInfo]:
        """Return RViz with the configuration ``rviz_config``, or why it is not started.

        The argument ``rviz`` is true, false, or auto, which starts it where it is installed and
        there is a display. Its fixed frame is ``tf_base_frame`` or ``base_frame``, if given.
        """
        wanted = self.value("rviz").lower()
        if wanted in _FALSE:
            return []
        if wanted not in _TRUE and (reason := _no_rviz()):
            return [LogInfo(msg=f"RViz is not started: {reason}")]
        frame = self.value("tf_base_frame") or self.value("base_frame")
        return [
            Node(
                package="rviz2",
                executable="rviz2",
                name="rviz",
                namespace=self.value("namespace"),
                arguments=["-d", self.value("rviz_config"), *(["-f", frame] if frame else [])],
                remappings=[*self.remappings(), *remappings],
                output="log",
            )
        ]


def description(
    options: Sequence[LaunchOption],
    make: Callable[[Launch], Sequence[Node | LogInfo]],
    *,
    required: bool = False,
) -> LaunchDescription:
    """Return a launch description with these arguments and those that all have.

    Args:
        options: The arguments.
        make: Called with what was given; returns what is to be launched.
        required: Whether the end of one node is the end of the whole launch, unless somebody says
            otherwise. It is not for what people include in the launch file of their robot.
    """
    text = "end the whole launch with the node, with exit code 1 if it failed"
    options = (*options, *COMMON, LaunchOption("required", text, bool, str(required).lower()))
    given: set[str] = set()

    def note_given(context: LaunchContext) -> None:
        # Once the arguments are declared, they cannot be told from their defaults.
        given.update(context.launch_configurations)

    return LaunchDescription(
        [
            OpaqueFunction(function=note_given),
            *(
                DeclareLaunchArgument(
                    option.name, default_value=_default(option), description=option.description
                )
                for option in options
            ),
            OpaqueFunction(function=lambda context: make(Launch(context, options, given))),
        ]
    )


def parse(option: LaunchOption, text: str) -> str | bool | int | float | list[str]:
    """Return the text of an argument as its parameter's type.

    Raises:
        ValueError: It is none of that type.
    """
    if option.kind is str:
        return text
    if option.kind is list:
        return [word.strip(" '\"") for word in text.strip("[]").split(",")]
    if option.kind is bool and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    try:
        if option.kind in (int, float):
            return int(text) if option.kind is int else float(text)
    except ValueError:
        pass
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    raise ValueError(f"{option.name}:={text} must be {kinds[option.kind]} ({option.description})")


def share() -> Path:
    """Return the package's share folder, or the source tree where nothing is installed."""
    try:
        return Path(get_package_share_directory(PACKAGE))
    except PackageNotFoundError:
        return Path(__file__).resolve().parents[2]


def defaults_file(node: str) -> Path:
    """Return the file with a node's parameters and their defaults."""
    return share() / "config" / f"{node}.yaml"


def _end_launch(event: Any, context: LaunchContext) -> Shutdown | None:
    """End the launch with a node that has ended, and not with exit code 0 if it failed.

    Raises:
        RuntimeError: It failed; launch turns this into its exit code 1.
    """
    if context.is_shutdown:
        return None
    if event.returncode != 0:
        raise RuntimeError(f"{event.process_name} has ended with exit code {event.returncode}")
    return Shutdown(reason=f"{event.process_name} has ended")


def _default(option: LaunchOption) -> str:
    """Return an argument's default, which is its own or that of the first node that has it."""
    if option.default is not None:
        return option.default
    document = yaml.safe_load(defaults_file(option.nodes[0]).read_text(encoding="utf-8"))
    value: Any = document["/**"]["ros__parameters"][option.name]
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _no_rviz() -> str:
    """Return why RViz cannot run here, "" if it can."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return "the package rviz2 is not installed"
    displays = (os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not any(displays):
        return "there is no display; rviz:=true tries all the same"
    return ""
