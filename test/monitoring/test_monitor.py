# SPDX-License-Identifier: Apache-2.0
"""The monitor on a simulated recording: what it says, and that it says nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.monitoring.monitor import Monitor
from calib_all_ros.monitoring.state import MonitorSettings, Observation, State
from calib_all_ros.results.calibration import Calibration
from calib_all_ros.results.records import Provenance, RobotRecord, Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.motion import RobotMotion

SECOND = 1_000_000_000
Change = Callable[[int, np.ndarray], np.ndarray]


@pytest.fixture
def calibration(simulated: SimulatedRecording, demo_robot: Robot) -> Calibration:
    """The true one."""
    return Calibration(
        T_camera_base=simulated.T_camera_base,
        camera=simulated.camera,
        robot=RobotRecord(demo_robot.name, demo_robot.kinematics.base_frame),
        verdict=Verdict("accepted"),
        provenance=Provenance("", "", ""),
    )


@pytest.fixture
def watch(
    simulated: SimulatedRecording, simulated_motion: RobotMotion, demo_robot: Robot
) -> Callable[..., list[Observation]]:
    """Let a monitor watch the simulated recording."""

    def play(
        calibration: Calibration,
        change: Change = lambda number, image: image,
        *,
        joints: JointTrajectory | None = None,
        late_ns: int = 0,
    ) -> list[Observation]:
        monitor = Monitor(calibration, demo_robot)
        return [
            monitor.observe(change(number, image), int(stamp) + late_ns, joints or motion.joints)
            for number, (image, stamp) in enumerate(shots)
        ]

    motion = simulated_motion
    shots = list(zip(simulated.images, simulated.image_stamps_ns, strict=True))
    return play


def turned(calibration: Calibration, degrees: float) -> Calibration:
    """Return the calibration of a camera that was then turned the other way."""
    turn = se3.from_rotvec(np.radians([0.0, degrees, 0.0]), np.zeros(3))
    return replace(calibration, T_camera_base=turn @ calibration.T_camera_base)


def states(seen: list[Observation]) -> set[State]:
    return {observation.state for observation in seen}


def test_camera_in_its_place(watch: Any, calibration: Calibration) -> None:
    seen = watch(calibration)
    assert states(seen) == {State.UNSURE, State.OK}
    assert seen[-1].state is State.OK
    assert seen[-1].figures["outline_shift_px"] < 1.0
    assert seen[-1].figures["background_shift_px"] < 0.5
    assert abs(seen[-1].figures["lag_ms"]) < 10.0
    assert "stands where the calibration says" in seen[-1].sentence


def test_camera_moved_before_the_start(watch: Any, calibration: Calibration) -> None:
    seen = watch(turned(calibration, 2.0))
    assert states(seen) == {State.UNSURE, State.MOVED}
    focal_px = calibration.camera.K[0, 0]
    expected_px = focal_px * np.tan(np.radians(2.0))
    assert seen[-1].figures["outline_shift_px"] == pytest.approx(expected_px, rel=0.15)
    found = seen[-1].T_camera_base
    assert found is not None
    far = se3.difference(found, turned(calibration, 2.0).T_camera_base)
    near = se3.difference(found, calibration.T_camera_base)
    assert near[1] < far[1] + 0.05 and near[0] < 2.0


@pytest.mark.parametrize("degrees", [0.15, -0.15])
def test_small_errors_of_a_calibration_are_no_alarm(
    watch: Any, calibration: Calibration, degrees: float
) -> None:
    seen = watch(turned(calibration, degrees))
    assert states(seen) == {State.UNSURE, State.OK}


def test_camera_moved_while_watched(watch: Any, calibration: Calibration) -> None:
    camera, first = calibration.camera, 10
    R = se3.from_rotvec(np.radians([0.0, 2.0, 0.5]), np.zeros(3))[:3, :3]
    H = camera.K @ R @ np.linalg.inv(camera.K)

    def bump(number: int, image: np.ndarray) -> np.ndarray:
        if number < first:
            return image
        size = (camera.width, camera.height)
        return np.asarray(cv2.warpPerspective(image, H, size, borderMode=cv2.BORDER_REPLICATE))

    seen = watch(calibration, bump)
    assert State.MOVED not in states(seen[:first])
    assert seen[first + 2].state is State.MOVED
    assert states(seen[first + 2 :]) == {State.MOVED}
    assert seen[first + 2].figures["background_rotation_deg"] == pytest.approx(2.06, abs=0.3)


def test_alarm_ends_when_the_camera_is_back(watch: Any, calibration: Calibration) -> None:
    def nudge(number: int, image: np.ndarray) -> np.ndarray:
        return np.roll(image, 10, axis=1) if 8 <= number < 13 else image

    seen = watch(calibration, nudge)
    assert seen[12].state is State.MOVED
    assert seen[-1].state is State.OK


def test_somebody_in_front_of_the_robot(watch: Any, calibration: Calibration) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    clothes = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)

    def walk(number: int, image: np.ndarray) -> np.ndarray:
        if number < 8:
            return image
        left = 60 + 6 * (number % 4)
        hidden = image.copy()
        hidden[:, left : left + 190] = clothes[:, 40:230]
        return hidden

    seen = watch(calibration, walk)
    assert State.MOVED not in states(seen)
    assert seen[-1].state is State.OCCLUDED
    assert seen[-1].believed is State.OK
    assert "hides the robot" in seen[-1].sentence


@pytest.mark.parametrize(
    ("gain", "gamma"), [(0.4, 1.0), (1.6, 1.0), (1.0, 1.6), (1.0, 0.6)], ids=str
)
def test_light_that_changes(
    watch: Any, calibration: Calibration, gain: float, gamma: float
) -> None:
    levels = 255.0 * np.clip(gain * (np.arange(256) / 255.0) ** gamma, 0.0, 1.0)

    def light(number: int, image: np.ndarray) -> np.ndarray:
        return cv2.LUT(image, levels.astype(np.uint8)) if number >= 8 else image

    seen = watch(calibration, light)
    assert states(seen) == {State.UNSURE, State.OK}
    assert states(seen[5:]) == {State.OK}


def test_darkness(watch: Any, calibration: Calibration) -> None:
    seen = watch(calibration, lambda number, image: image // (1 if number < 8 else 60))
    assert seen[7].state is State.OK
    assert seen[-1].state is State.UNSURE
    assert "too dark" in seen[-1].sentence
    assert seen[-1].believed is State.OK


def test_alarm_does_not_end_with_the_light(watch: Any, calibration: Calibration) -> None:
    moved = turned(calibration, 2.0)
    seen = watch(moved, lambda number, image: image // (1 if number < 12 else 60))
    assert seen[11].state is State.MOVED
    assert states(seen[12:]) == {State.MOVED}
    assert seen[-1].sentence == seen[11].sentence


@pytest.mark.parametrize("late_ms", [-120, 120])
def test_images_out_of_step(watch: Any, calibration: Calibration, late_ms: int) -> None:
    seen = watch(calibration, late_ns=late_ms * 1_000_000)
    assert states(seen) <= {State.UNSURE, State.OUT_OF_STEP, State.NO_JOINTS}
    assert seen[12].state is State.OUT_OF_STEP
    assert seen[12].figures["lag_ms"] == pytest.approx(late_ms, abs=15)
    assert ("later" if late_ms > 0 else "earlier") in seen[12].sentence


def test_calibrated_lag_is_no_trouble(watch: Any, calibration: Calibration) -> None:
    seen = watch(replace(calibration, lag_ms=120.0), late_ns=120_000_000)
    assert states(seen) == {State.UNSURE, State.OK}


def test_robot_at_rest(
    simulated: Any, simulated_motion: Any, calibration: Any, demo_robot: Any
) -> None:
    monitor, joints = Monitor(calibration, demo_robot), simulated_motion.joints
    stamps = simulated.image_stamps_ns
    for image, stamp in zip(simulated.images[:10], stamps[:10], strict=True):
        seen = monitor.observe(image, int(stamp), joints)
    assert seen.state is State.OK
    rest, pose = int(stamps[9]), joints.at([stamps[9]])[0][0]
    later = np.arange(rest, rest + 8 * SECOND, SECOND // 50)
    resting = JointTrajectory(joints.names, later, np.tile(pose, (len(later), 1)))
    at_rest = [
        monitor.observe(simulated.images[9], rest + number * SECOND // 4, resting)
        for number in range(1, 16)
    ]
    assert at_rest[-1].state is State.STILL
    assert at_rest[-1].believed is State.OK
    assert "in its place when last seen" in at_rest[-1].sentence
    # A camera that is moved now is noticed all the same, by the background.
    moved = np.roll(simulated.images[9], 8, axis=1)
    for number in range(16, 20):
        seen = monitor.observe(moved, rest + number * SECOND // 4, resting)
    assert seen.state is State.MOVED


def test_joint_states_that_stop(
    simulated: Any, simulated_motion: Any, calibration: Any, watch: Any
) -> None:
    stamps, joints = simulated.image_stamps_ns, simulated_motion.joints
    series = {}
    for name in joints.names:
        times, values = joints.series(name)
        series[name] = (times[times < stamps[10]], values[times < stamps[10]])
    seen = watch(calibration, joints=JointTrajectory.from_series(series))
    # For a moment the last finding stands, then it is told.
    assert seen[10].state is State.OK
    assert seen[-1].state is State.NO_JOINTS
    assert "joint states have stopped" in seen[-1].sentence


def test_clocks_that_differ(watch: Any, calibration: Calibration) -> None:
    ahead, behind = (watch(calibration, late_ns=s * SECOND)[-1] for s in (3600, -3600))
    assert ahead.state is State.NO_JOINTS and "same clock" in ahead.sentence
    assert behind.state is State.OUT_OF_STEP and "same clock" in behind.sentence


def test_joints_of_another_robot(simulated: Any, calibration: Any, demo_robot: Any) -> None:
    joints = JointTrajectory(("elbow",), [0, SECOND], [[0.0], [1.0]])
    seen = Monitor(calibration, demo_robot).observe(simulated.images[0], SECOND // 2, joints)
    assert seen.state is State.NO_JOINTS
    assert "elbow" in seen.sentence


def test_robot_out_of_view(
    simulated: Any, simulated_motion: Any, calibration: Any, demo_robot: Any
) -> None:
    away = se3.from_rotvec(np.array([0.0, np.radians(120.0), 0.0]), np.zeros(3))
    elsewhere = replace(calibration, T_camera_base=away @ calibration.T_camera_base)
    monitor = Monitor(elsewhere, demo_robot)
    stamp = int(simulated.image_stamps_ns[0])
    seen = monitor.observe(simulated.images[0], stamp, simulated_motion.joints)
    assert seen.state is State.UNSURE
    assert "out of the camera's view" in seen.sentence


def test_another_resolution(
    simulated: Any, simulated_motion: Any, calibration: Any, demo_robot: Any
) -> None:
    monitor = Monitor(calibration, demo_robot)
    half = simulated.images[0][::2, ::2]
    seen = monitor.observe(half, int(simulated.image_stamps_ns[0]), simulated_motion.joints)
    assert seen.state is State.WRONG_CAMERA
    assert "160x120" in seen.sentence and "320x240" in seen.sentence


def test_camera_info_is_compared(calibration: Calibration, demo_robot: Robot) -> None:
    monitor, camera = Monitor(calibration, demo_robot), calibration.camera
    assert monitor.check_camera(camera) is None
    assert "640x480" in str(monitor.check_camera(camera.scaled(2.0)))
    zoomed = replace(camera, K=camera.K @ np.diag([1.05, 1.05, 1.0]))
    assert "intrinsics" in str(monitor.check_camera(zoomed))
    rounded = replace(camera, K=np.round(camera.K, 1))
    assert monitor.check_camera(rounded) is None


def test_images_that_come_again_or_begin_anew(
    simulated: Any, simulated_motion: Any, calibration: Any, demo_robot: Any
) -> None:
    monitor, joints = Monitor(calibration, demo_robot), simulated_motion.joints
    for image, stamp in zip(simulated.images[:8], simulated.image_stamps_ns[:8], strict=True):
        seen = monitor.observe(image, int(stamp), joints)
    assert seen.state is State.OK
    assert monitor.observe(simulated.images[7], seen.stamp_ns, joints) is seen
    first = int(simulated.image_stamps_ns[0])
    again = monitor.observe(simulated.images[0], first, joints)
    assert again.state is State.UNSURE and again.stamp_ns == first


def test_joint_states_that_come_back_after_a_long_while(
    simulated: Any, simulated_motion: Any, watch: Any, calibration: Any
) -> None:
    """What is read around an image must not be asked of the gap before it."""
    later, series = 20 * SECOND, {}
    middle = int(simulated.image_stamps_ns[8])
    for name in simulated_motion.joints.names:
        times, values = simulated_motion.joints.series(name)
        series[name] = (np.where(times < middle, times, times + later), values)
    joints = JointTrajectory.from_series(series)
    monitor_sees = watch(calibration, joints=joints)
    assert monitor_sees[7].state is State.OK
    assert monitor_sees[-1].state is State.NO_JOINTS
    assert watch(calibration, joints=joints, late_ns=later)[-1].state is State.OK


def test_silhouette_is_where_the_robot_is(
    simulated: Any, simulated_motion: Any, calibration: Any, demo_robot: Any
) -> None:
    monitor = Monitor(calibration, demo_robot)
    stamp = int(simulated.image_stamps_ns[3])
    seen = monitor.observe(simulated.images[3], stamp, simulated_motion.joints)
    assert seen.positions is not None
    mask, truth = monitor.silhouette(seen.positions), simulated.masks[3]
    assert np.count_nonzero(mask & truth) > 0.95 * np.count_nonzero(mask | truth)
    assert monitor.shown(simulated.images[3]).shape[:2] == mask.shape


def test_base_frame_must_be_that_of_the_calibration(
    calibration: Calibration, demo_robot: Robot
) -> None:
    other = replace(calibration, robot=RobotRecord("arm", "world"))
    with pytest.raises(CalibAllError, match=r"'world'.*load it with base_frame 'world'"):
        Monitor(other, demo_robot)


def test_warnings(calibration: Calibration, demo_robot: Robot) -> None:
    assert Monitor(calibration, demo_robot).warnings == ()
    doubtful = replace(
        calibration,
        robot=replace(calibration.robot, description_hash="another"),
        verdict=Verdict("warning", ("few images",)),
    )
    verdict, description = Monitor(doubtful, demo_robot).warnings
    assert "few images" in verdict
    assert "not the one that was calibrated with" in description


@pytest.mark.parametrize(
    ("name", "value"), [("window", 2), ("moved_share", 0.0), ("rate", None)], ids=str
)
def test_impossible_settings(name: str, value: Any) -> None:
    if value is None:
        with pytest.raises(TypeError):
            MonitorSettings(**{name: 1.0})
        return
    with pytest.raises(CalibAllError, match=f"{name} is {value}; it must be from"):
        MonitorSettings(**{name: value})


def shifts(seen: list[Observation]) -> Iterator[float]:
    return (o.figures["outline_shift_px"] for o in seen if "outline_shift_px" in o.figures)


def test_same_input_gives_the_same_answer(watch: Any, calibration: Calibration) -> None:
    assert list(shifts(watch(calibration))) == list(shifts(watch(calibration)))
