# SPDX-License-Identifier: Apache-2.0
"""Edge fits on ray-traced images."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.edge_fit import EdgeFit, fit_edges
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.motion import RobotMotion

USE = np.arange(0, 20, 2)


def start(truth: np.ndarray) -> Estimate:
    """About two pixels off."""
    twist = np.array([0.006, -0.004, 0.005, 0.004, -0.005, 0.006])
    return Estimate(truth).moved(twist, se3.transform(truth, np.array([[0, 0, 0.4]]))[0])


def fit(
    robot: Robot,
    recording: SimulatedRecording,
    motion: RobotMotion,
    images: np.ndarray | None = None,
    hidden: np.ndarray | None = None,
) -> EdgeFit:
    pictures = recording.images if images is None else images
    return fit_edges(
        pictures.astype(np.float32), robot.surface, motion, recording.camera,
        start(recording.T_camera_base), USE, hidden,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> EdgeFit:
    return fit(demo_robot, simulated, simulated_motion)


def test_millimetres_remain(found: EdgeFit, simulated: SimulatedRecording) -> None:
    before = se3.difference(start(simulated.T_camera_base).T_camera_base, simulated.T_camera_base)
    after = se3.difference(found.estimate.T_camera_base, simulated.T_camera_base)
    assert after[0] < 0.1 < before[0]
    assert after[1] < 0.0025 < before[1]
    assert abs(found.estimate.lag_s) < 0.005
    assert abs(found.estimate.mask_bias_px) < 0.15


def test_the_figures_tell_a_good_fit(found: EdgeFit) -> None:
    assert 0.6 < found.measured_share <= 1.0
    assert found.contour_px.shape == (len(USE),) and np.nanmax(found.contour_px) < 0.8
    assert found.systems is not None and set(found.systems.frame) == set(range(len(USE)))


def test_images_without_edges_measure_nothing(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    grey = np.full_like(simulated.images, 128)
    result = fit(demo_robot, simulated, simulated_motion, grey)
    expected = start(simulated.T_camera_base).T_camera_base
    np.testing.assert_array_equal(result.estimate.T_camera_base, expected)
    assert result.measured_share == 0.0 and result.systems is None
    assert np.isnan(result.contour_px).all()


def test_hidden_pixels_do_not_count(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    images = simulated.images.copy()
    hidden = np.zeros(images.shape[1:3], bool)
    column = int(np.nonzero(simulated.masks.any(axis=0))[1].mean())
    hidden[:, column : column + 25] = True
    images[:, hidden] = 30
    result = fit(demo_robot, simulated, simulated_motion, images, hidden)
    assert se3.difference(result.estimate.T_camera_base, simulated.T_camera_base)[1] < 0.004
