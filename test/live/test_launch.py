# SPDX-License-Identifier: Apache-2.0
"""The launch files, executed by ROS's own launch packages where these are importable."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)
pytest.importorskip("launch_ros", reason="ROS's launch packages are not importable here")

from diagnostic_msgs.msg import DiagnosticArray
from tf2_msgs.msg import TFMessage

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.results.store import ResultStore

NODES = ("recorder", "calibrator", "publisher", "monitor")
# What `ros2 launch` does, without its command line.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService(argv=sys.argv[2:])
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@pytest.fixture
def launch(graph: Any, repository: Path, tmp_path: Path) -> Callable[..., Any]:
    """Starts a launch file with arguments, in an installation that runs this source tree."""
    prefix = tmp_path / "install"
    share = prefix / "share" / "calib_all_ros"
    executables = prefix / "lib" / "calib_all_ros"
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    for folder in (share, executables, index):
        folder.mkdir(parents=True)
    (index / "calib_all_ros").touch()
    for folder in ("launch", "config", "rviz", "urdf"):
        (share / folder).symlink_to(repository / folder)
    for node in NODES:
        script = executables / f"calib_all_{node}"
        python = shlex.quote(sys.executable)
        script.write_text(
            f'#!/bin/sh\nexec {python} -m calib_all_ros.nodes.{node} "$@"\n', encoding="utf-8"
        )
        script.chmod(0o755)
    paths = (str(prefix), os.environ.get("AMENT_PREFIX_PATH", ""))
    graph.environment["AMENT_PREFIX_PATH"] = os.pathsep.join(filter(None, paths))

    def start(name: str, arguments: Mapping[str, object]) -> Any:
        words = [f"{key}:={value}" for key, value in arguments.items()]
        file = share / "launch" / f"{name}.launch.py"
        return graph.run([sys.executable, "-c", LAUNCH, file, *words], f"{name}.launch")

    return start


@pytest.fixture
def store(graph: Any) -> ResultStore:
    """Where the nodes of this graph look for results."""
    return ResultStore(Path(graph.environment["ROS_HOME"]) / "calib_all_ros")


def result(status: Any = "accepted") -> Calibration:
    return Calibration(
        T_camera_base=se3.from_rotvec([0.3, 2.0, 0.1], [0.1, 0.2, 2.0]),
        camera=Camera(np.diag([600.0, 600.0, 1.0]), 640, 480, np.zeros(5), frame_id="optical"),
        robot=RobotRecord("panda", "base"),
        verdict=Verdict(status, () if status == "accepted" else ("The masks are thin.",)),
        provenance=Provenance("bag", "ff", "0.1.0", "2024-05-06T07:08:09+00:00"),
    )


def test_publish_in_a_namespace_with_remapping(
    graph: Any, launch: Any, store: ResultStore, tmp_path: Path
) -> None:
    store.save("kitchen", result("rejected"))
    # Overridden by an argument where there is one.
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(
        "/**:\n  ros__parameters:\n    force: true\n    base_frame: other\n", encoding="utf-8"
    )
    launched = launch(
        "publish",
        {
            "name": "kitchen",
            "namespace": "cell",
            "remap": "/tf:=tf /tf_static:=tf_static",
            "params_file": parameters,
            "base_frame": "cell/base",
            "use_sim_time": "true",
        },
    )
    message = graph.latest("/cell/tf_static", TFMessage)
    (transform,) = message.transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("cell/base", "optical")
    assert graph.call("/cell/publisher/reload").success
    launched.interrupt()
    assert launched.exit_code() == 0


@pytest.mark.parametrize(("required", "code"), [("true", 1), ("false", 0)])
def test_launch_fails_with_a_required_node(
    launch: Any, store: ResultStore, required: str, code: int
) -> None:
    store.save("kitchen", result("rejected"))
    launched = launch("publish", {"name": "kitchen", "required": required})
    assert launched.exit_code() == code
    assert "the result kitchen is rejected" in launched.output
    assert "exit code 3" in launched.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settle_s": "soon"}, "settle_s:=soon must be a number"),
        ({"remap": "a"}, "has no FROM:=TO where it says 'a'"),
    ],
)
def test_wrong_arguments_are_named(
    launch: Any, arguments: Mapping[str, object], message: str
) -> None:
    launched = launch("publish", {"name": "kitchen", **arguments})
    assert launched.exit_code() == 1
    assert message in launched.output


def test_monitor_watches_a_saved_result(graph: Any, launch: Any, store: ResultStore) -> None:
    store.save("kitchen", result())
    launched = launch("monitor", {"name": "kitchen", "image_topic": "left/image_raw"})
    statuses = graph.listen("/diagnostics", DiagnosticArray, 10)
    graph.wait_for(
        lambda: any(s.name.startswith("monitor") for m in list(statuses) for s in m.status),
        "a diagnosis of the monitor",
    )
    launched.interrupt()
    assert launched.exit_code() == 0


def test_calibrations_side_by_side_wait_for_their_robots(graph: Any, launch: Any) -> None:
    both = [
        launch("calibrate", {"namespace": side, "name": side, "auto_start": "false", "rviz": "no"})
        for side in ("left", "right")
    ]
    wanted = {
        f"/{side}/{service}"
        for side in ("left", "right")
        for service in ("recorder/start", "calibrator/solve", "calibrator/accept")
    }
    graph.wait_for(
        lambda: wanted <= {name for name, _ in graph.node.get_service_names_and_types()},
        "the services of all four nodes",
    )
    for launched in both:
        launched.interrupt()
    assert [launched.exit_code() for launched in both] == [0, 0]


def test_bag_is_calibrated_and_saved(
    graph: Any, launch: Any, store: ResultStore, simulated_bag: Path
) -> None:
    launched = launch("calibrate", {"bag": simulated_bag, "name": "demo", "exit_when_done": "true"})
    assert launched.exit_code(600.0) == 0
    assert store.load("demo").verdict.status == "accepted"
