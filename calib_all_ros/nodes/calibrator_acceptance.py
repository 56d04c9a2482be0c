# SPDX-License-Identifier: Apache-2.0
"""What becomes of a result that is accepted: saved by its name, and published as TF."""

from __future__ import annotations

from rclpy.node import Node

from calib_all_ros.geometry.frame_tree import StaticTransform
from calib_all_ros.nodes.broadcaster import CalibrationBroadcaster
from calib_all_ros.nodes.calibrator_parameters import CalibratorParameters
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.store import ResultStore


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
