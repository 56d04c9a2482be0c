# SPDX-License-Identifier: Apache-2.0
"""Fits to masks that a ray caster made, with known pose and nuisances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.input_files import RecordingSource
from calib_all_ros.loading import load_recording
from calib_all_ros.robot.description import Robot, load_robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_measurements import signed_distance
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import (
    FULL_SCHEDULE,
    POLISH_SCHEDULE,
    SilhouetteProblem,
    evaluate,
    fit_silhouettes,
)

FRAMES = np.array([0, 3, 5, 8, 11, 14, 16, 19])


@pytest.fixture(scope="module")
def problem(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> SilhouetteProblem:
    return SilhouetteProblem(
        demo_robot.surface,
        simulated_motion.subset(FRAMES),
        simulated.camera,
        simulated.masks[FRAMES],
    )


def off(truth: np.ndarray, angle_deg: float, distance_m: float, seed: int = 0) -> Estimate:
    """The robot turned and shifted in front of the camera."""
    rng = np.random.default_rng(seed)
    axis, way = rng.normal(size=(2, 3))
    twist = np.concatenate(
        [
            np.radians(angle_deg) * axis / np.linalg.norm(axis),
            distance_m * way / np.linalg.norm(way),
        ]
    )
    centre = se3.transform(truth, np.array([[0.0, 0.0, 0.4]]))[0]
    return Estimate(truth).moved(twist, centre)


@pytest.mark.parametrize("seed", range(4))
def test_recovers_ten_centimetres_and_eight_degrees(
    problem: SilhouetteProblem, simulated: SimulatedRecording, seed: int
) -> None:
    truth = simulated.T_camera_base
    fit = fit_silhouettes(problem, off(truth, 8.0, 0.1, seed))
    angle_deg, distance_m = se3.difference(fit.estimate.T_camera_base, truth)
    assert angle_deg < 0.1 and distance_m < 0.004
    assert fit.iou.min() > 0.96
    assert np.nanmax(fit.contour_px) < 0.7
    assert abs(fit.estimate.lag_s) < 0.005 and abs(fit.estimate.mask_bias_px) < 0.2


def test_recovers_the_lag(problem: SilhouetteProblem, simulated: SimulatedRecording) -> None:
    stamped_late = replace(
        problem,
        motion=replace(problem.motion, stamps_ns=problem.motion.stamps_ns + 50_000_000),
    )
    start = off(simulated.T_camera_base, 2.0, 0.03)
    fit = fit_silhouettes(stamped_late, start)
    assert fit.estimate.lag_s == pytest.approx(0.05, abs=0.005)
    assert se3.difference(fit.estimate.T_camera_base, simulated.T_camera_base)[1] < 0.004
    blind = fit_silhouettes(stamped_late, start, Parameters(lag=False))
    assert blind.estimate.lag_s == 0.0
    assert blind.iou.mean() < fit.iou.mean()


@pytest.mark.parametrize("fat_px", [(1.0, 2.0), (-1.0, -1.0)])
def test_recovers_how_much_too_fat_masks_are(
    problem: SilhouetteProblem, simulated: SimulatedRecording, fat_px: tuple[float, float]
) -> None:
    masks = [signed_distance(mask) < fat_px[i % 2] for i, mask in enumerate(problem.masks)]
    fat = replace(problem, masks=np.stack(masks))
    start = off(simulated.T_camera_base, 2.0, 0.03)
    fit = fit_silhouettes(fat, start)
    assert fit.estimate.mask_bias_px == pytest.approx(np.mean(fat_px), abs=0.3)
    error = se3.difference(fit.estimate.T_camera_base, simulated.T_camera_base)[1]
    blind = fit_silhouettes(fat, start, Parameters(mask_bias=False))
    blind_error = se3.difference(blind.estimate.T_camera_base, simulated.T_camera_base)[1]
    assert error < 0.5 * blind_error
    assert error < 0.006


def test_recovers_the_focal_length(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    K = problem.camera.K.copy()
    K[[0, 1], [0, 1]] /= 1.02
    wrong = replace(problem, camera=replace(problem.camera, K=K))
    fit = fit_silhouettes(
        wrong, off(simulated.T_camera_base, 2.0, 0.03), Parameters(focal_scale=True)
    )
    assert fit.estimate.focal_scale == pytest.approx(1.02, abs=0.006)
    assert se3.difference(fit.estimate.T_camera_base, simulated.T_camera_base)[1] < 0.012


def test_frames_of_no_weight_do_not_matter(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    masks = problem.masks.copy()
    masks[0] = masks[0, ::-1, ::-1]
    weight = np.ones(len(masks))
    weight[0] = 0.0
    spoilt = replace(problem, masks=masks, frame_weight=weight)
    fit = fit_silhouettes(spoilt, off(simulated.T_camera_base, 4.0, 0.05))
    assert se3.difference(fit.estimate.T_camera_base, simulated.T_camera_base)[1] < 0.005
    assert np.isnan(fit.contour_px[0]) and fit.iou[0] < 0.6


def test_ignored_pixels_may_hold_anything(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    width = problem.camera.width
    ignore = np.zeros_like(problem.masks)
    ignore[:, :, width // 2 :] = True
    masks = problem.masks | ignore
    fit = fit_silhouettes(
        replace(problem, masks=masks, ignore=ignore),
        off(simulated.T_camera_base, 1.0, 0.02),
        schedule=POLISH_SCHEDULE,
    )
    assert se3.difference(fit.estimate.T_camera_base, simulated.T_camera_base)[1] < 0.02
    assert fit.iou.min() > 0.9


def test_empty_masks_leave_the_start(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    empty = replace(problem, masks=np.zeros_like(problem.masks))
    start = Estimate(simulated.T_camera_base)
    fit = fit_silhouettes(empty, start)
    np.testing.assert_array_equal(fit.estimate.T_camera_base, start.T_camera_base)
    assert np.isnan(fit.contour_px).all() and fit.iou.max() == 0.0


def test_a_robot_behind_the_camera_is_no_crash(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    away = simulated.T_camera_base.copy()
    away[2, 3] -= 10.0
    fit = fit_silhouettes(problem, Estimate(away))
    assert fit.iou.max() == 0.0 and np.isfinite(fit.estimate.T_camera_base).all()


def test_steps_are_reported_and_end_where_they_say(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    fit = fit_silhouettes(problem, off(simulated.T_camera_base, 1.0, 0.01))
    assert 3 < len(fit.trace) <= sum(level.steps for level in FULL_SCHEDULE)
    assert fit.termination in ("converged", "step limit")


def test_evaluation_does_not_move_the_estimate(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    iou, contour_px = evaluate(problem, Estimate(simulated.T_camera_base))
    assert iou.min() > 0.99 and np.nanmax(contour_px) < 0.3
    worse, farther_px = evaluate(problem, off(simulated.T_camera_base, 1.0, 0.01))
    assert worse.mean() < iou.mean() - 0.01
    assert np.nanmean(farther_px) > np.nanmean(contour_px) + 0.2


def test_subset_takes_everything_along(problem: SilhouetteProblem) -> None:
    full = replace(
        problem,
        ignore=~problem.masks,
        frame_weight=np.arange(len(FRAMES), dtype=float),
    )
    some = full.subset(np.array([4, 1]))
    np.testing.assert_array_equal(some.masks, problem.masks[[4, 1]])
    assert some.ignore is not None
    np.testing.assert_array_equal(some.ignore, ~problem.masks[[4, 1]])
    assert some.weights().tolist() == [4.0, 1.0]
    assert some.motion.stamps_ns.tolist() == problem.motion.stamps_ns[[4, 1]].tolist()


@pytest.mark.parametrize(
    ("name", "urdf"), [("d2", "ur5e/ur5e_robotiq85.urdf"), ("d3", "xarm7/xarm7_gripper.urdf")]
)
def test_fits_masks_of_a_path_tracer(name: str, urdf: str, shared_data: Path) -> None:
    recording = load_recording(RecordingSource(shared_data / name, masks="recorded"))
    robot = load_robot(shared_data / "robots" / urdf, base_frame=recording.base_frame)
    truth = recording.reference_T_camera_base
    assert truth is not None and recording.masks is not None
    frames = np.array([4, 22, 40, 55])
    masks = [recording.masks[int(i)] for i in frames]
    problem = SilhouetteProblem(
        robot.surface,
        RobotMotion(robot.kinematics, recording.joints, recording.image_stamps_ns[frames]),
        recording.camera,
        np.stack([mask for mask in masks if mask is not None]),
    )
    fit = fit_silhouettes(problem, off(truth, 5.0, 0.06))
    angle_deg, distance_m = se3.difference(fit.estimate.T_camera_base, truth)
    assert angle_deg < 0.2 and distance_m < 0.006
    assert fit.iou.min() > 0.95


def test_masks_that_err_from_image_to_image(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    """Half of the masks are too fat and half too thin: one common bias is right for none."""
    fat_px = np.array([2.0, -2.0, 3.0, -1.0, 2.0, -3.0, -2.0, 3.0])
    masks = [signed_distance(m) < fat for m, fat in zip(problem.masks, fat_px, strict=True)]
    uneven = replace(problem, masks=np.stack(masks))
    start = off(simulated.T_camera_base, 2.0, 0.03)
    own = fit_silhouettes(uneven, start, Parameters(image_biases=True))
    np.testing.assert_allclose(own.estimate.biases_px(), fat_px, atol=0.5)
    error = se3.difference(own.estimate.T_camera_base, simulated.T_camera_base)[1]
    common = fit_silhouettes(uneven, start)
    common_error = se3.difference(common.estimate.T_camera_base, simulated.T_camera_base)[1]
    assert error < 0.004 and error < 0.5 * common_error
    assert own.estimate.common().image_biases_px is None


def test_recovers_where_a_joint_has_its_zero(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    joint = 3
    series = {name: problem.motion.joints.series(name) for name in problem.motion.joints.names}
    name = problem.motion.kinematics.joint_names[joint]
    stamps, positions = series[name]
    series[name] = stamps, positions + 0.02
    wrong = replace(
        problem, motion=replace(problem.motion, joints=JointTrajectory.from_series(series))
    )
    start = off(simulated.T_camera_base, 2.0, 0.03)
    blind = fit_silhouettes(wrong, start, Parameters(lag=False))
    wide = Parameters(lag=False, joint_offsets=True, joint_offset_sigma=0.05)
    fit = fit_silhouettes(wrong, start, wide)
    assert fit.estimate.joint_offsets is not None
    assert fit.estimate.joint_offsets[joint] == pytest.approx(-0.02, abs=0.005)
    assert fit.iou.mean() > blind.iou.mean()
