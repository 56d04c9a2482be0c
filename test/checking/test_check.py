# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.checking.agreement import agreement_at
from calib_all_ros.checking.check import (
    Reference,
    Tolerance,
    check_extrinsics,
    find_reference,
    judge,
)
from calib_all_ros.geometry import se3
from calib_all_ros.recording.recording import FrameList, Recording
from calib_all_ros.results.records import Verdict
from calib_all_ros.robot.description import Robot
from calib_all_ros.settings import RefinementSettings, Settings

QUICK = Settings.from_mapping(
    {
        "frames": {"count": 6, "background_count": 16},
        "search": {"hypotheses": 800, "candidates": 8, "finalists": 2, "attempts": 1},
    }
)


def displaced(
    T_camera_base: np.ndarray, shift_m: list[float], turn_deg: list[float] | None = None
) -> np.ndarray:
    """Shift the camera along the base axes, and turn it about them."""
    turn = se3.from_rotvec(np.radians(turn_deg or [0.0, 0.0, 0.0]), np.zeros(3))
    T_base_camera = se3.invert(T_camera_base)
    return se3.invert(
        se3.make(turn[:3, :3] @ T_base_camera[:3, :3], T_base_camera[:3, 3] + np.array(shift_m))
    )


@pytest.fixture(scope="module")
def truth(simulated_recording: Recording) -> np.ndarray:
    assert simulated_recording.reference_T_camera_base is not None
    return simulated_recording.reference_T_camera_base


@pytest.fixture(scope="module")
def reference(simulated_recording: Recording, demo_robot: Robot, truth: np.ndarray) -> Reference:
    """Found from a pose that is 3 cm and 1 degree off."""
    start = displaced(truth, [0.02, -0.02, 0.01], [0.0, 1.0, 0.0])
    return find_reference(simulated_recording, demo_robot, start, QUICK)


def test_the_true_pose_is_accepted(reference: Reference, truth: np.ndarray) -> None:
    assert not reference.searched and reference.solution.verdict.status == "accepted"
    check = judge(reference, truth)
    assert check.status == "accepted", check.reasons
    assert check.difference.position_mm < 0.5 and check.difference.rotation_deg < 0.05
    assert check.contour_px < 0.1
    assert check.compatibility is not None and check.compatibility.p_value > 0.9
    assert "from the pose that the images ask for" in check.reasons[0]


@pytest.mark.parametrize(
    ("shift_mm", "turn_deg", "status"),
    [
        ([2.0, 0.0, 0.0], [0.0, 0.2, 0.0], "accepted"),
        ([0.0, 6.0, 0.0], [0.0, 0.0, 0.0], "warning"),
        ([0.0, 0.0, 10.0], [0.0, 0.0, 0.0], "rejected"),
        ([30.0, 0.0, 0.0], [0.0, 0.0, 0.0], "rejected"),
        ([0.0, 0.0, 0.0], [1.0, 0.0, 0.0], "rejected"),
    ],
)
def test_known_errors_are_measured(
    reference: Reference,
    truth: np.ndarray,
    shift_mm: list[float],
    turn_deg: list[float],
    status: str,
) -> None:
    check = judge(reference, displaced(truth, [mm / 1e3 for mm in shift_mm], turn_deg))
    assert check.status == status, check.reasons
    np.testing.assert_allclose(1e3 * check.difference.position_base_m, shift_mm, atol=0.5)
    np.testing.assert_allclose(np.degrees(check.difference.rotation_base_rad), turn_deg, atol=0.05)
    if status != "accepted":
        assert check.contour_px > check.best_contour_px + 0.3
    if not any(turn_deg):
        assert check.add_mm == pytest.approx(np.linalg.norm(shift_mm), abs=1.0)


def test_the_tolerance_is_up_to_the_user(reference: Reference, truth: np.ndarray) -> None:
    off = displaced(truth, [0.012, 0.0, 0.0])
    assert judge(reference, off, Tolerance(20.0, 1.0)).status == "accepted"
    assert judge(reference, off, Tolerance(2.0, 1.0)).status == "rejected"


def test_what_the_recording_cannot_tell_is_not_held_against_a_pose(
    reference: Reference, truth: np.ndarray
) -> None:
    uncertainty = reference.solution.diagnosis.uncertainty
    assert uncertainty is not None
    vague = replace(uncertainty, covariance=100.0 * uncertainty.covariance)
    diagnosis = replace(reference.solution.diagnosis, uncertainty=vague)
    solution = replace(reference.solution, diagnosis=diagnosis)
    check = judge(replace(reference, solution=solution), displaced(truth, [0.02, 0.0, 0.0]))
    assert check.status == "warning"
    assert "may be wrong by as much" in check.reasons[0]


def test_a_recording_that_is_rejected_itself_says_nothing(
    reference: Reference, truth: np.ndarray
) -> None:
    verdict = Verdict("rejected", ("the masks are of another robot",))
    bad = replace(reference, solution=replace(reference.solution, verdict=verdict))
    check = judge(bad, truth)
    assert check.status == "cannot say"
    assert "does not allow a judgement" in check.reasons[0]
    assert check.reasons[1] == "the masks are of another robot"
    warned = replace(bad.solution, verdict=Verdict("warning", ("a lag",)))
    assert judge(replace(bad, solution=warned), truth).reasons[1] == "a lag"


# From the first the robot can be seen, from the second it cannot.
@pytest.mark.parametrize(
    ("shift_m", "turn_deg"), [([0.3, -0.3, 0.1], [0.0, 0.0, 0.0]), ([0.0] * 3, [0.0, 0.0, 180.0])]
)
def test_poses_that_are_far_off_are_searched_for(
    simulated_recording: Recording,
    demo_robot: Robot,
    truth: np.ndarray,
    shift_m: list[float],
    turn_deg: list[float],
) -> None:
    heard: list[str] = []
    check = check_extrinsics(
        simulated_recording,
        demo_robot,
        displaced(truth, shift_m, turn_deg),
        QUICK,
        lambda stage, _: heard.append(stage),
    )
    assert check.reference.searched and "search" in heard
    assert check.status == "rejected"
    np.testing.assert_allclose(check.difference.position_base_m, shift_m, atol=0.005)
    assert check.difference.rotation_deg == pytest.approx(np.linalg.norm(turn_deg), abs=0.3)


def test_images_are_enough(
    simulated_recording: Recording, demo_robot: Robot, truth: np.ndarray
) -> None:
    recording = replace(simulated_recording, masks=None)
    off = displaced(truth, [0.03, 0.0, 0.0])
    reference = find_reference(recording, demo_robot, off, QUICK)
    assert not reference.searched
    check = judge(reference, off)
    assert check.status == "rejected"
    assert check.difference.position_mm == pytest.approx(30.0, abs=5.0)
    good = judge(reference, truth)
    assert good.status in ("accepted", "warning"), good.reasons
    assert good.difference.position_mm < 5.0 and good.contour_px < check.contour_px


def test_without_the_robot_in_its_masks_nothing_can_be_said(
    simulated_recording: Recording,
    demo_robot: Robot,
    truth: np.ndarray,
) -> None:
    rng = np.random.default_rng(0)
    noise = FrameList([rng.random((240, 320)) < 0.05 for _ in range(20)])
    check = check_extrinsics(replace(simulated_recording, masks=noise), demo_robot, truth, QUICK)
    assert check.status == "cannot say"


def test_the_pose_stays_and_lag_and_bias_are_found(
    simulated_recording: Recording, demo_robot: Robot, reference: Reference, truth: np.ndarray
) -> None:
    late = replace(
        simulated_recording, image_stamps_ns=simulated_recording.image_stamps_ns + 40_000_000
    )
    problem = find_reference(late, demo_robot, truth, QUICK).problem
    used = np.ones(len(problem.masks), dtype=bool)
    free = agreement_at(problem, truth, used, RefinementSettings())
    assert free.lag_s == pytest.approx(0.04, abs=0.003)
    assert free.mask_bias_px == pytest.approx(0.0, abs=0.2)
    held = agreement_at(problem, truth, used, RefinementSettings(lag=False, mask_bias=False))
    assert held.lag_s == 0.0 and held.mask_bias_px == 0.0
    assert held.median_contour_px(used) > free.median_contour_px(used)
    assert np.isnan(held.median_contour_px(~used))
