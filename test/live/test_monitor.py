# SPDX-License-Identifier: Apache-2.0
"""The monitor against a live graph: what it says about a camera that others publish."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from calib_all_ros.geometry import se3
from calib_all_ros.loading import load_recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.results.store import ResultStore

LOOPS = 40


@pytest.fixture
def store(graph: Any) -> ResultStore:
    """Where the nodes of this graph look for results."""
    return ResultStore(Path(graph.environment["ROS_HOME"]) / "calib_all_ros")


@pytest.fixture
def truth(live_recording: Path) -> Calibration:
    """The calibration of the camera that is played."""
    recording = load_recording(live_recording)
    assert recording.reference_T_camera_base is not None and recording.base_frame is not None
    return Calibration(
        T_camera_base=recording.reference_T_camera_base,
        camera=recording.camera,
        robot=RobotRecord("demo", recording.base_frame),
        verdict=Verdict("accepted"),
        provenance=Provenance("", "", ""),
    )


def turned(calibration: Calibration, degrees: float = 2.0) -> Calibration:
    turn = se3.from_rotvec(np.radians([0.0, degrees, 0.0]), np.zeros(3))
    return replace(calibration, T_camera_base=turn @ calibration.T_camera_base)


class Watched:
    """What the monitor publishes."""

    def __init__(self, graph: Any, name: str = "/monitor") -> None:
        self.graph = graph
        self.states: list[Any] = graph.listen(f"{name}/state", String)
        self.diagnostics: list[Any] = graph.listen(
            "/diagnostics", DiagnosticArray, QoSProfile(depth=10)
        )

    def wait_for(self, state: str) -> str:
        """Wait for a state and return its sentence."""
        self.graph.wait_for(
            lambda: any(message.data.startswith(f"{state}: ") for message in self.states),
            f"the state {state}",
        )
        told = next(m.data for m in reversed(self.states) if m.data.startswith(f"{state}: "))
        return str(told.partition(": ")[2])

    def wait_for_level(self, level: bytes) -> DiagnosticStatus:
        """Wait for diagnostics of a level and return them."""

        def found() -> list[DiagnosticStatus]:
            return [s for m in self.diagnostics for s in m.status if s.level == level]

        self.graph.wait_for(found, f"diagnostics of level {level!r}")
        return found()[-1]


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
def test_camera_in_its_place(
    graph: Any, store: ResultStore, truth: Calibration, live_recording: Path, compressed: bool
) -> None:
    store.save("camera", truth)
    monitor = graph.start("monitor")
    watched = Watched(graph)
    graph.play(live_recording, loops=LOOPS, compressed=compressed, reliable=not compressed)
    assert "stands where the calibration says" in watched.wait_for("ok")
    assert not any(message.data.startswith("moved") for message in watched.states)
    status = watched.wait_for_level(DiagnosticStatus.OK)
    figures = {value.key: value.value for value in status.values}
    assert status.name == "monitor: camera"
    assert float(figures["outline_shift_px"]) < 1.5
    assert int(figures["images_looked_at"]) > 4
    overlay = graph.latest("/monitor/overlay/image", Image)
    assert (overlay.width, overlay.height) == (truth.camera.width, truth.camera.height)
    assert overlay.header.frame_id == truth.camera.frame_id
    # Somebody who comes later is told the same.
    assert graph.latest("/monitor/state", String).data
    monitor.interrupt()
    assert monitor.exit_code() == 0


def test_camera_that_was_moved(
    graph: Any, store: ResultStore, truth: Calibration, live_recording: Path
) -> None:
    calls = []

    def start(request: Any, response: Any) -> Any:
        calls.append(request)
        response.success, response.message = True, "records"
        return response

    graph.node.create_service(Trigger, "/recorder/start", start)
    store.save("camera", turned(truth))
    monitor = graph.start("monitor", {"auto_recalibrate": True})
    watched = Watched(graph)
    graph.play(live_recording, loops=LOOPS)
    assert "calibrate again" in watched.wait_for("moved")
    assert "the robot appears" in watched.wait_for_level(DiagnosticStatus.ERROR).message
    graph.wait_for(lambda: len(calls) == 1, "that a recording is asked for")
    graph.wait_for(lambda: "a recording is started: records" in monitor.output, "the log")
    answer = graph.call("/monitor/recalibrate")
    assert (answer.success, answer.message) == (True, "records")
    assert len(calls) == 2
    # The calibrator has saved a new result: the monitor takes it by itself.
    store.save("camera", truth)
    watched.wait_for("ok")


def test_reload(graph: Any, store: ResultStore, truth: Calibration, live_recording: Path) -> None:
    path = store.save("camera", turned(truth))
    graph.start("monitor", {"file": str(path), "follow": False})
    watched = Watched(graph)
    graph.play(live_recording, loops=LOOPS)
    watched.wait_for("moved")
    path.write_text("nonsense")
    answer = graph.call("/monitor/reload")
    assert not answer.success and "camera.yaml" in answer.message
    truth.save(path)
    assert graph.call("/monitor/reload").success
    watched.wait_for("ok")


def test_no_recorder_to_recalibrate_with(
    graph: Any, store: ResultStore, truth: Calibration
) -> None:
    store.save("camera", truth)
    graph.start("monitor")
    answer = graph.call("/monitor/recalibrate")
    assert not answer.success and "start the recorder" in answer.message


def test_images_that_end(
    graph: Any, store: ResultStore, truth: Calibration, live_recording: Path
) -> None:
    store.save("camera", truth)
    graph.start("monitor")
    watched = Watched(graph)
    graph.play(live_recording)
    assert "no messages on /camera/image_raw" in watched.wait_for("no_images")
    watched.wait_for_level(DiagnosticStatus.STALE)


def test_joint_states_that_stop(
    graph: Any, store: ResultStore, truth: Calibration, live_recording: Path
) -> None:
    store.save("camera", truth)
    graph.start("monitor")
    watched = Watched(graph)
    graph.play(live_recording, loops=LOOPS, joint_gap_s=(2.0, 4.9))
    assert "joint state" in watched.wait_for("no_joints")
    watched.wait_for("ok")


def test_camera_with_other_intrinsics(
    graph: Any, store: ResultStore, truth: Calibration, live_recording: Path
) -> None:
    K = truth.camera.K @ np.diag([1.1, 1.1, 1.0])
    store.save("camera", replace(truth, camera=replace(truth.camera, K=K)))
    graph.start("monitor")
    watched = Watched(graph)
    graph.play(live_recording, loops=LOOPS)
    assert "intrinsics" in watched.wait_for("wrong_camera")


def test_works_in_a_namespace_and_with_remapping(
    graph: Any, store: ResultStore, truth: Calibration, live_recording: Path
) -> None:
    store.save("left", truth)
    graph.start(
        "monitor",
        {"name": "left", "image_topic": "eye/image_raw"},
        namespace="cell",
        remappings={"eye/image_raw": "camera/image_raw"},
    )
    watched = Watched(graph, "/cell/monitor")
    graph.play(live_recording, namespace="cell", loops=LOOPS)
    watched.wait_for("ok")


def test_waits_for_the_robot_description(
    graph: Any, store: ResultStore, truth: Calibration, live_recording: Path
) -> None:
    store.save("camera", truth)
    graph.start("monitor")
    watched = Watched(graph)
    graph.play(live_recording, loops=LOOPS, description=False)
    assert "/robot_description" in watched.wait_for("unsure")


def test_robot_that_cannot_be_loaded(graph: Any, store: ResultStore, truth: Calibration) -> None:
    store.save("camera", truth)
    monitor = graph.start("monitor", {"urdf": "nowhere.urdf"})
    assert monitor.exit_code() == 2
    assert "nowhere.urdf" in monitor.output
    assert "Traceback" not in monitor.output


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"name": "kitchen"}, "kitchen.yaml"),
        ({"rate_hz": 0.0}, "rate_hz is 0.0: it must be above 0"),
        ({"settings.window": 1}, "monitor setting window is 1; it must be from 4 to 64"),
    ],
    ids=["no such result", "rate", "window"],
)
def test_impossible_parameters(graph: Any, parameters: dict[str, Any], words: str) -> None:
    monitor = graph.start("monitor", parameters)
    assert monitor.exit_code() == 2
    assert words in monitor.output
    assert "Traceback" not in monitor.output
