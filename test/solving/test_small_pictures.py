# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.rectification import shrink_mask
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.small_pictures import (
    ChangeTable,
    PosedRobot,
    change_probability,
    exposure_gains,
    shrink_images,
)

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


@pytest.fixture(scope="module")
def moving(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> tuple[PosedRobot, NDArray[np.float32]]:
    """The robot in six images of a still scene, and these images."""
    frames = np.array([0, 4, 8, 12, 15, 19])
    robot = PosedRobot(
        demo_robot.surface.simplified(0.02), simulated_motion.subset(frames).link_poses()
    )
    return robot, shrink_images(simulated.images[frames], 64)


def elsewhere(T: np.ndarray) -> np.ndarray:
    """Poses beside a true one: to the side, turned, and so near that the robot fills the image."""
    near = T.copy()
    near[2, 3] *= 0.3
    turned = se3.from_rotvec(np.array([0.0, 0.5, 0.0]), np.zeros(3)) @ T
    aside = se3.from_rotvec(np.zeros(3), np.array([0.3, 0.0, 0.0])) @ T
    return np.stack([T, aside, turned, near])


def test_the_true_pose_explains_what_changes(
    moving: tuple[PosedRobot, NDArray[np.float32]], simulated: SimulatedRecording
) -> None:
    robot, small = moving
    camera = simulated.camera.scaled(64 / simulated.camera.width)
    gains = robot.change_gain(elsewhere(simulated.T_camera_base), camera, ChangeTable.of(small))
    assert gains[0] > 0.5 and gains[1:].max() < 0.1


@pytest.mark.parametrize("trouble", ["screen", "person", "exposure"])
def test_other_change_costs_next_to_nothing(
    trouble: str, moving: tuple[PosedRobot, NDArray[np.float32]], simulated: SimulatedRecording
) -> None:
    robot, clean = moving
    small = clean.copy()
    rng = np.random.default_rng(0)
    if trouble == "screen":
        small[:, 5:20, 5:25] = rng.uniform(0, 255, (len(small), 1, 1, 3))
    elif trouble == "person":
        # Stands in two images, in one of them before a part of the robot.
        small[1, 8:48, 20:36] = small[4, 8:48, 40:56] = (200.0, 40.0, 90.0)
    else:
        small *= np.linspace(0.75, 1.25, len(small))[:, None, None, None]
    camera = simulated.camera.scaled(64 / simulated.camera.width)
    gains = robot.change_gain(elsewhere(simulated.T_camera_base), camera, ChangeTable.of(small))
    assert gains[0] > 0.1 and gains[1:].max() < 0.5 * gains[0]


def test_where_nothing_changes_no_robot_is_the_best_explanation(
    moving: tuple[PosedRobot, NDArray[np.float32]], simulated: SimulatedRecording
) -> None:
    robot, small = moving
    still = np.repeat(small[:1], len(small), axis=0)
    camera = simulated.camera.scaled(64 / simulated.camera.width)
    poses = elsewhere(simulated.T_camera_base)
    assert (robot.change_gain(poses, camera, ChangeTable.of(still)) < 0.0).all()


def scene(gains: list[float], seed: int = 0) -> np.ndarray:
    """A textured background under different exposures, a dark square at another place in each."""
    rng = np.random.default_rng(seed)
    background = rng.uniform(60, 160, (30, 40, 3))
    images = np.stack([background * gain for gain in gains])
    for i, image in enumerate(images):
        image[5 + 3 * i : 11 + 3 * i, 5 + 6 * i : 13 + 6 * i] = 15.0
    return images.astype(np.float32)


def test_gains_undo_the_exposure() -> None:
    gains = [1.0, 0.8, 1.25, 1.0, 0.9]
    found = exposure_gains(scene(gains))
    # Only the ratios are known; one image defines the unit.
    relative = found * np.array(gains)[:, None] / found[0]
    np.testing.assert_allclose(relative, 1.0, rtol=0.02)


def test_white_balance_is_found_for_each_channel() -> None:
    images = scene([1.0] * 5)
    images[2, ..., 0] *= 1.2
    images[2, ..., 2] *= 0.85
    np.testing.assert_allclose(exposure_gains(images)[2], [1 / 1.2, 1.0, 1 / 0.85], rtol=0.02)


@pytest.mark.parametrize("level", [0.0, 255.0])
def test_nothing_is_said_about_black_and_saturated_images(level: float) -> None:
    images = np.full((3, 20, 20, 3), level, np.float32)
    np.testing.assert_array_equal(exposure_gains(images), 1.0)


def test_change_does_not_depend_on_the_exposure() -> None:
    plain, flickering = scene([1.0] * 4), scene([1.0, 0.8, 1.25, 0.9])
    flickering = np.clip(flickering, 0, 255).astype(np.uint8)
    _, expected = change_probability(shrink_images(plain.astype(np.uint8), 40))
    _, change = change_probability(shrink_images(flickering, 40))
    assert np.abs(change - expected).mean() < 0.01
    _, blind = change_probability(flickering.astype(np.float32))
    assert np.abs(blind - expected).mean() > 0.05


def test_change_is_where_either_square_is() -> None:
    pairs, change = change_probability(scene([1.0] * 3))
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    expected = np.zeros((30, 40), bool)
    for i in (0, 2):
        expected[5 + 3 * i : 11 + 3 * i, 5 + 6 * i : 13 + 6 * i] = True
    assert change[1][expected].min() > 0.5 > change[1][~expected].max()


def test_noise_is_no_change() -> None:
    rng = np.random.default_rng(0)
    still = 100.0 + rng.normal(0, 2.0, (3, 30, 40, 3)).astype(np.float32)
    _, change = change_probability(still)
    assert change.mean() < 0.1


def test_change_of_simulated_images_is_that_of_their_masks(simulated: SimulatedRecording) -> None:
    frames = np.array([0, 9, 18])
    pairs, change = change_probability(shrink_images(simulated.images[frames], 160))
    masks = simulated.masks[frames][:, ::2, ::2]
    for (i, j), seen in zip(pairs, change, strict=True):
        moved = masks[i] ^ masks[j]
        untouched = ~(masks[i] | masks[j])
        assert seen[moved].mean() > 0.6
        assert seen[untouched].mean() < 0.1


def test_odd_sizes_shrink_to_the_size_of_the_camera() -> None:
    images = np.zeros((2, 481, 641, 3), np.uint8)
    assert shrink_images(images, 64).shape == (2, 48, 64, 3)
