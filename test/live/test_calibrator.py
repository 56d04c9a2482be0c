# SPDX-License-Identifier: Apache-2.0
"""The calibrator against a live graph: from a file and with a stand-in for the recorder."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point, PointStamped, PoseWithCovarianceStamped
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from calib_all_ros.geometry import se3
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.nodes.messages import LATCHED, stamp_of, transform_message
from calib_all_ros.recording.recording import Recording
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.store import ResultStore
from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationSettings

BASE, OPTICAL = "base_link", "camera_color_optical_frame"
QUICK = {
    "settings.frames.count": 8,
    "settings.search.hypotheses": 2500,
    "settings.search.candidates": 16,
    "settings.search.finalists": 2,
    "settings.search.attempts": 1,
}
# Where the search need not succeed.
LITTLE = {**QUICK, "settings.search.hypotheses": 600, "settings.search.candidates": 6}
MASKED = {"masks": "recorded", **QUICK}
RECORDER = """
import sys, time, rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from calib_all_ros.nodes.messages import LATCHED

class Recorder(Node):
    def __init__(self, recording):
        super().__init__("recorder")
        self.recording = recording
        self.said = self.create_publisher(String, "~/recording", LATCHED)
        self.said.publish(String(data=""))
        for name in ("start", "stop", "discard"):
            self.create_service(Trigger, f"~/{name}", getattr(self, name))

    def start(self, request, response):
        print("start", flush=True)
        time.sleep(1e6 if self.recording == "deaf" else 0.0)
        return self.answer("", response)

    def stop(self, request, response):
        print("stop", flush=True)
        return self.answer(self.recording, response)

    def discard(self, request, response):
        print("discard", flush=True)
        return self.answer("", response)

    def answer(self, path, response):
        self.said.publish(String(data=path))
        response.success, response.message = True, "as you wish"
        return response

rclpy.init(args=[])
try:
    rclpy.spin(Recorder(sys.argv[1]))
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""


class Listener:
    """What one calibrator says."""

    def __init__(self, graph: Any, node: str = "/calibrator") -> None:
        self._graph = graph
        self._statuses = graph.listen(f"{node}/status", String)
        self._verdicts = graph.listen(f"{node}/verdict", String)
        self._diagnoses = graph.listen("/diagnostics", DiagnosticArray, 10)

    @property
    def status(self) -> str:
        return str(self._statuses[-1].data) if self._statuses else ""

    @property
    def verdict(self) -> dict[str, Any]:
        return dict(json.loads(self._verdicts[-1].data)) if self._verdicts else {}

    def hear(self, words: str) -> None:
        """Wait for a status with these words."""

        def heard() -> bool:
            return any(words in status.data for status in list(self._statuses))

        self._graph.wait_for(heard, f"a status with '{words}'")

    def judged(self) -> dict[str, Any]:
        """Wait for a verdict, and return it."""
        self._graph.wait_for(lambda: self.verdict, "a verdict")
        return self.verdict

    def diagnosed(self, level: Any, words: str) -> None:
        """Wait for a diagnosis."""

        def found() -> bool:
            statuses = [message.status[0] for message in list(self._diagnoses)]
            return any(s.level == level and words in s.message for s in statuses)

        self._graph.wait_for(found, f"a diagnosis with '{words}'")


@pytest.fixture
def store(graph: Any) -> ResultStore:
    """Where the nodes of this graph save results."""
    return ResultStore(Path(graph.environment["ROS_HOME"]) / "calib_all_ros")


@pytest.fixture(scope="session")
def truth(simulated_folder: Path) -> np.ndarray:
    """The true T_camera_base of the simulated recordings."""
    pose = load_recording(simulated_folder).reference_T_camera_base
    assert pose is not None
    return pose


@pytest.fixture(scope="session")
def recorded(simulated_bag: Path) -> Recording:
    return load_recording(RecordingSource(simulated_bag, masks="recorded"))


@pytest.fixture(scope="session")
def noise_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masks for the simulated folder that show no robot."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for number in range(20):
        mask = np.where(rng.random((240, 320)) < 0.1, 255, 0).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:06d}.png"), mask)
    return folder


def pixels_of(message: Image) -> np.ndarray:
    channels = 3 if message.encoding == "rgb8" else 1
    assert message.step == message.width * channels
    flat = np.frombuffer(bytes(message.data), np.uint8)
    return flat.reshape(message.height, message.width, channels)


def matrix_of(place: Any, turn: Any) -> np.ndarray:
    return se3.from_quaternion_xyzw(
        np.array([turn.x, turn.y, turn.z, turn.w]), np.array([place.x, place.y, place.z])
    )


def difference_of(T_base_camera: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    return se3.difference(se3.invert(T_base_camera), truth)


def edges_of(messages: Sequence[Any]) -> set[tuple[str, str]]:
    if not messages:
        return set()
    return {(t.header.frame_id, t.child_frame_id) for t in messages[-1].transforms}


def children(program: Any) -> list[int]:
    """Return the processes that a program started, and theirs."""
    found: list[int] = []
    parents = [program.popen.pid]
    while parents:
        folder = Path(f"/proc/{parents.pop()}/task")
        for listing in folder.glob("*/children"):
            pids = [int(word) for word in listing.read_text().split()]
            found += pids
            parents += pids
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs; what nobody has waited for counts as ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_a_file_is_calibrated_shown_accepted_and_published(
    graph: Any, simulated_bag: Path, recorded: Recording, truth: np.ndarray, store: ResultStore
) -> None:
    parameters = {"recording": str(simulated_bag), "name": "kitchen", "eef_link": "hand", **MASKED}
    graph.start("calibrator", parameters, namespace="left")
    said = Listener(graph, "/left/calibrator")
    static = graph.listen("/tf_static", TFMessage)
    verdict = said.judged()
    assert (verdict["status"], verdict["name"], verdict["saved"]) == ("accepted", "kitchen", "")
    said.hear("/left/calibrator/accept saves and publishes it")
    assert store.names() == () and not static

    # Whoever comes late still gets everything.
    image = graph.latest("/left/calibrator/overlay/image", Image)
    info = graph.latest("/left/calibrator/overlay/camera_info", CameraInfo)
    assert image.header == info.header and info.header.frame_id == OPTICAL
    assert (info.width, info.height) == (image.width, image.height) == (320, 240)
    np.testing.assert_array_equal(np.reshape(info.k, (3, 3)), recorded.camera.K)
    stamp_ns = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec
    (number,) = np.flatnonzero(recorded.image_stamps_ns == stamp_ns)
    assert recorded.masks is not None
    seen = recorded.masks[int(number)]
    assert seen is not None
    drawn = np.abs(pixels_of(image).astype(int) - recorded.images[int(number)]).max(axis=2) > 8
    assert (drawn & seen).sum() / (drawn | seen).sum() > 0.9
    for topic in ("overlay_before_after", "mask"):
        shown = graph.latest(f"/left/calibrator/{topic}/image", Image)
        assert shown.height > 240 and shown.header.frame_id == OPTICAL
    pose = graph.latest("/left/calibrator/pose", PoseWithCovarianceStamped)
    assert pose.header.frame_id == BASE
    place = pose.pose.pose
    angle_deg, distance_m = difference_of(matrix_of(place.position, place.orientation), truth)
    assert angle_deg < 0.1 and distance_m < 0.003
    covariance = np.reshape(pose.pose.covariance, (6, 6))
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    shown = graph.latest("/left/calibrator/markers", MarkerArray).markers
    by_name = {marker.ns: marker for marker in shown if marker.action == Marker.ADD}
    assert set(by_name) == {"camera", "end_effector", "verdict"}
    assert {marker.header.frame_id for marker in by_name.values()} == {BASE}
    assert len(by_name["camera"].points) == 16 and len(by_name["end_effector"].points) == 20
    assert by_name["verdict"].text == "kitchen: accepted"
    folder = store.folder / "kitchen"
    assert {"calibration.yaml", "calib_all.log"} < {path.name for path in folder.iterdir()}

    answer = graph.call("/left/calibrator/accept")
    assert answer.success and str(store.path("kitchen")) in answer.message
    said.hear(f"publishes {BASE} -> {OPTICAL}")
    graph.wait_for(lambda: static, "the TF")
    (edge,) = static[-1].transforms
    assert (edge.header.frame_id, edge.child_frame_id) == (BASE, OPTICAL)
    T_base_camera = matrix_of(edge.transform.translation, edge.transform.rotation)
    saved = store.load("kitchen")
    np.testing.assert_allclose(T_base_camera, saved.T_base_camera, atol=1e-9)
    assert saved.verdict.status == "accepted"
    graph.wait_for(lambda: said.verdict["saved"], "a verdict that says where it is saved")
    assert said.verdict["saved"] == str(store.path("kitchen"))
    assert graph.call("/left/calibrator/accept").success
    assert store.earlier("kitchen") == ()
    said.diagnosed(DiagnosticStatus.OK, "publishes")

    assert graph.call("/left/calibrator/discard").success
    graph.wait_for(lambda: not static[-1].transforms, "the TF to be withdrawn")
    graph.wait_for(lambda: said.verdict["status"] == "none", "the verdict to be taken back")
    assert store.names() == ("kitchen",)


def test_parameters_can_be_asked_for(graph: Any) -> None:
    graph.start("calibrator", {"name": "left", "mesh_paths": ["a", "b"], **QUICK})
    client = graph.node.create_client(GetParameters, "/calibrator/get_parameters")
    graph.wait_for(client.service_is_ready, "the parameter service")
    names = ["name", "mesh_paths", "settings.frames.count"]
    answer = client.call_async(GetParameters.Request(names=names))
    graph.wait_for(answer.done, "the parameters")
    name, paths, count = answer.result().values
    assert name.string_value == "left"
    assert list(paths.string_array_value) == ["a", "b"]
    assert count.integer_value == 8


def recorder(graph: Any, recording: str | Path) -> Any:
    command = [sys.executable, "-c", RECORDER, str(recording)]
    return graph.run(command, "recorder")


def test_what_the_recorder_holds_is_solved(
    graph: Any, simulated_bag: Path, truth: np.ndarray, store: ResultStore
) -> None:
    stand_in = recorder(graph, simulated_bag)
    calibrator = graph.start("calibrator", {"auto_accept": True, **MASKED})
    said = Listener(graph)
    said.hear("waits for a recording on /recorder/recording")
    assert not graph.call("/calibrator/solve").success
    started = graph.call("/calibrator/start")
    assert started.success and started.message == "as you wish"
    assert graph.call("/calibrator/stop").success
    said.hear("solving: search")
    assert "is running" in graph.call("/calibrator/solve").message
    assert "no result" in graph.call("/calibrator/accept").message

    # Away with it, and once more.
    workers = children(calibrator)
    assert workers
    discarded = graph.call("/calibrator/discard")
    assert discarded.success and "the solve is ended" in discarded.message
    graph.wait_for(lambda: not any(map(alive, workers)), "the worker's end")
    assert not (store.folder / "camera").exists()
    called = [line for line in stand_in.output.splitlines() if line in ("start", "stop", "discard")]
    assert called == ["start", "stop", "discard"]
    assert said.judged()["status"] == "none"

    assert graph.call("/calibrator/stop").success
    said.hear(f"publishes {BASE} -> {OPTICAL}")
    angle_deg, distance_m = se3.difference(store.load("camera").T_camera_base, truth)
    assert angle_deg < 0.1 and distance_m < 0.003


def test_a_recorder_that_does_not_answer_stops_nothing(graph: Any) -> None:
    recorder(graph, "deaf")
    graph.start("calibrator")
    client = graph.node.create_client(Trigger, "/calibrator/start")
    said = Listener(graph)
    said.hear("waits for a recording")
    graph.wait_for(client.service_is_ready, "the service")
    unanswered = client.call_async(Trigger.Request())
    for service in ("solve", "accept"):
        assert not graph.call(f"/calibrator/{service}").success
    diagnoses = graph.listen("/diagnostics", DiagnosticArray, 10)
    graph.wait_for(lambda: len(diagnoses) >= 2, "timers to go on")
    assert not unanswered.done()


def test_without_a_recorder_it_says_so(graph: Any) -> None:
    graph.start("calibrator", {"recorder": "/arm/recorder"})
    said = Listener(graph)
    said.hear("nobody is at /arm/recorder/recording")
    said.diagnosed(DiagnosticStatus.WARN, "nobody is at /arm/recorder/recording")
    answer = graph.call("/calibrator/start")
    assert not answer.success and "/arm/recorder/start" in answer.message


@pytest.mark.parametrize("how", ["point", "stamped"])
def test_a_click_marks_the_robot(
    graph: Any, simulated_bag: Path, recorded: Recording, how: str
) -> None:
    parameters = {"recording": str(simulated_bag), "wait_for_mark": True, "eef_link": "hand"}
    program = graph.start("calibrator", {**parameters, **MASKED})
    said = Listener(graph)
    said.hear("click on a mark on hand in /calibrator/mark_image")
    shown = graph.latest("/calibrator/mark_image", Image)
    first = pixels_of(shown).astype(int) - recorded.images[0]
    assert np.abs(first).max() == 0
    point = Point(x=150.0, y=110.0)
    kind, topic = {
        "point": (Point, "/calibrator/mark_image_mouse_left"),
        "stamped": (PointStamped, "/calibrator/mark"),
    }[how]
    publisher = graph.node.create_publisher(kind, topic, 10)
    graph.wait_for(publisher.get_subscription_count, "the subscription")
    message = point
    if how == "stamped":
        message = PointStamped(point=point)
        message.header.stamp = stamp_of(int(recorded.image_stamps_ns[6]) + 20_000_000)
    publisher.publish(message)
    assert said.judged()["status"] == "accepted"
    track = graph.latest("/calibrator/track/image", Image)
    stamp_ns = track.header.stamp.sec * 10**9 + track.header.stamp.nanosec
    assert stamp_ns == recorded.image_stamps_ns[6 if how == "stamped" else 0]
    assert "takes the mark at 150,110 on hand" in program.output
    calibration = Calibration.load(Path(said.verdict["folder"]))
    assert calibration.robot.eef_link == "hand"


@pytest.mark.parametrize("force", [False, True])
def test_a_rejected_result_is_accepted_by_force_only(
    graph: Any, simulated_folder: Path, noise_masks: Path, store: ResultStore, force: bool
) -> None:
    parameters = {"recording": str(simulated_folder), "masks": str(noise_masks), "force": force}
    graph.start("calibrator", {**parameters, **LITTLE, "auto_accept": True})
    said = Listener(graph)
    static = graph.listen("/tf_static", TFMessage)
    verdict = said.judged()
    assert verdict["status"] == "rejected" and verdict["reasons"]
    said.hear("record again (/calibrator/start)")
    assert store.names() == ()
    answer = graph.call("/calibrator/accept")
    assert answer.success == force
    if force:
        said.hear(f"publishes {BASE} -> {OPTICAL}")
        assert store.load("camera").verdict.status == "rejected"
    else:
        assert verdict["reasons"][0] in answer.message and "force" in answer.message
        assert store.names() == () and not static
        said.diagnosed(DiagnosticStatus.ERROR, verdict["reasons"][0])


def test_a_doubtful_result_waits_for_a_person(
    graph: Any, tmp_path: Path, store: ResultStore
) -> None:
    bag = tmp_path / "late"
    late = SimulationSettings(
        frames=20, rate_hz=4.0, width=320, height=240, focal_px=280.0, lag_s=0.2
    )
    simulate_to(bag, settings=late, as_bag=True)
    graph.start("calibrator", {"recording": str(bag), "auto_accept": True, **MASKED})
    said = Listener(graph)
    assert said.judged()["status"] == "warning"
    said.hear("then call /calibrator/accept or /calibrator/discard")
    assert store.names() == ()
    assert graph.call("/calibrator/accept").success
    assert store.load("camera").verdict.status == "warning"


def test_a_camera_that_is_connected_already_is_saved_and_not_published(
    graph: Any, simulated_bag: Path, store: ResultStore
) -> None:
    rival = graph.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    pose = se3.make(np.eye(3), np.array([1.0, 0.0, 0.0]))
    rival.publish(TFMessage(transforms=[transform_message(pose, BASE, OPTICAL, 0)]))
    graph.start("calibrator", {"recording": str(simulated_bag), "auto_accept": True, **MASKED})
    said = Listener(graph)
    said.hear("may not get a second one")
    assert store.names() == ("camera",)
    assert said.status.startswith(f"saved as {store.path('camera')}; ")
    assert BASE in said.status and OPTICAL in said.status
    said.diagnosed(DiagnosticStatus.ERROR, "may not get a second one")


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"recording": "/no/such/bag"}, 2, "/no/such/bag does not exist"),
        ({"mark": "12"}, 2, "mark is '12': give a pixel u,v"),
        ({"name": "../mine"}, 2, "cannot name a result"),
        ({"settings.frames.count": 0}, 2, "frames.count is 0"),
    ],
)
def test_bad_input_ends_with_its_sentence(
    graph: Any, parameters: dict[str, Any], code: int, words: str
) -> None:
    program = graph.start("calibrator", {"exit_when_done": True, **parameters})
    assert program.exit_code() == code
    assert words in program.output and "Traceback" not in program.output


@pytest.mark.parametrize("rejected", [False, True])
def test_exit_codes_are_those_of_the_command_line(
    graph: Any,
    simulated_folder: Path,
    simulated_bag: Path,
    noise_masks: Path,
    store: ResultStore,
    rejected: bool,
) -> None:
    parameters = {"recording": str(simulated_bag), **MASKED}
    if rejected:
        masks = {"masks": str(noise_masks)}
        parameters = {"recording": str(simulated_folder), **LITTLE, **masks}
    flags = {"exit_when_done": True, "auto_accept": True}
    program = graph.start("calibrator", {**parameters, **flags})
    said = Listener(graph)
    assert program.exit_code() == (3 if rejected else 0)
    assert store.names() == (() if rejected else ("camera",))
    assert said.verdict["status"] == ("rejected" if rejected else "accepted")
    assert (store.folder / "camera" / "calibration.yaml").is_file()


@pytest.mark.parametrize("end", ["interrupt", "kill"])
def test_an_end_while_solving_leaves_nothing_half_written(
    graph: Any, simulated_bag: Path, store: ResultStore, end: str
) -> None:
    # Without masks it takes its time.
    program = graph.start("calibrator", {"recording": str(simulated_bag)})
    said = Listener(graph)
    said.hear("solving: search")
    workers = children(program)
    assert len(workers) == 2 and (store.folder / "camera").is_dir()
    getattr(program, end)()
    assert program.exit_code() == (130 if end == "interrupt" else -9)
    graph.wait_for(lambda: not any(map(alive, workers)), "the worker's end")
    assert not (store.folder / "camera").exists()
    if end == "interrupt":
        assert "Traceback" not in program.output
        assert "interrupted while solving" in program.output


def test_an_end_while_idle(graph: Any) -> None:
    program = graph.start("calibrator")
    said = Listener(graph)
    said.hear("waits for a recording")
    program.interrupt()
    assert program.exit_code() == 0
    assert "Traceback" not in program.output


def test_a_solve_that_fails_can_be_repeated(
    graph: Any, simulated_bag: Path, tmp_path: Path, store: ResultStore
) -> None:
    place = tmp_path / "later"
    graph.start("calibrator", {"recording": str(place), **MASKED})
    said = Listener(graph)
    assert said.judged()["status"] == "failed"
    said.diagnosed(DiagnosticStatus.ERROR, f"{place} does not exist")
    shutil.copytree(simulated_bag, place)
    assert graph.call("/calibrator/solve").success
    graph.wait_for(lambda: said.verdict["status"] == "accepted", "the result")
    assert store.names() == ()
