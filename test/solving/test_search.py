# SPDX-License-Identifier: Apache-2.0
"""Searches on a simulated recording; few hypotheses, since the place of the camera is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import SearchEffort
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.search import (
    Candidate,
    StartAgreement,
    search_change,
    search_masks,
    start_agreement,
    view_separation,
)
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

CENTRE = np.array([0.3, 0.0, 0.4])
VIEW = se3.from_rotvec(np.array([1.2, -0.4, 0.3]), np.array([0.1, 0.2, 1.5]))
NEAR = se3.from_rotvec(np.array([0.0, 0.02, 0.0]), np.zeros(3)) @ VIEW
OTHER = se3.from_rotvec(np.array([0.0, 0.9, 0.0]), np.array([-1.0, 0.0, 0.4])) @ VIEW


def test_separation_is_one_for_twenty_degrees_or_fifteen_per_cent() -> None:
    seen = se3.transform(VIEW, CENTRE[None])[0]
    turn = se3.from_rotvec(np.array([0.0, np.radians(20), 0.0]), np.zeros(3))
    about_robot = turn.copy()
    about_robot[:3, 3] = seen - turn[:3, :3] @ seen
    assert view_separation(VIEW, about_robot @ VIEW, CENTRE) == pytest.approx(1.0)
    farther = VIEW.copy()
    farther[:3, 3] += 0.15 * seen
    assert view_separation(VIEW, farther, CENTRE) == pytest.approx(1.0)


def test_starts_that_end_in_one_place_agree() -> None:
    found = start_agreement([VIEW, NEAR, OTHER], [0.95, 0.94, 0.5], CENTRE)
    assert (found.tried, found.agreeing) == (3, 2)
    assert found.rival == pytest.approx(0.5 / 0.95)


def test_a_start_that_failed_nearby_does_not_agree() -> None:
    assert start_agreement([VIEW, NEAR], [0.95, 0.6], CENTRE) == StartAgreement(2, 1, 0.0)


def test_rounds_are_joined() -> None:
    joined = StartAgreement(3, 2, 0.4).joined(StartAgreement(2, 1, 0.7))
    assert joined == StartAgreement(5, 3, 0.7)


FRAMES = np.array([0, 4, 9, 14, 19])
SMALL = SearchEffort(hypotheses=1500, candidates=10, finalists=2)


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


def check_order(candidates: list[Candidate], count: int) -> None:
    scores = [candidate.score for candidate in candidates]
    assert 1 <= len(scores) <= count
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_masks_lead_to_the_camera(
    problem: SilhouetteProblem, simulated: SimulatedRecording
) -> None:
    shares: list[float] = []
    found, agreement = search_masks(
        problem, SMALL, seed=1, on_progress=lambda _, share: shares.append(share)
    )
    assert agreement.tried >= agreement.agreeing >= 2
    check_order(found, 2)
    angle_deg, distance_m = se3.difference(found[0].T_camera_base, simulated.T_camera_base)
    assert angle_deg < 3.0 and distance_m < 0.08
    assert found[0].score > 0.85
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_the_same_seed_gives_the_same_candidates(problem: SilhouetteProblem) -> None:
    tiny = SearchEffort(hypotheses=60, candidates=2, finalists=1)
    first, second = (search_masks(problem, tiny, seed=3)[0] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.T_camera_base, b.T_camera_base)


def test_empty_masks_are_no_crash(problem: SilhouetteProblem) -> None:
    empty = replace(problem, masks=np.zeros_like(problem.masks))
    found, _ = search_masks(empty, SearchEffort(hypotheses=30, candidates=2, finalists=1))
    assert np.isfinite(found[0].T_camera_base).all()


def test_change_leads_near_the_camera(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> None:
    frames = np.array([0, 3, 6, 9, 12, 15, 17, 19])
    settings = SearchEffort(hypotheses=2500, candidates=16, finalists=2)
    found, agreement = search_change(
        simulated.images[frames],
        demo_robot.surface,
        simulated_motion.subset(frames),
        simulated.camera,
        settings,
    )
    check_order(found, 2)
    assert agreement.tried == 6 and agreement.agreeing >= 1
    errors = [se3.difference(c.T_camera_base, simulated.T_camera_base) for c in found]
    assert min(angle for angle, _ in errors) < 10.0
    assert min(distance for _, distance in errors) < 0.25
