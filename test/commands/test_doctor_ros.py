# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from calib_all_ros.commands.doctor_imports import Trial
from calib_all_ros.commands.doctor_ros import ROS_MODULES, RosState, ros_state

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
RCLPY = Trial(
    "rclpy",
    version="9.1.2",
    facts={"rmw": "rmw_fastrtps_cpp", "file": "/place/site-packages/rclpy/__init__.py"},
)
BROKEN = Trial("rclpy", problem="ImportError: no C extension")
ABSENT = Trial("rclpy", installed=False)


def state(rclpy: Trial, *absent: str, root: Path = Path("/none"), **environment: str) -> RosState:
    trials = {module: Trial(module) for module in ROS_MODULES} | {"rclpy": rclpy}
    trials |= {module: Trial(module, installed=False) for module in absent}
    return ros_state(trials, environment, root)


def test_a_sourced_distribution() -> None:
    ros = state(RCLPY, ROS_DISTRO="jazzy")
    assert ros == RosState(
        True, "jazzy, rclpy 9.1.2, rmw_fastrtps_cpp", None, "jazzy", "rmw_fastrtps_cpp"
    )


def test_wheels() -> None:
    ros = state(RCLPY)
    assert ros.usable
    assert ros.distribution is None
    assert ros.detail.startswith("from wheels, /place/site-packages")


def test_missing_messages_are_named_as_packages() -> None:
    ros = state(RCLPY, "tf2_msgs.msg", "diagnostic_msgs.msg", ROS_DISTRO="jazzy")
    assert not ros.usable
    assert "without the messages of diagnostic_msgs, tf2_msgs" in ros.detail
    assert ros.todo == "apt install ros-jazzy-diagnostic-msgs ros-jazzy-tf2-msgs"


@pytest.mark.parametrize("rclpy", [BROKEN, ABSENT])
@pytest.mark.parametrize(
    "library", ["lib/python3.6/site-packages", "local/lib/python3.6/dist-packages"]
)
def test_a_distribution_for_another_python(tmp_path: Path, rclpy: Trial, library: str) -> None:
    (tmp_path / library / "rclpy").mkdir(parents=True)
    prefixes = f"/elsewhere:{tmp_path}"
    ros = state(rclpy, ROS_DISTRO="jazzy", AMENT_PREFIX_PATH=prefixes)
    assert not ros.usable
    assert ros.detail == f"jazzy is sourced, but it is for Python 3.6, and this is {HERE}"
    assert "python3.6" in str(ros.todo)


def test_a_distribution_for_this_python_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / f"lib/python{HERE}/site-packages/rclpy").mkdir(parents=True)
    ros = state(BROKEN, ROS_DISTRO="jazzy", AMENT_PREFIX_PATH=str(tmp_path))
    assert ros.detail == "jazzy is sourced, but rclpy is broken (ImportError: no C extension)"
    assert "ros-jazzy-rclpy" in str(ros.todo)


def test_a_distribution_without_rclpy() -> None:
    assert (
        state(ABSENT, ROS_DISTRO="jazzy").detail == "jazzy is sourced, but rclpy is not installed"
    )


def test_installed_but_not_sourced(tmp_path: Path) -> None:
    for name in ("humble", "jazzy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "setup.bash").touch()
    ros = state(ABSENT, root=tmp_path)
    assert ros.detail == "installed but not sourced: humble, jazzy"
    assert f"source {tmp_path / 'jazzy' / 'setup.bash'}" in str(ros.todo)


def test_nothing_at_all() -> None:
    ros = state(ABSENT)
    assert (ros.usable, ros.detail, ros.rmw) == (False, "not installed", None)
    assert "only the nodes need it" in str(ros.todo)


def test_broken_wheels() -> None:
    assert "broken (ImportError: no C extension)" in state(BROKEN).detail
