# SPDX-License-Identifier: Apache-2.0
"""Status of the calibrator: for people, for diagnostics, and the verdict for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import String

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.frame_tree import StaticTransform
from calib_all_ros.nodes.broadcaster import CalibrationBroadcaster
from calib_all_ros.nodes.calibrator_parameters import CalibratorParameters
from calib_all_ros.nodes.executable import log_sentence, steady_timer
from calib_all_ros.nodes.messages import LATCHED, diagnostic
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.store import ResultStore

_DIAGNOSE_EVERY_S = 1.0


class AcceptedResult:
    """The result that was accepted last.

    It stays published while another one is recorded and solved, and until that is accepted.

    Attributes:
        path: Where the result was saved, "" before that and after `withdraw`.
    """

    def __init__(self, node: Node, options: CalibratorParameters) -> None:
        """Accept nothing yet."""
        self._node = node
        self._options = options
        self._broadcaster: CalibrationBroadcaster | None = None
        self.path = ""

    def accept(self, calibration: Calibration) -> None:
        """Save a result, and publish its TF as soon as the tree is known.

        Raises:
            ResultError: It cannot be saved.
        """
        options = self._options
        self.path = str(ResultStore().save(options.name, calibration))
        if not options.publish_tf:
            return
        base = options.tf_base_frame or calibration.robot.base_frame
        optical = options.tf_optical_frame or calibration.camera.frame_id
        self._node.get_logger().info(
            f"see the pose with: ros2 run tf2_ros tf2_echo {base} {optical}"
        )
        if self._broadcaster is None:
            self._broadcaster = CalibrationBroadcaster(self._node)
        pose = StaticTransform(base, optical, calibration.T_base_camera)
        self._broadcaster.publish(options.name, pose)

    def situation(self) -> tuple[str, str]:
        """Return how it stands with the result: a level for diagnostics, and a sentence."""
        saved = f"saved as {self.path}"
        if self._broadcaster is None:
            return "ok", saved
        broadcast = self._broadcaster.broadcast(self._options.name)
        return broadcast.level, f"{saved}; {broadcast.sentence}"

    def withdraw(self) -> None:
        """Publish it no longer; what was saved stays."""
        if self._broadcaster is not None:
            self._broadcaster.withdraw(self._options.name)
        self.path = ""


class CalibratorStatus:
    """The topics ~/status, ~/verdict and /diagnostics."""

    def __init__(self, node: Node, name: str) -> None:
        """Say nothing yet.

        Args:
            node: Whose status it is.
            name: Of the result.
        """
        self._node = node
        self._name = name
        self._level, self.sentence = "ok", ""
        self._values: dict[str, object] = {}
        self._verdict_values: dict[str, object] = {}
        self._status = node.create_publisher(String, "~/status", LATCHED)
        self._verdict = node.create_publisher(String, "~/verdict", LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady_timer(node, _DIAGNOSE_EVERY_S, self._diagnose)

    def say(self, level: str, sentence: str, *, log: bool = True, **values: object) -> None:
        """Tell how it stands now.

        Args:
            level: "ok", "warn" or "error".
            sentence: For people.
            log: Put it into the node's log, too.
            values: Figures for diagnostics.
        """
        self._values = values
        if (level, sentence) == (self._level, self.sentence):
            return
        self._level, self.sentence = level, sentence
        self._status.publish(String(data=sentence))
        self._diagnose()
        if log:
            log_sentence(self._node, level, sentence)

    def judge(self, calibration: Calibration, **more: object) -> None:
        """Publish the verdict on a result."""
        T = calibration.T_base_camera
        self._tell_programs(
            calibration.verdict.status,
            calibration.verdict.reasons,
            causes=list(calibration.verdict.causes),
            notes=list(calibration.notes),
            base_frame=calibration.robot.base_frame,
            camera_frame=calibration.camera.frame_id,
            translation_m=T[:3, 3].tolist(),
            quaternion_xyzw=se3.quaternion_xyzw(T).tolist(),
            lag_ms=calibration.lag_ms,
            quality=_finite(calibration.quality),
            recording=calibration.provenance.recording,
            **more,
        )

    def no_verdict(self, status: str, *reasons: str) -> None:
        """Publish that there is none: "failed" with the reason, or "none" when all is forgotten."""
        self._tell_programs(status, reasons)

    def wait_for_delivery(self, longest: Duration) -> None:
        """Give those who listen the time to receive what was said last."""
        for publisher in (self._status, self._verdict):
            publisher.wait_for_all_acked(longest)

    def _tell_programs(self, status: str, reasons: tuple[str, ...], **more: object) -> None:
        document = {"status": status, "reasons": list(reasons), "name": self._name, **more}
        self._verdict.publish(String(data=json.dumps(document, allow_nan=False)))
        self._verdict_values = {"verdict": status, "reasons": " ".join(reasons)}

    def _diagnose(self) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        name = f"{self._node.get_name()}: {self._name}"
        self._diagnostics.publish(
            diagnostic(
                name, self._level, self.sentence, self._verdict_values | self._values, now_ns
            )
        )


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Return figures for JSON, which knows no NaN and no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}
