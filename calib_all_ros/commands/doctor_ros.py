# SPDX-License-Identifier: Apache-2.0
"""Whether the ROS 2 nodes run here, and if not, why."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calib_all_ros.commands.doctor_imports import Trial

# A distribution may have been installed without its common messages.
ROS_MODULES = (
    "rclpy",
    "diagnostic_msgs.msg",
    "rcl_interfaces.msg",
    "sensor_msgs.msg",
    "std_srvs.srv",
    "tf2_msgs.msg",
    "visualization_msgs.msg",
)
_ONLY_NODES = "only the nodes need it"


@dataclass(frozen=True)
class RosState:
    """What there is of ROS 2.

    Attributes:
        usable: Whether the nodes run.
        detail: What there is, or why it cannot be used.
        todo: What to do about that.
        distribution: The one that is sourced, None if none is.
        rmw: The middleware that rclpy uses, None if rclpy cannot be used.
    """

    usable: bool
    detail: str
    todo: str | None
    distribution: str | None
    rmw: str | None


def ros_state(
    trials: Mapping[str, Trial],
    environment: Mapping[str, str],
    installations: Path = Path("/opt/ros"),
) -> RosState:
    """Return what there is of ROS 2.

    Args:
        trials: What came of importing ``ROS_MODULES``.
        environment: The environment variables.
        installations: The folder that distributions are installed in.
    """
    distribution = environment.get("ROS_DISTRO") or None
    rclpy = trials["rclpy"]
    if rclpy.works:
        absent = [module for module in ROS_MODULES if not trials[module].works]
        rmw = str(rclpy.facts["rmw"])
        where = distribution or f"from wheels, {Path(rclpy.facts['file']).parents[1]}"
        if not absent:
            detail = f"{where}, rclpy {rclpy.version}, {rmw}"
            return RosState(True, detail, None, distribution, rmw)
        packages = sorted({module.partition(".")[0] for module in absent})
        detail = f"{where}, but without the messages of {', '.join(packages)}"
        names = " ".join(f"ros-{distribution}-{p.replace('_', '-')}" for p in packages)
        todo = f"apt install {names}" if distribution else "install these packages"
        return RosState(False, detail, todo, distribution, rmw)
    if distribution is not None:
        detail, todo = _sourced_but_unusable(distribution, rclpy, environment)
    elif rclpy.installed:
        detail = f"rclpy is installed but broken ({rclpy.problem})"
        todo = "source a ROS 2 distribution, or from the source folder `make ros` for wheels"
    else:
        detail, todo = _absent(installations)
    return RosState(False, detail, todo, distribution, None)


def _sourced_but_unusable(
    distribution: str, rclpy: Trial, environment: Mapping[str, str]
) -> tuple[str, str]:
    """Return what is wrong, which mostly is that the distribution is for another Python."""
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    prefixes = [Path(p) for p in environment.get("AMENT_PREFIX_PATH", "").split(":") if p]
    others = sorted(
        {
            library.parents[1].name.removeprefix("python")
            for prefix in prefixes
            for library in (
                *prefix.glob("lib/python3.*/site-packages/rclpy"),
                *prefix.glob("local/lib/python3.*/dist-packages/rclpy"),
            )
        }
    )
    if others and this not in others:
        return (
            f"{distribution} is sourced, but it is for Python {others[0]}, and this is {this}",
            f"install calib_all_ros for /usr/bin/python{others[0]}; {_ONLY_NODES}",
        )
    reason = "is not installed" if not rclpy.installed else f"is broken ({rclpy.problem})"
    return (
        f"{distribution} is sourced, but rclpy {reason}",
        f"apt install --reinstall ros-{distribution}-rclpy; {_ONLY_NODES}",
    )


def _absent(installations: Path) -> tuple[str, str]:
    setups = sorted(installations.glob("*/setup.bash"))
    if setups:
        names = ", ".join(setup.parent.name for setup in setups)
        return f"installed but not sourced: {names}", f"source {setups[-1]}; {_ONLY_NODES}"
    return (
        "not installed",
        "install ROS 2, https://docs.ros.org, or from the source folder `make ros` for wheels; "
        f"{_ONLY_NODES}",
    )
