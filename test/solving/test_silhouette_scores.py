# SPDX-License-Identifier: Apache-2.0
"""Scores against the same sums over masks of the ray caster and of the full rasteriser."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.resizing import shrink_mask
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_scores import PosedRobot

FRAMES = np.array([0, 6, 12])


@pytest.fixture(scope="module")
def posed(demo_robot: Robot, simulated_motion: RobotMotion) -> PosedRobot:
    return PosedRobot(demo_robot.surface, simulated_motion.subset(FRAMES).link_poses())


@pytest.fixture(scope="module")
def poses(simulated: SimulatedRecording) -> np.ndarray:
    off = se3.from_rotvec(np.array([0.1, 0.0, 0.1]), np.array([0.1, 0.0, 0.0]))
    return np.stack([simulated.T_camera_base, off @ simulated.T_camera_base])


def test_mask_overlap_is_the_mean_over_frames(
    posed: PosedRobot,
    poses: np.ndarray,
    demo_robot: Robot,
    simulated: SimulatedRecording,
    simulated_motion: RobotMotion,
) -> None:
    camera = simulated.camera.scaled(0.25)
    masks = np.stack([shrink_mask(mask, 0.25) for mask in simulated.masks[FRAMES]])
    scores = posed.mask_overlap(poses, camera, masks)
    link_poses = simulated_motion.subset(FRAMES).link_poses()
    for score, T in zip(scores, poses, strict=True):
        rendered = silhouettes(demo_robot.surface, T @ link_poses, camera)
        assert score == pytest.approx(intersection_over_union(rendered, masks).mean(), abs=0.01)
    assert scores[0] > 0.85 > scores[1]


def test_change_overlap_of_perfect_change_is_one(
    posed: PosedRobot,
    poses: np.ndarray,
    demo_robot: Robot,
    simulated: SimulatedRecording,
    simulated_motion: RobotMotion,
) -> None:
    camera = simulated.camera.scaled(0.25)
    link_poses = simulated_motion.subset(FRAMES).link_poses()
    masks = silhouettes(demo_robot.surface, simulated.T_camera_base @ link_poses, camera)
    pairs = np.array(list(combinations(range(3), 2)), dtype=np.int32)
    change = np.stack([masks[i] ^ masks[j] for i, j in pairs]).astype(np.float32)
    # What happens where both silhouettes are must not count.
    both = np.stack([masks[i] & masks[j] for i, j in pairs])
    change[both] = 0.7
    scores = posed.change_overlap(poses, camera, pairs, change)
    assert scores[0] > 0.98
    assert scores[1] < 0.6


def test_no_change_anywhere_is_not_explained_by_a_moving_robot(
    posed: PosedRobot, poses: np.ndarray, simulated: SimulatedRecording
) -> None:
    camera = simulated.camera.scaled(0.25)
    pairs = np.array([[0, 1]], dtype=np.int32)
    nothing = np.zeros((1, camera.height, camera.width), np.float32)
    np.testing.assert_allclose(posed.change_overlap(poses, camera, pairs, nothing), 0.0)
    assert posed.change_overlap(poses, camera, pairs, nothing + 1)[0] < 0.5
