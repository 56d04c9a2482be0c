# SPDX-License-Identifier: Apache-2.0
"""The monitor: watches whether a live camera still stands where its calibration says."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.monitoring.monitor import Monitor
from calib_all_ros.monitoring.state import Observation, State
from calib_all_ros.nodes.executable import log_sentence, run, steady_timer
from calib_all_ros.nodes.messages import LATCHED, diagnostic, image_message
from calib_all_ros.nodes.monitor_parameters import MonitorParameters
from calib_all_ros.nodes.monitor_worker import MonitorInputs, MonitorWorker
from calib_all_ros.nodes.parameters import declare
from calib_all_ros.nodes.recorder_status import RecorderClient
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import load_robot

_LOOK_EVERY_S = 0.1
_DIAGNOSE_EVERY_S = 1.0
_REPEAT_LOG_S = 5.0
_FIGURE = re.compile(r"[0-9.]+")

_LEVELS: Mapping[State, str] = {
    State.OK: "ok",
    State.MOVED: "error",
    State.OCCLUDED: "warn",
    State.STILL: "ok",
    State.NO_JOINTS: "stale",
    State.NO_IMAGES: "stale",
    State.OUT_OF_STEP: "error",
    State.WRONG_CAMERA: "error",
    State.UNSURE: "warn",
}


class MonitorNode(Node):
    """Compares images with a saved calibration and tells when they no longer agree."""

    def __init__(self) -> None:
        """Load the calibration and begin to listen.

        Raises:
            CalibAllError: There is no such calibration, or the parameters are impossible.
        """
        super().__init__("monitor")
        self._options = declare(self, MonitorParameters)
        self._path = self._options.calibration_path()
        self._calibration = Calibration.load(self._path)
        self._read_at = _written_at(self._path)
        self._worker: MonitorWorker | None = None
        self._meaning = ""
        self._asked = False
        self._shown_looks = 0
        self._logged: tuple[str, float] = ("", 0.0)
        self._warned: tuple[str, ...] = ()
        self._checked: tuple[Monitor | None, Camera | None, str | None] = (None, None, None)
        self._state_topic = self.create_publisher(String, "~/state", LATCHED)
        self._overlay = self.create_publisher(Image, "~/overlay/image", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._recorder = RecorderClient(self, self._options.recorder, lambda _: None)
        self._inputs = MonitorInputs(self, self._options, self._on_image, self._on_joints)
        self.create_service(
            Trigger, "~/recalibrate", self._recalibrate, callback_group=self._recorder.group
        )
        self.create_service(Trigger, "~/reload", self._reload)
        steady_timer(self, _LOOK_EVERY_S, self._look)
        steady_timer(self, _DIAGNOSE_EVERY_S, self._diagnose)
        self.get_logger().info(f"watches the camera of {self._path}")

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()

    # What comes in.

    def _on_image(self, kind: str, data: bytes, topic: str) -> None:
        if self._worker is not None:
            self._worker.add_image(kind, data, topic)

    def _on_joints(self, data: bytes) -> None:
        if self._worker is not None:
            self._worker.add_joints(data)

    def _watch(self, description: str) -> None:
        """Begin to watch; loading the robot takes seconds, in the worker's thread."""
        if self._worker is not None:
            self._worker.end()
        parameters, calibration = self._options, self._calibration

        def make_monitor() -> Monitor:
            robot = load_robot(
                description,
                base_frame=calibration.robot.base_frame,
                mesh_paths=parameters.mesh_paths,
            )
            return Monitor(calibration, robot, parameters.settings)

        self._worker = MonitorWorker(make_monitor, parameters.rate_hz, parameters.overlay_rate_hz)

    # What is found.

    def _look(self) -> None:
        """Take what the worker has found, and tell it where that is new."""
        self._inputs.look()
        worker = self._worker
        if worker is None:
            if self._inputs.description is not None:
                self._watch(self._inputs.description)
            self._tell(self._situation())
            return
        if worker.error is not None:
            raise worker.error
        worker.wants_overlay = self.count_subscribers(self._overlay.topic_name) > 0
        if worker.latest is not None and worker.seen != self._shown_looks:
            self._shown_looks = worker.seen
            overlay = worker.latest.overlay
            if overlay is not None:
                stamp_ns = worker.latest.observation.stamp_ns
                frame = self._calibration.camera.frame_id
                self._overlay.publish(image_message(overlay, stamp_ns, frame))
        self._tell(self._situation())

    def _situation(self) -> Observation:
        """Return what is to be said: what keeps from looking comes before what was seen."""
        worker = self._worker
        if worker is None:
            return Observation(State.UNSURE, self._inputs.description_trouble, 0)
        trouble = self._inputs.images.trouble
        if trouble is not None:
            return Observation(State.NO_IMAGES, trouble, 0)
        if worker.trouble is not None:
            return Observation(State.UNSURE, worker.trouble, 0)
        changed = self._camera_trouble()
        if changed is not None:
            return Observation(State.WRONG_CAMERA, changed, 0)
        if worker.latest is None:
            return Observation(State.UNSURE, "no image has been looked at yet", 0)
        seen = worker.latest.observation
        silent = self._inputs.joint_trouble
        if seen.state is State.NO_JOINTS and silent is not None:
            return Observation(State.NO_JOINTS, silent, seen.stamp_ns)
        return seen

    def _camera_trouble(self) -> str | None:
        monitor = None if self._worker is None else self._worker.monitor
        if monitor is None:
            return None
        try:
            camera = self._inputs.camera()
        except CalibAllError as error:
            return str(error)
        if camera is None:
            return None
        if self._checked[:2] != (monitor, camera):
            self._checked = (monitor, camera, monitor.check_camera(camera))
        return self._checked[2]

    def _tell(self, found: Observation) -> None:
        meaning = f"{found.state.value}, {found.believed.value}"
        if meaning == self._meaning:
            return
        self._meaning = meaning
        self._state_topic.publish(String(data=f"{found.state.value}: {found.sentence}"))
        self._log(found)
        moved = State.MOVED in (found.state, found.believed)
        if moved and self._options.auto_recalibrate and not self._asked:
            # Once for each calibration: the camera stays moved until the next one is there.
            self._asked = True
            self.executor.create_task(self._start_recorder)

    def _log(self, found: Observation) -> None:
        now = time.monotonic()
        before, when = self._logged
        if now - when < _REPEAT_LOG_S and before == self._meaning:
            return
        self._logged = (self._meaning, now)
        log_sentence(self, _level(found), found.sentence)

    def _diagnose(self) -> None:
        if self._options.follow and _written_at(self._path) > self._read_at:
            self._take_newer()
        found = self._situation()
        values: dict[str, object] = {"state": found.state.value, "calibration": str(self._path)}
        values |= {name: f"{value:.4g}" for name, value in found.figures.items()}
        worker = self._worker
        if worker is not None:
            values["images_received"] = self._inputs.images.received
            values["images_looked_at"] = worker.seen
            if worker.latest is not None:
                values["cpu_ms"] = f"{worker.latest.cpu_ms:.0f}"
            monitor = worker.monitor
            if monitor is not None and monitor.warnings != self._warned:
                self._warned = monitor.warnings
                for warning in monitor.warnings:
                    self.get_logger().warning(warning)
        self._diagnostics.publish(
            diagnostic(
                f"{self.get_name()}: {self._options.file or self._options.name}",
                _level(found),
                found.sentence,
                values,
                self.get_clock().now().nanoseconds,
            )
        )

    # What can be asked for.

    async def _recalibrate(self, request: Any, response: Any) -> Any:
        response.success, response.message = await self._recorder.call("start")
        return response

    async def _start_recorder(self) -> None:
        """Ask for a new recording; the calibrator solves it by itself."""
        success, said = await self._recorder.call("start")
        if success:
            self.get_logger().info(f"the camera was moved, a recording is started: {said}")
        else:
            self.get_logger().error(f"the camera was moved, but cannot recalibrate: {said}")

    def _reload(self, request: Any, response: Any) -> Any:
        response.success, response.message = self._take_newer()
        return response

    def _take_newer(self) -> tuple[bool, str]:
        """Compare with what is saved now; if that fails, with what there was. Say which."""
        self._read_at = _written_at(self._path)
        try:
            self._calibration = Calibration.load(self._path)
        except ResultError as error:
            self.get_logger().error(str(error))
            return False, str(error)
        self._asked = False
        if self._inputs.description is not None:
            self._watch(self._inputs.description)
        said = f"watches the camera of {self._path} as it is now"
        self.get_logger().info(said)
        return True, said


def _level(found: Observation) -> str:
    """Return the level of a finding for diagnostics."""
    if found.state is State.STILL and found.believed is not State.OK:
        return "warn"
    return _LEVELS[found.state]


def _written_at(path: Path) -> int:
    """Return when a file was written, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def main() -> int:
    """Run the node."""
    return run(MonitorNode)


if __name__ == "__main__":
    raise SystemExit(main())
