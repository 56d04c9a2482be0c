# SPDX-License-Identifier: Apache-2.0
"""The publisher against a live graph, with camera drivers that come, go and are in its way."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "rclpy", reason="no rclpy: source a ROS 2 distribution, or see what `make ros` says"
)

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.nodes.messages import LATCHED, transform_message
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.results.store import ResultStore

OPTICAL = "camera_color_optical_frame"
BASE = "panda_link0"
HEAVY = ("scipy", "cv2", "numba", "trimesh", "rosbags", "mcap", "yourdfpy", "lz4", "zstandard")
HEAVY += ("matplotlib", "jinja2")
DRIVER = ("camera_link camera_color_frame", f"camera_color_frame {OPTICAL}")


def some_pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return se3.from_rotvec(rng.normal(size=3), rng.normal(size=3))


def result(seed: int = 0, optical: str = OPTICAL, status: Any = "accepted") -> Calibration:
    return Calibration(
        T_camera_base=some_pose(seed),
        camera=Camera(np.diag([600.0, 600.0, 1.0]), 640, 480, np.zeros(5), frame_id=optical),
        robot=RobotRecord("panda", BASE),
        verdict=Verdict(status, () if status == "accepted" else ("The masks are thin.",)),
        provenance=Provenance("bag", "ff", "0.1.0", "2024-05-06T07:08:09+00:00"),
    )


@pytest.fixture
def store(graph: Any) -> ResultStore:
    """Where the nodes of this graph look for results."""
    return ResultStore(Path(graph.environment["ROS_HOME"]) / "calib_all_ros")


class Driver:
    """Publishes edges like "parent child" with made-up transforms, until it is stopped."""

    def __init__(self, graph: Any, edges: Sequence[str], topic: str = "/tf_static") -> None:
        self.graph = graph
        self.edges = edges
        self.publisher = graph.node.create_publisher(TFMessage, topic, LATCHED)
        self.send()

    def send(self, seed: int = 100) -> None:
        self.publisher.publish(
            TFMessage(
                transforms=[
                    transform_message(some_pose(seed + number), *edge.split(), 0)
                    for number, edge in enumerate(self.edges)
                ]
            )
        )

    def stop(self) -> None:
        self.graph.node.destroy_publisher(self.publisher)


class TfBuffer:
    """Who has which parent according to a listener that, like tf2, replaces and never forgets."""

    def __init__(self, graph: Any, topic: str = "/tf_static") -> None:
        self.parents: dict[str, tuple[str, np.ndarray]] = {}
        self.messages = 0
        # A message of each publisher is waiting at once.
        qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.subscription = graph.node.create_subscription(TFMessage, topic, self.hear, qos)

    def hear(self, message: Any) -> None:
        self.messages += 1
        for transform in message.transforms:
            t, q = transform.transform.translation, transform.transform.rotation
            T = se3.from_quaternion_xyzw([q.x, q.y, q.z, q.w], [t.x, t.y, t.z])
            self.parents[transform.child_frame_id] = (transform.header.frame_id, T)

    def edges(self) -> set[tuple[str, str]]:
        return {(parent, child) for child, (parent, _) in list(self.parents.items())}

    def pose(self, base: str = BASE, optical: str = OPTICAL) -> np.ndarray | None:
        """Return T_base_optical, None where base is not above the optical frame."""
        T, frame = np.eye(4), optical
        while frame != base:
            if frame not in self.parents:
                return None
            frame, step = self.parents[frame]
            T = step @ T
        return T

    def shows(self, calibration: Calibration) -> bool:
        """Whether the camera is where a calibration says."""
        pose = self.pose(calibration.robot.base_frame, calibration.camera.frame_id)
        return pose is not None and np.allclose(pose, calibration.T_base_camera, atol=1e-12)


@pytest.fixture
def late(graph: Any) -> Callable[..., None]:
    """Waits until a subscriber that starts now gets these edges and no others.

    It has to hear all publishers but those that are ``silent``.
    """

    def wait(*edges: tuple[str, str], silent: int = 0) -> None:
        buffer = TfBuffer(graph)

        def look() -> bool:
            nonlocal buffer
            if buffer.messages < graph.node.count_publishers("/tf_static") - silent:
                return False
            found = buffer.edges()
            graph.node.destroy_subscription(buffer.subscription)
            buffer = TfBuffer(graph)
            return found == set(edges)

        graph.wait_for(look, f"a late subscriber to get {edges}")

    return wait


def diagnosis(graph: Any, contains: str) -> Any:
    """Return a status of the publisher whose sentence contains a text, waiting for it."""
    received = graph.listen("/diagnostics", DiagnosticArray, 10)
    found: list[Any] = []

    def look() -> bool:
        statuses = [status for message in list(received) for status in message.status]
        found.extend(status for status in statuses if contains in status.message)
        return bool(found)

    graph.wait_for(look, f"a diagnosis with '{contains}'")
    return found[-1]


def test_example(graph: Any, repository: Path, tmp_path: Path) -> None:
    saved = result().save(tmp_path)
    program = graph.run([sys.executable, repository / "examples/10_publish_as_tf.py", saved], "tf")
    buffer = TfBuffer(graph)
    graph.wait_for(lambda: buffer.shows(result()), "the transform")
    program.interrupt()
    assert program.exit_code() == 0, program.output


def test_late_subscriber_gets_the_pose(graph: Any, store: ResultStore) -> None:
    store.save("kitchen", result())
    publisher = graph.start("publisher", {"name": "kitchen"})
    graph.wait_for(lambda: "publishes" in publisher.output, "the publisher")
    buffer = TfBuffer(graph)
    graph.wait_for(lambda: buffer.pose() is not None, "the transform")
    np.testing.assert_allclose(buffer.pose(), result().T_base_camera, atol=1e-12)
    assert buffer.edges() == {(BASE, OPTICAL)}
    publisher.interrupt()
    assert publisher.exit_code() == 0


def test_camera_is_attached_by_the_root_of_its_driver(
    graph: Any, store: ResultStore, late: Any
) -> None:
    Driver(graph, [*DRIVER, "world panda_link0"])
    store.save("kitchen", result())
    graph.start("publisher", {"name": "kitchen"})
    buffer = TfBuffer(graph)
    expected = {tuple(edge.split()) for edge in (*DRIVER, f"world {BASE}", f"{BASE} camera_link")}
    # On a busy machine the driver may be discovered late, and base -> optical be sent before.
    graph.wait_for(lambda: buffer.edges() == expected, "the edge")
    np.testing.assert_allclose(buffer.pose(), result().T_base_camera, atol=1e-12)
    late(*expected)


def test_driver_that_comes_later_and_goes_again(graph: Any, store: ResultStore, late: Any) -> None:
    store.save("kitchen", result())
    early = TfBuffer(graph)
    publisher = graph.start("publisher", {"name": "kitchen"})
    graph.wait_for(lambda: (BASE, OPTICAL) in early.edges(), "base -> optical")
    driver = Driver(graph, DRIVER)
    graph.wait_for(lambda: (BASE, "camera_link") in early.edges(), "base -> camera_link")
    # Nobody has two parents, neither for who was there before nor for who comes now.
    assert early.edges() == {tuple(edge.split()) for edge in (*DRIVER, f"{BASE} camera_link")}
    np.testing.assert_allclose(early.pose(), result().T_base_camera, atol=1e-12)
    late(*early.edges())
    # Without the driver its frames are gone, and base -> camera_link waits for them.
    driver.stop()
    late((BASE, "camera_link"))
    assert publisher.output.count("publishes") == 2
    # A new result in the meantime fits what the driver will publish again.
    store.save("kitchen", result(seed=7))
    graph.wait_for(lambda: publisher.output.count("accepted") == 2, "the new result")
    late((BASE, "camera_link"))
    Driver(graph, DRIVER)
    late(*early.edges())
    newcomer = TfBuffer(graph)
    graph.wait_for(lambda: newcomer.shows(result(seed=7)), "the new pose")


def test_connected_tree_is_refused_until_it_is_mended(
    graph: Any, store: ResultStore, late: Any
) -> None:
    Driver(graph, [*DRIVER, f"world {BASE}"])
    rival = Driver(graph, ["world camera_link"])
    store.save("kitchen", result())
    publisher = graph.start("publisher", {"name": "kitchen"})
    status = diagnosis(graph, "stop what publishes world -> camera_link")
    assert status.level == DiagnosticStatus.ERROR
    assert "<origin xyz=" in status.message
    assert "/listener" in status.message
    there = {tuple(edge.split()) for edge in (*DRIVER, f"world {BASE}")}
    late(*there, ("world", "camera_link"), silent=1)
    rival.stop()
    late(*there, (BASE, "camera_link"))
    assert publisher.running


def test_edge_is_withdrawn_when_somebody_else_places_the_camera(
    graph: Any, store: ResultStore, late: Any
) -> None:
    store.save("kitchen", result())
    graph.start("publisher", {"name": "kitchen"})
    late((BASE, OPTICAL))
    Driver(graph, [f"{BASE} mount", f"mount {OPTICAL}"])
    diagnosis(graph, f"stop what publishes {BASE} -> mount")
    late((BASE, "mount"), ("mount", OPTICAL))


def test_same_edge_with_another_pose_is_told_and_stays(
    graph: Any, store: ResultStore, late: Any
) -> None:
    store.save("kitchen", result())
    graph.start("publisher", {"name": "kitchen"})
    late((BASE, OPTICAL))
    Driver(graph, [f"{BASE} {OPTICAL}"])
    status = diagnosis(graph, f"somebody else publishes {BASE} -> {OPTICAL} too")
    assert status.level == DiagnosticStatus.ERROR


def test_two_publishers_of_one_result_agree(graph: Any, store: ResultStore, late: Any) -> None:
    Driver(graph, DRIVER)
    store.save("kitchen", result())
    first = graph.start("publisher", {"name": "kitchen"})
    second = graph.start("publisher", {"name": "kitchen"}, remappings={"__node": "publisher_2"})
    for program in (first, second):
        graph.wait_for(
            lambda program=program: f"publishes {BASE} -> camera_link" in program.output, "it"
        )
    whole = [tuple(edge.split()) for edge in (*DRIVER, f"{BASE} camera_link")]
    late(*whole)
    store.save("kitchen", result(seed=7))
    for program in (first, second):
        graph.wait_for(lambda program=program: program.output.count("accepted") == 2, "the news")
    statuses = graph.listen("/diagnostics", DiagnosticArray, 10)

    def both_are_content() -> bool:
        latest = {s.name: s.level for message in list(statuses) for s in message.status}
        return list(latest.values()) == [DiagnosticStatus.OK] * 2

    graph.wait_for(both_are_content, "two publishers that agree")
    first.end()
    late(*whole)
    newcomer = TfBuffer(graph)
    graph.wait_for(lambda: newcomer.shows(result(seed=7)), "the new pose")


def test_mount_that_moves_keeps_its_edge(graph: Any, store: ResultStore) -> None:
    mount = Driver(graph, ["pan tilt"], topic="/tf")
    Driver(graph, [f"tilt {OPTICAL}"])
    rival = Driver(graph, [f"{BASE} wall", "wall hall_optical"])
    store.save("kitchen", result())
    store.save("hall", result(1, "hall_optical"))
    graph.start("publisher", {"names": ["kitchen", "hall"]})
    buffer = TfBuffer(graph)

    def placed_while_it_moves() -> bool:
        mount.send(seed=200)
        return (BASE, "pan") in buffer.edges()

    graph.wait_for(placed_while_it_moves, f"{BASE} -> pan")
    placed = buffer.parents["pan"][1]
    assert diagnosis(graph, "pan -> tilt over /tf").level == DiagnosticStatus.WARN
    diagnosis(graph, f"stop what publishes {BASE} -> wall")
    # The mount turns and the hall's camera becomes free, so that all edges are chosen again.
    rival.stop()
    buffer = TfBuffer(graph)
    hall = result(1, "hall_optical").T_base_camera

    def hall_is_placed() -> bool:
        mount.send(seed=300)
        pose = buffer.pose(optical="hall_optical")
        return pose is not None and np.allclose(pose, hall, atol=1e-12)

    graph.wait_for(hall_is_placed, "the other camera")
    np.testing.assert_array_equal(buffer.parents["pan"][1], placed)


def test_reload_publishes_what_is_saved_now(graph: Any, store: ResultStore, late: Any) -> None:
    store.save("kitchen", result())
    graph.start("publisher", {"name": "kitchen", "follow": False})
    buffer = TfBuffer(graph)
    graph.wait_for(lambda: buffer.pose() is not None, "the transform")
    store.save("kitchen", result(seed=7))
    response = graph.call("/publisher/reload")
    assert response.success
    assert response.message == "loaded kitchen"

    def is_new() -> bool:
        return np.allclose(buffer.pose(), result(seed=7).T_base_camera, atol=1e-12)

    graph.wait_for(is_new, "the new pose")
    store.save("kitchen", result(status="rejected"))
    response = graph.call("/publisher/reload")
    assert not response.success
    assert "kitchen is rejected" in response.message
    late((BASE, OPTICAL))
    assert is_new()


def test_newer_result_is_followed_unless_it_is_bad(graph: Any, store: ResultStore) -> None:
    store.save("kitchen", result())
    publisher = graph.start("publisher", {"name": "kitchen"})
    buffer = TfBuffer(graph)
    graph.wait_for(lambda: buffer.pose() is not None, "the transform")
    store.save("kitchen", result(status="rejected"))
    graph.wait_for(lambda: "kitchen is rejected" in publisher.output, "the refusal")
    store.path("kitchen").write_text("a: [", encoding="utf-8")
    graph.wait_for(lambda: "is broken, not YAML" in publisher.output, "another refusal")
    np.testing.assert_allclose(buffer.pose(), result().T_base_camera, atol=1e-12)
    store.save("kitchen", result(seed=7))
    expected = result(seed=7).T_base_camera
    graph.wait_for(lambda: np.allclose(buffer.pose(), expected, atol=1e-12), "the new pose")
    assert publisher.output.count("FATAL") == 0


def test_several_cameras_share_one_message(graph: Any, store: ResultStore) -> None:
    store.save("left", result(1, "left_optical"))
    store.save("right", result(2, "right_optical"))
    graph.start("publisher", {"names": ["left", "right"]})
    received = graph.listen("/tf_static", TFMessage)
    graph.wait_for(
        lambda: received and len(received[-1].transforms) == 2, "both edges in one message"
    )
    buffer = TfBuffer(graph)
    graph.wait_for(lambda: len(buffer.edges()) == 2, "both edges")
    for seed, optical in ((1, "left_optical"), (2, "right_optical")):
        expected = result(seed, optical).T_base_camera
        np.testing.assert_allclose(buffer.pose(optical=optical), expected, atol=1e-12)


def test_two_cameras_on_one_rig_are_not_placed_twice(
    graph: Any, store: ResultStore, late: Any
) -> None:
    Driver(graph, ["rig left_optical", "rig right_optical"])
    store.save("left", result(1, "left_optical"))
    store.save("right", result(2, "right_optical"))
    graph.start("publisher", {"names": ["left", "right"]})
    diagnosis(graph, "'rig' is above the cameras of both right and left")
    late(("rig", "left_optical"), ("rig", "right_optical"), (BASE, "rig"))


def test_namespace_remapping_and_other_frame_names(graph: Any, store: ResultStore) -> None:
    store.save("kitchen", result())
    graph.start(
        "publisher",
        {"name": "kitchen", "base_frame": "/arm/base", "optical_frame": "arm/optical"},
        namespace="arm",
        remappings={"/tf_static": "tf_static", "/tf": "tf"},
    )
    buffer = TfBuffer(graph, "/arm/tf_static")
    graph.wait_for(lambda: buffer.pose("arm/base", "arm/optical") is not None, "the transform")
    expected = result().T_base_camera
    np.testing.assert_allclose(buffer.pose("arm/base", "arm/optical"), expected, atol=1e-12)
    assert graph.call("/arm/publisher/reload").success
    elsewhere = [name for name, _ in graph.node.get_topic_names_and_types()]
    assert "/tf_static" not in elsewhere


def test_simulated_time_that_stands_still_stops_nothing(graph: Any, store: ResultStore) -> None:
    store.save("kitchen", result())
    graph.start("publisher", {"name": "kitchen", "use_sim_time": True})
    buffer = TfBuffer(graph)
    graph.wait_for(lambda: buffer.pose() is not None, "the transform")


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({}, 2, "no result to publish: give its name, or a file; .* has: bad, broken, kitchen"),
        ({"name": "hall"}, 2, "no result called 'hall' .* it has: bad, broken, kitchen"),
        ({"name": "broken"}, 2, r"broken\.yaml is broken, not YAML"),
        ({"file": "/nowhere/c.yaml"}, 2, r"cannot read the calibration /nowhere/c\.yaml"),
        ({"name": "kitchen", "file": "/x.yaml"}, 2, "give one of them"),
        ({"names": ["kitchen", "bad"], "optical_frame": "o"}, 2, "one publisher for each"),
        ({"name": "kitchen", "settle_s": -1.0}, 2, "must not be negative"),
        ({"name": "bad"}, 3, r"rejected and not published \(The masks are thin\.\)"),
        ({"names": ["kitchen", "bad"]}, 3, "the result bad is rejected"),
    ],
    ids=str,
)
def test_what_cannot_be_published_ends_in_one_sentence(
    graph: Any, store: ResultStore, parameters: dict[str, Any], code: int, message: str
) -> None:
    store.save("kitchen", result())
    store.save("bad", result(status="rejected"))
    store.path("broken").write_text("a: [", encoding="utf-8")
    publisher = graph.start("publisher", parameters)
    assert publisher.exit_code() == code
    (line,) = [line for line in publisher.output.splitlines() if "[rmw_" not in line]
    assert "[FATAL]" in line
    assert re.search(message, line)


def test_rejected_result_is_published_on_demand_and_marked(
    graph: Any, store: ResultStore, tmp_path: Path
) -> None:
    path = result(status="rejected").save(tmp_path / "calibration.yaml")
    graph.start("publisher", {"file": str(path), "force": True})
    status = diagnosis(graph, f"publishes {BASE} -> {OPTICAL}")
    assert status.level == DiagnosticStatus.WARN
    values = {value.key: value.value for value in status.values}
    assert values["verdict"] == "rejected"
    assert values["child"] == OPTICAL


def test_loading_and_publishing_import_nothing_heavy(tmp_path: Path) -> None:
    with_lens = replace(
        result(),
        camera=Camera(np.diag([600.0, 600.0, 1.0]), 640, 480, np.array([0.1, 0.0, 0.0, 0.0, 0.0])),
    )
    program = (
        "import sys\n"
        "from calib_all_ros.nodes import publisher\n"
        "from calib_all_ros.nodes.messages import transform_message\n"
        "parameters = publisher.PublisherParameters(file=sys.argv[1])\n"
        "(calibration,) = publisher.load_results(parameters).values()\n"
        "transform_message(calibration.T_base_camera, 'a', 'b', 0)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    path = with_lens.save(tmp_path / "calibration.yaml")
    printed = subprocess.run(
        [sys.executable, "-c", program, path], check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == "[]"
