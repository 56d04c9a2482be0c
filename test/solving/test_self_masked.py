# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.self_masked import (
    FINE_ROUNDS,
    ROUGH_ROUNDS,
    ImageStack,
    Round,
    SelfMaskedFit,
    refine_from_images,
)

USE = np.arange(1, 20, 2)


def refine(
    robot: Robot,
    recording: SimulatedRecording,
    motion: RobotMotion,
    offset_m: float,
    rounds: tuple[Round, ...],
) -> tuple[SelfMaskedFit, list[float]]:
    truth = recording.T_camera_base
    twist = np.concatenate([offset_m * np.array([1.0, -0.8, 0.6]), offset_m * np.ones(3) / 1.7])
    centre = se3.transform(truth, np.array([[0.0, 0.0, 0.4]]))[0]
    found = refine_from_images(
        ImageStack(recording.images), robot.surface, motion, recording.camera,
        Estimate(truth).moved(twist, centre), USE, rounds,
    )  # fmt: skip
    errors = [se3.difference(estimate.T_camera_base, truth)[1] for estimate, _ in found.trace]
    return found, errors


def test_refines_centimetres_to_millimetres(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    found, errors = refine(demo_robot, simulated, simulated_motion, 0.03, FINE_ROUNDS)
    assert len(errors) == len(FINE_ROUNDS)
    assert errors[-1] < 0.01
    overlap = intersection_over_union(found.segmented.masks, simulated.masks[USE])
    assert overlap.min() > 0.85 and overlap.mean() > 0.9


def test_rough_rounds_come_near_from_a_decimetre(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    _, errors = refine(demo_robot, simulated, simulated_motion, 0.08, ROUGH_ROUNDS)
    assert errors[-1] < 0.05


def test_stack_averages_and_equalises() -> None:
    rng = np.random.default_rng(0)
    background = rng.uniform(80, 150, (48, 64, 3))
    images = np.stack([background, 1.2 * background, background]).astype(np.uint8)
    stack = ImageStack(images)
    half = stack.at(0.5)
    assert half.shape == (3, 24, 32, 3) and half.dtype == np.float32
    np.testing.assert_allclose(half[1], half[0], atol=1.5)
    np.testing.assert_allclose(
        half[0, 3, 5], images[0, 6:8, 10:12].reshape(-1, 3).mean(axis=0), atol=0.6
    )
    assert stack.at(0.5) is half


@pytest.mark.parametrize("size", [(241, 323), (5, 7)])
def test_stack_agrees_with_the_size_of_the_scaled_camera(size: tuple[int, int]) -> None:
    stack = ImageStack(np.zeros((2, *size, 3), np.uint8))
    assert stack.at(0.5).shape[1:3] == (round(size[0] / 2), round(size[1] / 2))
