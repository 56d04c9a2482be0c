# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calib_all_ros.diagnosis.scene import describe, examine_scene
from calib_all_ros.diagnosis.scene_findings import scene_findings
from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import Recording
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import FrameSettings
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.observations import Observations, prepare

BUMPED_FROM = 12


@pytest.fixture(scope="module")
def observed(simulated_recording: Recording, demo_robot: Robot) -> Observations:
    return prepare(replace(simulated_recording, masks=None), demo_robot, FrameSettings())


@pytest.fixture(scope="module")
def estimate(simulated_recording: Recording) -> Estimate:
    assert simulated_recording.reference_T_camera_base is not None
    return Estimate(simulated_recording.reference_T_camera_base)


def causes(observations: Observations, estimate: Estimate) -> list[tuple[str, str]]:
    findings = scene_findings(examine_scene(observations, estimate))
    return [(finding.cause, finding.severity) for finding in findings]


def bumped(images: np.ndarray) -> np.ndarray:
    M = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -2.0]])
    moved = images.copy()
    for i in range(BUMPED_FROM, len(images)):
        moved[i] = cv2.warpAffine(images[i], M, images.shape[2:0:-1], borderMode=cv2.BORDER_REFLECT)
    return moved


def passed_by(images: np.ndarray) -> np.ndarray:
    """Something textured walks through the lower left."""
    moved = images.copy()
    cells = np.random.default_rng(0).integers(0, 255, (10, 6, 3), dtype=np.uint8)
    figure = cv2.resize(cells, (36, 80), interpolation=cv2.INTER_NEAREST)
    for i in range(len(images)):
        left = round((images.shape[2] - 36) * i / (len(images) - 1))
        moved[i, 155:235, left : left + 36] = figure
    return moved


def wrong(estimate: Estimate) -> Estimate:
    T = estimate.T_camera_base
    turned = se3.from_rotvec([0.0, 0.0, 0.6], [0.0, 0.0, 0.0]) @ T
    return Estimate(turned)


def test_an_unaltered_recording(observed: Observations, estimate: Estimate) -> None:
    figures = examine_scene(observed, estimate)
    assert scene_findings(figures) == []
    assert figures.camera is not None and figures.light is not None
    assert figures.dynamic_objects is not None and figures.dynamic_objects.explained > 0.9
    assert figures.camera.shake_px < 0.3
    assert set(figures.quality()) >= {"background_shift_px", "light_spread", "stranger_share"}


def test_a_wrong_pose_is_not_taken_for_anything_else(
    observed: Observations, estimate: Estimate
) -> None:
    figures = examine_scene(observed, wrong(estimate))
    assert scene_findings(figures) == []
    assert figures.dynamic_objects is not None and figures.dynamic_objects.explained < 0.6


def test_a_bumped_camera(observed: Observations, estimate: Estimate) -> None:
    for pose in (estimate, wrong(estimate)):
        figures = examine_scene(replace(observed, images=bumped(observed.images)), pose)
        assert figures.camera is not None
        (bump,) = figures.camera.bumps
        assert (bump.before, bump.after) == (BUMPED_FROM - 1, BUMPED_FROM)
        assert bump.shift_px == pytest.approx(np.hypot(3.0, 2.0), rel=0.1)
        focal = observed.camera.K[0, 0]
        assert bump.turn_deg == pytest.approx(np.degrees(np.hypot(3.0, 2.0) / focal), rel=0.1)
        assert figures.camera.good_part_s == pytest.approx((0.0, 0.25 * (BUMPED_FROM - 1)))


def test_somebody_walks_by(observed: Observations, estimate: Estimate) -> None:
    visited = replace(observed, images=passed_by(observed.images))
    assert ("moving_object", "warning") in causes(visited, estimate)
    assert ("moving_object", "rejected") in causes(visited, wrong(estimate))


def test_flicker_is_only_noted(observed: Observations, estimate: Estimate) -> None:
    gains = np.exp(np.random.default_rng(0).normal(0.0, 0.1, (len(observed.images), 1, 1, 1)))
    images = np.clip(observed.images * gains, 0, 255).astype(np.uint8)
    assert causes(replace(observed, images=images), estimate) == [("light_changed", "note")]


def test_black_images_and_few_of_them_say_nothing(
    observed: Observations, estimate: Estimate
) -> None:
    figures = examine_scene(replace(observed, images=np.zeros_like(observed.images)), estimate)
    assert figures.camera is None and figures.light is None and figures.dynamic_objects is None
    few = np.arange(2)
    short = replace(
        observed,
        frames=observed.frames[few],
        solve=few,
        images=observed.images[few],
        motion=observed.motion.subset(few),
    )
    assert causes(short, estimate) == []


COUNT = 30


def noise(size: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, size, (COUNT, 2))


def test_nothing_happens() -> None:
    course = describe(noise(0.1), 0.5)
    assert course.starts == () and course.drift == 0.0
    assert course.scatter == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize("start", [2, 13, COUNT - 2])
def test_a_step_is_found_where_it_is(start: int) -> None:
    values = noise(0.1)
    values[start:] += [3.0, -4.0]
    course = describe(values, 0.5)
    assert course.starts == (start,)
    assert course.sizes[0] == pytest.approx(np.sqrt((9 + 16) / 2), rel=0.1)
    assert course.scatter < 0.15 and course.drift == 0.0


def test_two_steps() -> None:
    values = noise(0.1)
    values[8:20] += 2.0
    course = describe(values, 0.5)
    assert course.starts == (8, 20)
    assert course.sizes == pytest.approx((2.0, 2.0), rel=0.1)


def test_a_drift_is_no_step() -> None:
    values = noise(0.1) + np.linspace(0.0, 5.0, COUNT)[:, None]
    course = describe(values, 0.5)
    assert course.starts == ()
    assert course.drift == pytest.approx(5.0, rel=0.1)
    assert course.scatter < 0.15


def test_scatter_is_neither() -> None:
    course = describe(noise(3.0), 0.5)
    assert course.starts == () and course.drift == 0.0
    assert course.scatter == pytest.approx(3.0, rel=0.3)


def test_one_value_that_differs_is_no_step() -> None:
    values = noise(0.05)
    values[12] += 4.0
    assert describe(values, 0.5).starts == ()


def test_small_steps_are_scatter() -> None:
    values = noise(0.01)
    values[15:] += 0.3
    assert describe(values, 0.5).starts == ()


@pytest.mark.parametrize(("size", "clear"), [(3.5, False), (4.5, True)])
def test_a_step_is_clear_at_four_times_the_scatter_beside_it(size: float, clear: bool) -> None:
    # The median distance from the middle is 1.
    rng = np.random.default_rng(0)
    parts = [rng.permutation(np.linspace(-2.0, 2.0, 41)) for _ in range(2)]
    values = np.concatenate([parts[0], parts[1] + size])[:, None]
    assert bool(describe(values, 0.5).starts) == clear


@pytest.mark.parametrize(("wave", "drifts"), [(0.60, True), (0.95, False)])
def test_a_drift_is_believed_where_a_line_leaves_much_less(wave: float, drifts: bool) -> None:
    # What is beside the line is scatter to it, but not to levels.
    time = np.linspace(0.0, 1.0, COUNT)
    values = (2.0 * time + wave * np.sign(np.sin(2.0 * np.pi * 7.3 * time)))[:, None]
    assert (describe(values, 0.5).drift > 0.0) == drifts
