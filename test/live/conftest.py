# SPDX-License-Identifier: Apache-2.0
"""A live ROS graph for each test: a domain of its own, processes in it, and a node that listens."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from calib_all_ros.simulation.command import simulate_to
from calib_all_ros.simulation.settings import SimulationSettings

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PROFILE = REPOSITORY / "config" / "fastdds.xml"
# Longer than anything takes on a busy machine: reached only when something is wrong.
PATIENCE_S = 120.0
DOMAINS = range(1, 102)
LIVE = SimulationSettings(frames=150, rate_hz=30.0, width=320, height=240, focal_px=280.0)


@dataclass
class Program:
    """A process in the graph, with what it printed."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def interrupt(self) -> None:
        self.popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self.popen.kill()

    def exit_code(self, timeout_s: float = PATIENCE_S) -> int:
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} does not end; it printed:\n{self.output}")

    def end(self) -> None:
        """End the process and whatever it started, however it takes."""
        for number, patience_s in ((signal.SIGINT, 10.0), (signal.SIGKILL, 10.0)):
            if not self.running:
                break
            self.popen.send_signal(number)
            try:
                self.popen.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        # It leads a process group of its own, in which children may have outlived it.
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


@dataclass
class Graph:
    """A ROS domain of one test."""

    domain: int
    folder: Path
    environment: dict[str, str]
    node: Any
    programs: list[Program] = field(default_factory=list)

    def run(self, command: Sequence[str | Path], name: str) -> Program:
        """Start a process in the graph."""
        log = self.folder / f"{len(self.programs):02d}_{name}.log"
        with log.open("wb") as file:
            program = Program(name, self._popen(command, file), log)
        self.programs.append(program)
        return program

    def _popen(self, command: Sequence[str | Path], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
        )

    def start(
        self,
        kind: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        namespace: str = "",
        remappings: Mapping[str, str] | None = None,
    ) -> Program:
        """Start a node of this package, e.g. "recorder"."""
        words: list[str | Path] = [
            sys.executable,
            "-m",
            f"calib_all_ros.nodes.{kind}",
            "--ros-args",
        ]
        if parameters:
            path = self.folder / f"{len(self.programs):02d}_{kind}.yaml"
            document = {"/**": {"ros__parameters": dict(parameters)}}
            path.write_text(yaml.safe_dump(document), encoding="utf-8")
            words += ["--params-file", path]
        if namespace:
            words += ["-r", f"__ns:=/{namespace}"]
        for old, new in (remappings or {}).items():
            words += ["-r", f"{old}:={new}"]
        return self.run(words, f"{namespace}_{kind}" if namespace else kind)

    def play(self, recording: Path, *, namespace: str = "", **options: Any) -> Program:
        """Start the player; see `player.Play` for the options."""
        path = self.folder / f"{len(self.programs):02d}_play.json"
        path.write_text(json.dumps({"recording": str(recording), **options}), encoding="utf-8")
        command: list[str | Path] = [sys.executable, HERE / "player.py", path]
        if namespace:
            command += ["--ros-args", "-r", f"__ns:=/{namespace}"]
        return self.run(command, "player")

    def listen(self, topic: str, kind: type, qos: Any = None) -> list[Any]:
        """Return a list that messages are put into as they come; latched by default."""
        from calib_all_ros.nodes.messages import LATCHED

        received: list[Any] = []
        self.node.create_subscription(kind, topic, received.append, qos or LATCHED)
        return received

    def latest(self, topic: str, kind: type, timeout_s: float = PATIENCE_S) -> Any:
        """Return the first message on a latched topic, waiting for it."""
        received = self.listen(topic, kind)
        self.wait_for(lambda: bool(received), f"a message on {topic}", timeout_s)
        return received[-1]

    def call(self, service: str, timeout_s: float = PATIENCE_S) -> Any:
        """Call a std_srvs/Trigger service and return its response."""
        from std_srvs.srv import Trigger

        client = self.node.create_client(Trigger, service)
        self.wait_for(client.service_is_ready, f"the service {service}", timeout_s)
        answer = client.call_async(Trigger.Request())
        self.wait_for(answer.done, f"an answer of {service}", timeout_s)
        return answer.result()

    def wait_for(
        self, condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S
    ) -> None:
        """Wait until a condition holds; fail with all output when it never does."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout_s:.0f} s in vain for {what}\n{self.report()}")
            time.sleep(0.02)

    def report(self) -> str:
        """Return what all programs printed."""
        parts = []
        for program in self.programs:
            state = "running" if program.running else f"exit code {program.popen.returncode}"
            parts.append(f"---- {program.name} ({state})\n{program.output}")
        return "\n".join(parts)


@pytest.fixture
def domain() -> Iterator[int]:
    """A ROS domain that no other test on this machine uses meanwhile."""
    folder = Path(tempfile.gettempdir()) / f"calib_all_ros_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    start = os.getpid() % len(DOMAINS)
    for number in [*DOMAINS[start:], *DOMAINS[:start]]:
        with (folder / str(number)).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    pytest.fail("all ROS domains are taken by other tests")


@pytest.fixture
def graph(
    domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Graph]:
    """A ROS graph on loopback with a listening node in this process."""
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    old = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    profile = f"FAST{'RTPS' if old else 'DDS'}_DEFAULT_PROFILES_FILE"
    settings = {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_HOME": str(tmp_path / "ros_home"),
        "ROS_LOG_DIR": str(tmp_path / "ros_log"),
        profile: str(PROFILE),
        "PYTHONUNBUFFERED": "1",
    }
    if os.environ.get("ROS_DISTRO") == "humble":
        settings["ROS_LOCALHOST_ONLY"] = "1"
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    graph = Graph(domain, tmp_path, dict(os.environ), node)
    try:
        yield graph
    finally:
        for program in graph.programs:
            program.end()
        # Shown by pytest when the test fails.
        print(graph.report())
        executor.shutdown()
        rclpy.try_shutdown(context=context)
        thread.join(timeout=10)


def once_for_all_processes(
    factory: pytest.TempPathFactory, name: str, settings: SimulationSettings
) -> Path:
    """Simulate a recording, unless another process of this test run has done so."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    path = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            simulate_to(path, settings=settings)
    return path


@pytest.fixture(scope="session")
def live_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds at 30 Hz with masks and true pose."""
    return once_for_all_processes(tmp_path_factory, "live_recording", LIVE)


@pytest.fixture(scope="session")
def other_live_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same robot seen by another camera, moving differently."""
    other = dataclasses.replace(LIVE, seed=1)
    return once_for_all_processes(tmp_path_factory, "other_live_recording", other)
