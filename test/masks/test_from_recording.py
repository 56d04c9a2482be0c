# SPDX-License-Identifier: Apache-2.0
"""Segmentation of simulated images against the masks of the ray caster."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.masks.from_recording import grown_silhouettes, segment
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.motion import RobotMotion

USE = np.arange(0, 20, 3)


def rendered(
    robot: Robot, recording: SimulatedRecording, motion: RobotMotion, off_m: float
) -> np.ndarray:
    off = se3.from_rotvec(off_m * np.array([0.2, -0.4, 0.5]), off_m * np.array([0.6, -0.6, 0.5]))
    T = off @ recording.T_camera_base @ motion.link_poses()
    return silhouettes(robot.surface, T, recording.camera)


@pytest.fixture(scope="module")
def guess(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> np.ndarray:
    return rendered(demo_robot, simulated, simulated_motion, 0.02)


def test_a_rough_guess_is_made_good(simulated: SimulatedRecording, guess: np.ndarray) -> None:
    found = segment(simulated.images.astype(np.float32), guess, USE, band_px=8)
    truth = simulated.masks[USE]
    before = intersection_over_union(guess[USE], truth)
    after = intersection_over_union(found.masks, truth)
    assert before.mean() < 0.88
    assert after.mean() > 0.9 and (after > before).all()
    decided = intersection_over_union(found.masks, truth, found.ignore)
    assert decided.mean() >= after.mean() - 0.005


def test_masks_do_not_stray_from_the_guess(
    simulated: SimulatedRecording, guess: np.ndarray
) -> None:
    found = segment(simulated.images.astype(np.float32), guess, USE, band_px=4)
    assert not (found.masks & ~grown_silhouettes(guess[USE], 4)).any()
    assert found.masks.shape == found.ignore.shape == found.evidence.shape == (len(USE), 240, 320)


def test_an_object_before_the_robot_is_hidden_not_background(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    truth = rendered(demo_robot, simulated, simulated_motion, 0.0)
    often = np.argwhere(truth.sum(axis=0) >= 8)
    row, column = often[len(often) // 2]
    window = np.s_[max(row - 12, 0) : row + 12, max(column - 12, 0) : column + 12]
    images = simulated.images.astype(np.float32)
    still = np.random.default_rng(0).uniform(40, 90, images[0][window].shape)
    images[(slice(None), *window)] = still
    found = segment(images, truth, np.arange(20), band_px=3)
    assert found.hidden[row, column]
    inside = np.zeros((240, 320), bool)
    inside[window] = True
    inside = grown_silhouettes(inside[None], 4)[0]
    assert np.count_nonzero(found.hidden & ~inside) < 0.2 * np.count_nonzero(found.hidden)


def test_images_without_a_robot_in_view_are_no_crash() -> None:
    images = np.full((5, 40, 50, 3), 90.0, np.float32)
    found = segment(images, np.zeros((5, 40, 50), bool), np.arange(5), band_px=3)
    assert not found.masks.any()


def test_growing_is_round() -> None:
    mask = np.zeros((1, 41, 41), bool)
    mask[0, 20, 20] = True
    v, u = np.nonzero(grown_silhouettes(mask, 8)[0])
    radius = np.hypot(u - 20, v - 20)
    assert radius.max() < 9.0 and len(u) == pytest.approx(np.pi * 8.3**2, rel=0.1)
