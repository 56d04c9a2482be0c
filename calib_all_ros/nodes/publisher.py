# SPDX-License-Identifier: Apache-2.0
"""The publisher: saved calibrations as static TF, every day after the calibration.

It starts in a fraction of a second and imports nothing that solves or draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_srvs.srv import Trigger

from calib_all_ros.errors import EXIT_REJECTED, CalibAllError
from calib_all_ros.geometry.frame_tree import StaticTransform
from calib_all_ros.nodes.broadcaster import CalibrationBroadcaster
from calib_all_ros.nodes.executable import Finished, run, steady_timer
from calib_all_ros.nodes.messages import diagnostic
from calib_all_ros.nodes.parameters import ParameterError, declare
from calib_all_ros.results.atomic_file import ResultError
from calib_all_ros.results.calibration import FILE_NAME, Calibration
from calib_all_ros.results.store import ResultStore

_LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class PublisherParameters:
    """Which saved results to publish, and as what.

    Attributes:
        name: Saved result to publish, by its name.
        names: More of them, for several cameras in one process.
        file: Calibration file to publish instead of a saved result, calibration.yaml or its folder.
        follow: Take a newer result as soon as it is saved; else wait for ~/reload.
        force: Publish a result whose verdict is rejected all the same.
        base_frame: The base frame's name in the TF tree, if it is not the one in the result.
        optical_frame: The optical frame's name in the TF tree, if it is not the one in the result.
        settle_s: How long the TF tree has to stay the same before it is added to, seconds.
    """

    name: str = ""
    names: tuple[str, ...] = ()
    file: str = ""
    follow: bool = True
    force: bool = False
    base_frame: str = ""
    optical_frame: str = ""
    settle_s: float = 1.0

    def __post_init__(self) -> None:
        if self.file and self.all_names:
            raise ParameterError(
                f"both file ({self.file}) and name ({', '.join(self.all_names)}) are given: give "
                "one of them"
            )
        if self.optical_frame and len(self.all_names) > 1:
            raise ParameterError(
                f"optical_frame cannot be the name of {len(self.all_names)} cameras' frames: start "
                "one publisher for each"
            )
        if not self.settle_s >= 0.0:
            raise ParameterError(f"settle_s is {self.settle_s}: it must not be negative")

    def paths(self) -> tuple[Path, ...]:
        """Return the files of the results, which need not exist."""
        if not self.file:
            return tuple(ResultStore().path(name) for name in self.all_names)
        path = Path(self.file).expanduser()
        return (path / FILE_NAME if path.is_dir() else path,)

    @property
    def all_names(self) -> tuple[str, ...]:
        """The named results, each once."""
        return tuple(dict.fromkeys((*([self.name] if self.name else []), *self.names)))


class RejectedError(ResultError):
    """A result's verdict is rejected, and nobody asked for it all the same."""


class PublisherNode(Node):
    """Publishes saved results on the right edges of the TF tree."""

    def __init__(self) -> None:
        """Load the results.

        Raises:
            CalibAllError: One of them is missing or unreadable, or the parameters are wrong.
            Finished: One of them is rejected.
        """
        super().__init__("publisher")
        self._options = declare(self, PublisherParameters)
        try:
            calibrations = load_results(self._options)
        except RejectedError as error:
            self.get_logger().fatal(str(error))
            raise Finished(EXIT_REJECTED) from error
        self._broadcaster = CalibrationBroadcaster(self, settle_s=self._options.settle_s)
        self._calibrations: dict[str, Calibration] = {}
        self._saved = _times(self._options)
        self._show(calibrations)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_service(Trigger, "~/reload", self._reload)
        steady_timer(self, _LOOK_EVERY_S, self._look)

    def _show(self, calibrations: dict[str, Calibration]) -> None:
        self._calibrations = calibrations
        for name, calibration in calibrations.items():
            pose = self._pose(calibration)
            self.get_logger().info(
                f"{name}: {calibration.verdict.status}, calibrated {calibration.provenance.created}"
                f"; see the pose with: ros2 run tf2_ros tf2_echo {pose.parent} {pose.child}"
            )
            for reason in calibration.verdict.reasons:
                self.get_logger().warning(f"{name}: {reason}")
            self._broadcaster.publish(name, pose)

    def _pose(self, calibration: Calibration) -> StaticTransform:
        return StaticTransform(
            self._options.base_frame or calibration.robot.base_frame,
            self._options.optical_frame or calibration.camera.frame_id,
            calibration.T_base_camera,
        )

    def _reload(self, request: Any, response: Any) -> Any:
        response.success, response.message = self._load_again()
        return response

    def _load_again(self) -> tuple[bool, str]:
        """Publish what is saved now; on failure what was published stays.

        Returns:
            Whether it worked, and a sentence about it.
        """
        self._saved = _times(self._options)
        try:
            calibrations = load_results(self._options)
        except CalibAllError as error:
            self.get_logger().error(str(error))
            return False, str(error)
        self._show(calibrations)
        return True, f"loaded {', '.join(calibrations)}"

    def _look(self) -> None:
        if self._options.follow and _times(self._options) != self._saved:
            self._load_again()
        self._diagnose()

    def _diagnose(self) -> None:
        for name, calibration in self._calibrations.items():
            broadcast = self._broadcaster.broadcast(name)
            forced = calibration.verdict.status == "rejected"
            level = "warn" if forced and broadcast.level == "ok" else broadcast.level
            edge = broadcast.edge
            values = {
                "verdict": calibration.verdict.status,
                "reasons": " ".join(calibration.verdict.reasons),
                "calibrated": calibration.provenance.created,
                "parent": edge.parent if edge else "",
                "child": edge.child if edge else "",
            }
            now_ns = self.get_clock().now().nanoseconds
            self._diagnostics.publish(
                diagnostic(f"{self.get_name()}: {name}", level, broadcast.sentence, values, now_ns)
            )


def load_results(parameters: PublisherParameters) -> dict[str, Calibration]:
    """Return the results that are asked for, by name.

    Raises:
        RejectedError: One is rejected and not forced.
        ResultError: One is missing or unreadable, or none is asked for.
    """
    store = ResultStore()
    if parameters.file:
        (path,) = parameters.paths()
        found = {path.stem: Calibration.load(path)}
    elif parameters.all_names:
        found = {name: store.load(name) for name in parameters.all_names}
    else:
        known = ", ".join(store.names()) or "none"
        raise ResultError(
            f"no result to publish: give its name, or a file; {store.folder} has: {known}"
        )
    for name, calibration in found.items():
        if calibration.verdict.status == "rejected" and not parameters.force:
            raise RejectedError(
                f"the result {name} is rejected and not published "
                f"({' '.join(calibration.verdict.reasons)}): calibrate again, or set force to "
                "publish it all the same"
            )
    return found


def _times(parameters: PublisherParameters) -> tuple[int, ...]:
    """Return when the results were saved, 0 for one that is missing."""
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in parameters.paths())


def main() -> int:
    """Run the node."""
    return run(PublisherNode)


if __name__ == "__main__":
    raise SystemExit(main())
