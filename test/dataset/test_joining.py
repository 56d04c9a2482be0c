# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calib_all_ros.calibration import calibrate
from calib_all_ros.dataset.joining import ConcatenatedFrames, join, varied_frames
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.recording.recording import FrameList, Recording, RecordingError
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import FrameSettings, SearchEffort, Settings
from calib_all_ros.solving.motion import RobotMotion


@pytest.fixture
def halves(simulated_recording: Recording) -> list[Recording]:
    return [
        simulated_recording.subset(np.arange(10)),
        simulated_recording.subset(np.arange(10, 20)),
    ]


def test_frames_follow_each_other() -> None:
    frames = ConcatenatedFrames((FrameList("ab"), FrameList("cde")))
    assert len(frames) == 5
    assert [frames[i] for i in range(5)] == list("abcde")
    with pytest.raises(IndexError):
        frames[5]


def test_stamps_grow_and_every_image_keeps_its_joints(
    halves: list[Recording], simulated_recording: Recording
) -> None:
    joint = join(halves[::-1], "both")
    assert (np.diff(joint.image_stamps_ns) > 0).all()
    expected, _ = simulated_recording.joints.at(simulated_recording.image_stamps_ns)
    positions, known = joint.joints.at(joint.image_stamps_ns)
    assert known.all()
    np.testing.assert_allclose(positions, np.concatenate([expected[10:], expected[:10]]))
    assert joint.masks is not None and len(joint.masks) == 20
    np.testing.assert_array_equal(joint.images[10], simulated_recording.images[0])


def test_a_lag_does_not_reach_into_another_episode(demo_robot: Robot) -> None:
    names = demo_robot.kinematics.joint_names
    stamps = np.arange(11) * 100_000_000

    def still(position: float) -> Recording:
        joints = JointTrajectory(names, stamps, np.full((11, len(names)), position))
        return Recording("still", None, stamps[1:-1], FrameList([None] * 9), joints)  # type: ignore[arg-type]

    joint = join([still(0.1), still(0.4)], "both")
    motion = RobotMotion(demo_robot.kinematics, joint.joints, joint.image_stamps_ns)
    for lag_s in (-1.0, 0.0, 1.0):
        positions = motion.positions(lag_s)
        np.testing.assert_allclose(positions[:9], 0.1)
        np.testing.assert_allclose(positions[9:], 0.4)


def test_images_without_joint_states_are_not_covered_by_the_pause(halves: list[Recording]) -> None:
    first = halves[0]
    stamps = first.image_stamps_ns.copy()
    _, end_ns = first.joints.span()
    stamps[-1] = end_ns + 100_000_000
    joint = join([replace(first, image_stamps_ns=stamps), halves[1]], "both")
    _, known = joint.joints.at(joint.image_stamps_ns)
    assert not known[9] and known[10:].all()


def test_episodes_without_a_common_joint_cannot_be_joined(halves: list[Recording]) -> None:
    other = replace(halves[1], joints=JointTrajectory(("other",), [0, 1], [[0.0], [1.0]]))
    with pytest.raises(RecordingError, match="no joint in common"):
        join([halves[0], other], "both")


def test_varied_frames_are_different_poses(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    chosen = varied_frames(simulated_recording, demo_robot, FrameSettings(), 5)
    assert len(chosen) == 5
    positions, _ = simulated_recording.joints.at(chosen.image_stamps_ns)
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=2)[np.triu_indices(5, 1)]
    everything, _ = simulated_recording.joints.at(simulated_recording.image_stamps_ns)
    usual = np.linalg.norm(everything[:, None] - everything[None], axis=2)
    assert gaps.min() > np.median(np.sort(usual + 9 * np.eye(20), axis=1)[:, 0])


def noisy(recording: Recording, seed: int) -> Recording:
    """Masks whose outline wanders by some pixels, another way in every image."""
    rng, masks = np.random.default_rng(seed), []
    for index in range(len(recording)):
        assert recording.masks is not None
        mask = recording.masks[index]
        assert mask is not None
        robot = mask.astype(np.uint8)
        wander = cv2.GaussianBlur(rng.normal(size=robot.shape), (0, 0), 6.0)
        inside = cv2.distanceTransform(robot, cv2.DIST_L2, 5)
        outside = cv2.distanceTransform(1 - robot, cv2.DIST_L2, 5)
        masks.append(inside - outside > 2.5 * wander / wander.std())
    return replace(recording, masks=FrameList(masks))


def test_episodes_together_are_better_than_alone(
    simulated_recording: Recording, demo_robot: Robot
) -> None:
    poor = noisy(simulated_recording, 0)
    parts = [poor.subset(np.arange(5) + begin) for begin in (0, 5, 10, 15)]
    effort = SearchEffort(hypotheses=1500, candidates=8, finalists=1, attempts=1)
    truth = simulated_recording.reference_T_camera_base
    assert truth is not None

    def solved(recording: Recording, count: int) -> tuple[float, float]:
        settings = Settings(frames=FrameSettings(count=count), search=effort)
        result = calibrate(recording, demo_robot, settings=settings).calibration
        error_m = se3.difference(result.T_camera_base, truth)[1]
        return 1e3 * error_m, result.quality["expected_position_mm"]

    error_mm, expected_mm = solved(join(parts, "all"), 15)
    alone = np.array([solved(part, 5) for part in parts[::2]])
    assert error_mm < 0.7 * alone[:, 0].mean()
    assert expected_mm < 0.8 * alone[:, 1].mean()
