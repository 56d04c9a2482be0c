# SPDX-License-Identifier: Apache-2.0
"""Monitor of a live camera: whether it still stands where its calibration says.

A pure state machine: images and joint states in, findings out. Two witnesses speak. The robot's
outline (`monitoring_outline`) says where the camera is, but only while the robot moves in view.
The background (`monitoring_background`) says at once whether the camera has moved since the start,
also while the robot stands still. Where they contradict each other the outline is believed: it is
what the calibration is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numba
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.monitoring.joints import JointCheck, JointTrouble
from calib_all_ros.monitoring.outline import OutlineWitness
from calib_all_ros.monitoring.state import MonitorSettings, Observation, State
from calib_all_ros.monitoring.watch import NS_PER_S, Conclusion, Watch
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.robot.description import Robot
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.observations import MatchedJoints, make_view

UNSURE_BECAUSE = {
    "start": "not yet known whether the camera stands where the calibration says: the robot has "
    "not been seen in enough different poses",
    "dark": "cannot tell: the images are too dark",
    "bright": "cannot tell: the images are overexposed",
    "blurred": "cannot tell: the images are blurred (lens out of focus or dirty, or the camera "
    "shakes)",
    "out_of_view": "cannot tell: the robot is out of the camera's view",
    "not_found": "cannot tell: the robot is not seen where the joint states put it; if that lasts, "
    "is this the robot of the calibration, and does its description fit?",
}
# The intrinsics have changed when they displace a pixel by this share of the image's width.
INTRINSICS_SHARE = 0.003
# Stamps that jump back by more than this are a new beginning, e.g. of a bag that is played again.
RESTART_S = 1.0


def sentence_of(
    state: State,
    cause: str,
    figures: Mapping[str, float],
    believed: State,
    seen_s_ago: float | None,
) -> str:
    """Say what was found in one sentence.

    Args:
        state: The finding.
        cause: For `State.UNSURE` a key of `UNSURE_BECAUSE`; else details to insert.
        figures: As in `Observation.figures`.
        believed: What is believed of the camera.
        seen_s_ago: When the outline last supported that, in seconds before now.
    """
    if state is State.UNSURE:
        return UNSURE_BECAUSE[cause]
    if state is State.MOVED:
        return _moved(figures)
    if state is State.OUT_OF_STEP:
        return _out_of_step(cause, figures)
    if state is State.OCCLUDED:
        share = 100.0 * max(figures.get("visible_share", 0.0), 0.0)
        return (
            f"something hides the robot: {share:.0f} % of the usual outline is seen; "
            f"{_belief(believed, seen_s_ago)}"
        )
    if state is State.STILL:
        return f"the robot stands still; {_belief(believed, seen_s_ago)}"
    if state is State.OK:
        shift = figures.get("outline_shift_px")
        within = "" if shift is None else f" (the robot is within {shift:.1f} px of its place)"
        return f"the camera stands where the calibration says{within}"
    return cause


def _belief(believed: State, seen_s_ago: float | None) -> str:
    if believed is State.UNSURE or seen_s_ago is None:
        return "whether the camera stands where the calibration says is not known yet"
    when = "just now" if seen_s_ago < 1.0 else f"{seen_s_ago:.0f} s ago"
    if believed is State.OK:
        return f"the camera was in its place when last seen, {when}"
    return f"images and joint states were out of step when last seen, {when}"


def _moved(figures: Mapping[str, float]) -> str:
    if "outline_shift_px" in figures:
        far = f"the robot appears {figures['outline_shift_px']:.0f} px"
        if "outline_shift_mm" in figures:
            far += f" ({figures['outline_shift_mm']:.0f} mm at its distance)"
        far += " from where the calibration puts it"
    else:
        far = f"the background has shifted by {figures.get('background_shift_px', 0.0):.0f} px"
        if "background_rotation_deg" in figures:
            far += f" (a turn of about {figures['background_rotation_deg']:.1f} deg)"
    return f"the camera was moved: {far}; put it back or calibrate again"


def _out_of_step(cause: str, figures: Mapping[str, float]) -> str:
    if cause:
        return cause
    lag = figures.get("lag_ms", 0.0)
    return (
        f"the images are stamped {abs(lag):.0f} ms {'later' if lag > 0 else 'earlier'} than the "
        "calibration says relative to the joint states: check the clocks and the camera's driver"
    )


__all__ = ["Monitor", "MonitorSettings", "Observation", "State"]


class Monitor:
    """Compares live images with a calibration.

    Not thread-safe; feed it from one thread, in the order of the stamps.

    Attributes:
        calibration: What is compared with.
        warnings: What people should know before they rely on it, one sentence each.
    """

    def __init__(
        self, calibration: Calibration, robot: Robot, settings: MonitorSettings | None = None
    ) -> None:
        """Prepare.

        Args:
            calibration: The calibration; its lag and its focal scale are used.
            robot: The robot, with the base frame of the calibration.
            settings: The defaults where None.

        Raises:
            CalibAllError: The robot has another base frame.
        """
        base = calibration.robot.base_frame
        if base != robot.kinematics.base_frame:
            raise CalibAllError(
                f"the calibration refers to base frame '{base}' but the robot was loaded with "
                f"'{robot.kinematics.base_frame}': load it with base_frame '{base}'"
            )
        self.calibration = calibration
        self.warnings = _warnings(calibration, robot)
        self._robot = robot
        self._settings = settings or MonitorSettings()
        self._view = make_view(calibration.camera, self._settings.working_width_px)
        self._calibrated = Estimate(
            calibration.T_camera_base, focal_scale=calibration.focal_scale or 1.0
        )
        self._camera = self._calibrated.camera(self._view.camera)
        self._lag_ns = round((calibration.lag_ms or 0.0) * 1e6)
        self._joints = JointCheck(
            robot.kinematics, self._settings.joint_timeout_s, self._settings.max_joint_gap_s
        )
        self._matched: MatchedJoints | None = None
        self._watch: Watch | None = None
        self._last: Observation | None = None

    def check_camera(self, camera: Camera) -> str | None:
        """Return in one sentence why a live camera is not the calibrated one, None if it is."""
        ours = self.calibration.camera
        if (camera.width, camera.height) != (ours.width, ours.height):
            return (
                f"the images are {camera.width}x{camera.height} px, the calibration is for "
                f"{ours.width}x{ours.height}: set the camera back to that resolution, or "
                "calibrate again"
            )
        u, v = np.linspace(0, ours.width - 1, 5), np.linspace(0, ours.height - 1, 5)
        grid = np.stack(np.meshgrid(u, v), axis=-1)
        apart = np.linalg.norm(camera.project(ours.rays(grid)) - grid, axis=-1)
        farthest = float(np.nanmax(apart, initial=0.0))
        if farthest <= INTRINSICS_SHARE * ours.width:
            return None
        return (
            f"the camera's intrinsics (fx {camera.K[0, 0]:.1f} px) are not those of the "
            f"calibration (fx {ours.K[0, 0]:.1f} px): pixels differ by up to {farthest:.1f} px; "
            "calibrate again"
        )

    def shown(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image of the camera without lens distortion."""
        return self._view.rectification.image(image)

    def silhouette(
        self, positions: NDArray[np.float64], T_camera_base: NDArray[np.float64] | None = None
    ) -> NDArray[np.bool_]:
        """Return the (H, W) mask of the robot in images as `shown` returns them.

        Args:
            positions: (J,) of `Observation.positions`.
            T_camera_base: (4, 4); the calibrated pose where None.
        """
        unknown = () if self._matched is None else self._matched.unknown_links
        T = self._calibrated.T_camera_base if T_camera_base is None else T_camera_base
        mask: NDArray[np.bool_] = silhouettes(
            self._robot.surface.without_links(unknown),
            T @ self._robot.kinematics.forward(positions[None]),
            self._calibrated.camera(self._view.rectification.camera),
        )[0]
        return mask

    def observe(
        self, image: NDArray[np.uint8], stamp_ns: int, joints: JointTrajectory
    ) -> Observation:
        """Take an image.

        Args:
            image: (H, W, 3) RGB, uint8, as the camera delivers it.
            stamp_ns: Its stamp.
            joints: Joint states around that, ideally from 0.35 s before to 0.35 s after.
        """
        if self._last is not None and stamp_ns <= self._last.stamp_ns:
            if self._last.stamp_ns - stamp_ns < RESTART_S * NS_PER_S:
                return self._last
            self._watch = None
            self._joints.begin_anew()
        # One image does not occupy several threads, and waking them costs more than it brings.
        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            self._last = self._judge(image, stamp_ns, joints)
        finally:
            numba.set_num_threads(threads)
        return self._last

    def _judge(
        self, image: NDArray[np.uint8], stamp_ns: int, joints: JointTrajectory
    ) -> Observation:
        ours = self.calibration.camera
        if image.shape[:2] != (ours.height, ours.width):
            return Observation(
                State.WRONG_CAMERA,
                f"the images are {image.shape[1]}x{image.shape[0]} px, the calibration is for "
                f"{ours.width}x{ours.height}: set the camera back to that resolution, or "
                "calibrate again",
                stamp_ns,
            )
        instant = stamp_ns - self._lag_ns
        matched = self._joints.judge(joints, instant)
        if isinstance(matched, JointTrouble):
            if matched.passing and self._last is not None:
                return replace(self._last, stamp_ns=stamp_ns)
            state = State.OUT_OF_STEP if matched.clocks_differ else State.NO_JOINTS
            return Observation(state, matched.sentence, stamp_ns)
        if self._watch is None or matched is not self._matched:
            self._watch = self._begin(matched)
        recorded, _ = joints.at([instant], matched.recorded, max_gap_ns=NS_PER_S)
        concluded = self._watch.judge(self._view.image(image), instant, joints)
        figures = self._figures(concluded)
        return Observation(
            concluded.state,
            sentence_of(concluded.state, concluded.cause, figures, concluded.believed,
                        concluded.seen_s_ago),
            stamp_ns,
            concluded.believed,
            figures,
            self._positions(recorded[0]),
            concluded.T_camera_base,
        )  # fmt: skip

    def _begin(self, matched: MatchedJoints) -> Watch:
        """Begin to watch, or begin anew because other joints are known than before."""
        self._matched = matched
        witness = OutlineWitness(
            self._robot.kinematics,
            self._robot.surface.without_links(matched.unknown_links),
            self._camera,
            self._calibrated.T_camera_base,
            matched.recorded,
            matched.assumed,
            self._settings.window,
        )
        return Watch(witness, self._camera, self._settings)

    def _positions(self, recorded: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (J,) positions of all of the robot's joints."""
        assert self._matched is not None
        known = dict(zip(self._matched.recorded, recorded, strict=True)) | self._matched.assumed
        return np.array([known[name] for name in self._robot.kinematics.joint_names])

    def _figures(self, concluded: Conclusion) -> dict[str, float]:
        """Return the figures in pixels of the camera's image."""
        figures = dict(concluded.figures)
        scale = self.calibration.camera.K[0, 0] / self._view.camera.K[0, 0]
        distance = figures.pop("outline_distance_m", None)
        if distance is not None:
            share = figures["outline_shift_px"] / self._camera.K[0, 0]
            figures["outline_shift_mm"] = 1e3 * distance * share
        for name in ("outline_shift_px", "background_shift_px"):
            if name in figures:
                figures[name] *= scale
        return {name: float(value) for name, value in figures.items()}


def _warnings(calibration: Calibration, robot: Robot) -> tuple[str, ...]:
    warnings = []
    if calibration.verdict.status != "accepted":
        warnings.append(
            f"the calibration's verdict is '{calibration.verdict.status}': "
            f"{calibration.verdict.reasons[0]}"
        )
    known = calibration.robot.description_hash
    if known and known != robot.description_hash:
        warnings.append(
            f"the description of robot '{robot.name}' is not the one that was calibrated with"
        )
    return tuple(warnings)
