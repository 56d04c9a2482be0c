# SPDX-License-Identifier: Apache-2.0
"""How it stands with the calibrator: for people, for diagnostics, and the verdict for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import String

from calib_all_ros.geometry import se3
from calib_all_ros.nodes import levelled_log
from calib_all_ros.nodes.messages import LATCHED, diagnostic
from calib_all_ros.nodes.timing import steady_timer
from calib_all_ros.results.calibration import Calibration

_DIAGNOSE_EVERY_S = 1.0


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
            levelled_log.log(self._node, level, sentence)

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
