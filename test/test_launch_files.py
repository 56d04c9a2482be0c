# SPDX-License-Identifier: Apache-2.0
"""Launch files, parameter files and RViz configuration agree with the nodes; needs no ROS."""

from __future__ import annotations

import runpy
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin
from unittest.mock import MagicMock

import pytest
import yaml

from calib_all_ros.nodes.calibrator_parameters import CalibratorParameters
from calib_all_ros.nodes.monitor_parameters import MonitorParameters
from calib_all_ros.nodes.publisher import PublisherParameters
from calib_all_ros.nodes.recorder_parameters import RecorderParameters
from calib_all_ros.options import Option
from calib_all_ros.options import options_of as fields_of

PARAMETERS: dict[str, type] = {
    "recorder": RecorderParameters,
    "calibrator": CalibratorParameters,
    "publisher": PublisherParameters,
    "monitor": MonitorParameters,
}
LAUNCHED = {
    "calibrate": ("recorder", "calibrator"),
    "publish": ("publisher",),
    "monitor": ("monitor",),
}
# In calibrate.launch.py the recorder is the one beside the calibrator, and outlives its recording.
FIXED = {"calibrator": {"recorder"}, "recorder": {"exit_when_done"}, "publisher": {}, "monitor": {}}
PAIRS = [(launch, node) for launch, nodes in LAUNCHED.items() for node in nodes]
LAUNCHING = "calib_all_ros.nodes.launching"


class NotFoundError(Exception):
    """Stands for ament_index_python's."""


@pytest.fixture
def launch_files(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What each launch file defines, run with stand-ins for ROS's own launch packages."""
    index = MagicMock(PackageNotFoundError=NotFoundError)
    index.get_package_share_directory.side_effect = NotFoundError
    stand_ins: dict[str, Any] = {
        "launch": MagicMock(),
        "launch.actions": MagicMock(),
        "launch_ros": MagicMock(),
        "launch_ros.actions": MagicMock(),
        "ament_index_python": MagicMock(packages=index),
        "ament_index_python.packages": index,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, stand_in)
    monkeypatch.delitem(sys.modules, LAUNCHING, raising=False)
    yield {
        launch: runpy.run_path(str(repository / "launch" / f"{launch}.launch.py"))
        for launch in LAUNCHED
    }
    sys.modules.pop(LAUNCHING, None)


def launching() -> ModuleType:
    """Return the module that the launch files were run with."""
    return sys.modules[LAUNCHING]


def options_of(launch_file: dict[str, Any]) -> list[Any]:
    if "OPTIONS" in launch_file:
        return list(launch_file["OPTIONS"])
    return [o for part in ("INPUT", "RECORDING", "CALIBRATION", "RVIZ") for o in launch_file[part]]


def own_fields(node: str) -> dict[str, Option]:
    """Return the parameters of a node by name, without those of nested settings."""
    return {field.name: field for field in fields_of(PARAMETERS[node]) if "." not in field.name}


@pytest.mark.parametrize(("launch", "node"), PAIRS)
def test_every_parameter_is_an_argument(launch_files: Any, launch: str, node: str) -> None:
    options = {o.name: o for o in options_of(launch_files[launch]) if node in o.nodes}
    fields = own_fields(node)
    assert set(options) == set(fields) - set(FIXED[node])
    for name, option in options.items():
        kind = list if get_origin(fields[name].kind) is tuple else fields[name].kind
        assert option.kind is kind, name


@pytest.mark.parametrize("launch", LAUNCHED)
def test_arguments_tell_the_defaults(launch_files: Any, launch: str) -> None:
    for option in options_of(launch_files[launch]):
        assert option.description.strip(), option.name
        if option.nodes and option.default is None:
            default = own_fields(option.nodes[0])[option.name].default
            text = launching()._default(option)
            parsed = launching().parse(option, text)
            assert (tuple(filter(None, parsed)) if option.kind is list else parsed) == default


def test_accepted_results_are_accepted_by_launch(launch_files: Any) -> None:
    (option,) = [o for o in options_of(launch_files["calibrate"]) if o.name == "auto_accept"]
    assert option.default == "true"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "7", "7"),
        (bool, "True", True),
        (bool, "off", False),
        (int, "12", 12),
        (float, "3", 3.0),
        (list, "/a,/b", ["/a", "/b"]),
        (list, "[/a, '/b']", ["/a", "/b"]),
        (list, "", [""]),
    ],
)
def test_arguments_become_parameters(launch_files: Any, kind: type, text: str, value: Any) -> None:
    parsed = launching().parse(launching().LaunchOption("x", "y", kind), text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(("kind", "text"), [(bool, "maybe"), (int, "1.5"), (float, "soon")])
def test_arguments_of_the_wrong_type_are_named(launch_files: Any, kind: type, text: str) -> None:
    option = launching().LaunchOption("settle_s", "how long", kind)
    with pytest.raises(ValueError, match=rf"settle_s:={text} must be .* \(how long\)"):
        launching().parse(option, text)


@pytest.mark.parametrize("node", PARAMETERS)
def test_parameter_files_hold_the_defaults(repository: Path, node: str) -> None:
    text = (repository / "config" / f"{node}.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)["/**"]["ros__parameters"]
    found = dict(_flat(document))
    for field in fields_of(PARAMETERS[node]):
        value = found.pop(field.name)
        if isinstance(field.default, tuple):
            value = tuple(item for item in value if item != "")
        assert value == field.default, field.name
        assert type(value) is type(field.default), field.name
    assert found == {}


def _flat(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_executables_exist(repository: Path) -> None:
    setup = (repository / "setup.py").read_text(encoding="utf-8")
    for node in PARAMETERS:
        assert f'"calib_all_{node} = calib_all_ros.nodes.{node}:main"' in setup
        source = (repository / "calib_all_ros" / "nodes" / f"{node}.py").read_text("utf-8")
        assert "def main() -> int:" in source


def test_manifest_names_the_ros_packages_that_are_imported(repository: Path) -> None:
    manifest = ET.parse(repository / "package.xml").getroot()
    named = {element.text for element in manifest.iter("exec_depend")}
    used = set()
    for path in [*(repository / "calib_all_ros").rglob("*.py"), *repository.glob("launch/*.py")]:
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]) and len(words) > 1:
                used.add(words[1].partition(".")[0])
    ros = {
        name
        for name in used
        if name.endswith(("_msgs", "_interfaces", "_srvs")) or name in ("rclpy", "launch_ros")
    }
    assert ros - {"calib_all_ros"} <= named


def test_rviz_shows_what_the_calibrator_publishes(repository: Path) -> None:
    text = (repository / "rviz" / "calibrate.rviz").read_text(encoding="utf-8")
    displays = yaml.safe_load(text)["Visualization Manager"]["Displays"]
    topics = {}
    for display in displays:
        topic = display.get("Topic") or display.get("Description Topic")
        if topic is not None:
            topics[topic["Value"]] = (display["Class"].partition("/")[2], topic)
    kinds = {name: kind for name, (kind, _) in topics.items()}
    assert kinds == {
        "robot_description": "RobotModel",
        "calibrator/markers": "MarkerArray",
        "calibrator/overlay/image": "Image",
        "calibrator/overlay_before_after/image": "Image",
        "calibrator/mask/image": "Image",
        "calibrator/track/image": "Image",
        "camera/image_raw": "Camera",
    }
    for name, (_, topic) in topics.items():
        # A name that is relative follows the namespace that RViz is started in.
        assert not name.startswith("/")
        latched = name != "camera/image_raw"
        assert topic["Durability Policy"] == ("Transient Local" if latched else "Volatile")
    views = (repository / "calib_all_ros" / "nodes" / "calibrator_views.py").read_text("utf-8")
    for name in kinds:
        if name.startswith("calibrator/"):
            topic_name = name.partition("/")[2]
            assert f'"{topic_name}"' in views
    assert "rviz_default_plugins/TF" in [display["Class"] for display in displays]
