# SPDX-License-Identifier: Apache-2.0
"""Whether the recorder keeps up: large images and fast joint states for minutes, every one counted.

Three processes on one machine: a publisher of images and joint states, the recorder, and a witness
that subscribes as the recorder does and only counts, so that what the middleware loses can be told
from what the recorder loses. Linux only (reads /proc).
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
import yaml
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from benchmarks.reporting import add_output_argument, markdown_table, publish
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.nodes.messages import LATCHED, camera_info_message, image_message, stamp_of
from calib_all_ros.nodes.subscriptions import (
    JOINT_STATES,
    ImageSubscription,
    MatchedSubscription,
)
from calib_all_ros.recording.image_coding import jpeg
from calib_all_ros.robot.description import demo_urdf_path, load_robot

PROFILE = Path(__file__).resolve().parents[1] / "config" / "fastdds.xml"
IMAGE_TOPIC, JOINT_TOPIC = "/camera/image_raw", "/joint_states"
SAMPLE_EVERY_S = 5.0
SETTLE_S = 3.0


@dataclass(frozen=True)
class Load:
    """What is published."""

    width: int
    height: int
    image_hz: float
    joint_hz: float
    minutes: float
    reliable: bool
    compressed: bool


class LoadPublisher(Node):  # type: ignore[misc]
    """Publishes images and joint states at fixed rates, from two threads."""

    def __init__(self, load: Load) -> None:
        super().__init__("load")
        reliability = ReliabilityPolicy.RELIABLE if load.reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=10, reliability=reliability)
        self.load = load
        self.counts = {"images": 0, "joint states": 0}
        kind = CompressedImage if load.compressed else Image
        suffix = "/compressed" if load.compressed else ""
        self.images = self.create_publisher(kind, IMAGE_TOPIC + suffix, qos)
        self.infos = self.create_publisher(CameraInfo, "/camera/camera_info", qos)
        self.joints = self.create_publisher(JointState, JOINT_TOPIC, 100)
        self.description = self.create_publisher(String, "/robot_description", LATCHED)
        self.description.publish(String(data=demo_urdf_path().read_text(encoding="utf-8")))
        self.names = list(load_robot(demo_urdf_path()).kinematics.joint_names)

    def run(self) -> None:
        """Wait for recorder and witness, then publish everything."""
        publishers = (self.images, self.joints)
        while not all(publisher.get_subscription_count() >= 2 for publisher in publishers):
            time.sleep(0.05)
        images = threading.Thread(target=self._publish_images)
        images.start()
        self._publish_joints()
        images.join()

    def _publish_images(self) -> None:
        load = self.load
        noise = np.random.default_rng(0).integers(0, 40, (load.height, load.width, 3))
        ramp = np.linspace(0, 200, load.width)[None, :, None]
        pixels = (noise + ramp).astype(np.uint8)
        frame = "camera_color_optical_frame"
        if load.compressed:
            message = CompressedImage(format="rgb8; jpeg compressed bgr8")
            message.header.frame_id = frame
            message.data.frombytes(jpeg(pixels, 90))
        else:
            message = image_message(pixels, 0, frame)
        K = np.array([[900.0, 0, load.width / 2], [0, 900.0, load.height / 2], [0, 0, 1]])
        info = camera_info_message(Camera(K, load.width, load.height, np.zeros(0), "pinhole"), 0)
        for _ in self._beats(load.image_hz):
            message.header.stamp = info.header.stamp = stamp_of(time.time_ns())
            self.images.publish(message)
            self.infos.publish(info)
            self.counts["images"] += 1

    def _publish_joints(self) -> None:
        for elapsed_s in self._beats(self.load.joint_hz):
            phases = np.arange(len(self.names))
            position = (0.3 * np.sin(0.2 * elapsed_s + phases)).tolist()
            message = JointState(name=self.names, position=position)
            message.header.stamp = stamp_of(time.time_ns())
            self.joints.publish(message)
            self.counts["joint states"] += 1

    def _beats(self, rate_hz: float):  # type: ignore[no-untyped-def]
        began = time.monotonic()
        for number in range(round(60 * self.load.minutes * rate_hz)):
            wait = began + number / rate_hz - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            yield time.monotonic() - began


def witness(load: Load) -> None:
    """Subscribe as the recorder does, and print counts until interrupted."""
    node = rclpy.create_node("witness")

    def nothing(kind: str, data: bytes) -> None:
        return

    images = ImageSubscription(node, IMAGE_TOPIC, nothing, depth=30)
    joints = MatchedSubscription(node, JOINT_TOPIC, JOINT_STATES, nothing, depth=1000)
    try:
        rclpy.spin(node)
    finally:
        print(f"images={images.received} joint states={joints.received}", flush=True)


@dataclass
class Usage:
    """What a process used."""

    resident_mb: list[float]
    cpu_s: float = 0.0

    def sample(self, pid: int) -> None:
        """Read the resident memory and the CPU time so far."""
        status = Path(f"/proc/{pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        if match:
            self.resident_mb.append(int(match[1]) / 1e3)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        self.cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def profile_variable() -> str:
    """Return what Fast DDS calls the variable that names its profile, by its age."""
    old = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    return f"FAST{'RTPS' if old else 'DDS'}_DEFAULT_PROFILES_FILE"


def child(*words: str, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen([sys.executable, "-m", *words], stdout=file, stderr=file)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(120)


def counts_in(text: str) -> dict[str, int]:
    found = re.findall(r"(images|joint states)=(\d+)", text)
    return {name: int(number) for name, number in found}


def start_recording() -> None:
    """Let the recorder record before anything is published, so that nothing is missed."""
    rclpy.init()
    node = rclpy.create_node("starter")
    client = node.create_client(Trigger, "/recorder/start")
    client.wait_for_service(60.0)
    answer = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, answer, timeout_sec=60.0)
    if answer.result() is None or not answer.result().success:
        raise SystemExit(f"the recorder does not start: {answer.result()}")
    node.destroy_node()
    rclpy.shutdown()


def recorded(folder: Path) -> dict[str, int]:
    """Return how many messages the finished bag's metadata counts."""
    (path,) = folder.glob("**/metadata.yaml")
    information = yaml.safe_load(path.read_text())["rosbag2_bagfile_information"]
    by_topic = {
        entry["topic_metadata"]["name"]: entry["message_count"]
        for entry in information["topics_with_message_count"]
    }
    images = sum(n for name, n in by_topic.items() if name.startswith(IMAGE_TOPIC))
    return {"images": images, "joint states": by_topic[JOINT_TOPIC]}


def measure(load: Load, folder: Path, arguments: list[str]) -> list[str]:
    parameters = {
        "folder": str(folder / "recordings"),
        "auto_start": False,
        "auto_stop": False,
        "max_gigabytes": 1000.0,
        "max_duration_s": 1e6,
    }
    path = folder / "recorder.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    recorder = child(
        "calib_all_ros.nodes.recorder",
        "--ros-args",
        "--params-file",
        str(path),
        log=folder / "recorder.log",
    )
    watcher = child(
        "benchmarks.recorder_load", "--role", "witness", *arguments, log=folder / "witness.log"
    )
    start_recording()
    source = child(
        "benchmarks.recorder_load", "--role", "publisher", *arguments, log=folder / "source.log"
    )
    usage = Usage([])
    began = time.monotonic()
    while source.poll() is None:
        time.sleep(SAMPLE_EVERY_S)
        usage.sample(recorder.pid)
    wall_s = time.monotonic() - began
    time.sleep(SETTLE_S)
    usage.sample(recorder.pid)
    for process in (recorder, watcher):
        stop(process)
    published = counts_in((folder / "source.log").read_text())
    seen = counts_in((folder / "witness.log").read_text())
    kept = recorded(folder / "recordings")
    middle = usage.resident_mb[len(usage.resident_mb) // 2]
    return [
        ("reliable" if load.reliable else "best effort")
        + ("" if profile_variable() in os.environ else ", default transports"),
        "JPEG" if load.compressed else "raw",
        *(f"{published[n]} / {seen[n]} / {kept[n]}" for n in ("images", "joint states")),
        f"{middle:.0f} / {usage.resident_mb[-1]:.0f} MB",
        f"{100 * usage.cpu_s / wall_s:.0f} %",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=("publisher", "witness"), help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--image-hz", type=float, default=30.0)
    parser.add_argument("--joint-hz", type=float, default=500.0)
    parser.add_argument("--best-effort", action="store_true", help="instead of reliable images")
    parser.add_argument("--compressed", action="store_true", help="JPEG instead of rgb8")
    parser.add_argument("--folder", type=Path, help="for the recording (50 GB in 10 minutes)")
    parser.add_argument(
        "--default-transports",
        action="store_true",
        help="without config/fastdds.xml, which gives shared memory room for such images",
    )
    add_output_argument(parser)
    options = parser.parse_args()
    if not options.default_transports:
        os.environ.setdefault(profile_variable(), str(PROFILE))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    load = Load(
        options.width,
        options.height,
        options.image_hz,
        options.joint_hz,
        options.minutes,
        not options.best_effort,
        options.compressed,
    )
    if options.role:
        rclpy.init()
        if options.role == "witness":
            witness(load)
            return
        source = LoadPublisher(load)
        source.run()
        time.sleep(SETTLE_S)
        print(" ".join(f"{name}={count}" for name, count in source.counts.items()), flush=True)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        row = measure(load, Path(folder), sys.argv[1:])
    header = ["QoS", "Encoding", "Images", "Joint states", "Resident, half-way / end", "CPU"]
    text = (
        f"{load.width}x{load.height} at {load.image_hz:g} Hz and joint states at "
        f"{load.joint_hz:g} Hz for {load.minutes:g} min. Counts: published / received by a "
        "subscriber that only counts / in the recording. CPU is the recorder's, in shares of one "
        "core."
    )
    publish("Recorder under load", [text, markdown_table(header, [row])], options.out)


if __name__ == "__main__":
    main()
