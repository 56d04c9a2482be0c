# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calib_all_ros.monitoring.agreement import Belief
from calib_all_ros.monitoring.background import BackgroundFinding
from calib_all_ros.monitoring.outline import OutlineFinding
from calib_all_ros.monitoring.state import MonitorSettings, State
from calib_all_ros.solving.estimate import Estimate

LIMIT_PX = 2.0


@pytest.fixture
def evidence() -> Belief:
    return Belief(MonitorSettings(), LIMIT_PX)


def outline(
    du: float = 0.0,
    dv: float = 0.0,
    *,
    lag_ms: float = 0.0,
    support: float = 0.3,
    gain: float = 2.0,
    stamp_ns: int = 0,
) -> OutlineFinding:
    return OutlineFinding(
        stamp_ns=stamp_ns,
        estimate=Estimate(np.eye(4), lag_ms / 1e3),
        shift_px=float(np.hypot(du, dv)),
        mean_shift_px=np.array([du, dv]),
        distance_m=1.0,
        support=support,
        agreement=0.4,
        agreement_before=0.4 / gain,
    )


def background(shift_px: float | None) -> BackgroundFinding:
    return BackgroundFinding(100, 90, 0.9, shift_px, None)


def in_place(evidence: Belief) -> Belief:
    evidence.update_outline(outline())
    for _ in range(3):
        evidence.update_support(0.3)
    assert evidence.camera is State.OK
    return evidence


def test_nothing_is_believed_at_first(evidence: Belief) -> None:
    assert evidence.camera is State.UNSURE
    assert evidence.visible_share is None
    assert not evidence.background_moves


def test_one_agreement_is_enough_at_first(evidence: Belief) -> None:
    evidence.update_outline(outline(0.5, stamp_ns=7))
    assert evidence.camera is State.OK
    assert evidence.outline is not None and evidence.outline.stamp_ns == 7
    np.testing.assert_array_equal(evidence.known_shift_px, [0.5, 0.0])


def test_displacement_must_be_confirmed(evidence: Belief) -> None:
    in_place(evidence)
    evidence.update_outline(outline(10.0))
    assert evidence.camera is State.OK
    evidence.update_outline(outline(10.5))
    assert evidence.camera is State.MOVED
    np.testing.assert_array_equal(evidence.known_shift_px, [0.0, 0.0])


@pytest.mark.parametrize("second", [outline(-10.0), outline(0.0, 10.0), outline(25.0)])
def test_displacements_that_differ_confirm_nothing(evidence: Belief, second: Any) -> None:
    in_place(evidence)
    evidence.update_outline(outline(10.0))
    evidence.update_outline(second)
    assert evidence.camera is State.OK


@pytest.mark.parametrize(
    "finding",
    [outline(10.0, support=0.05), outline(10.0, support=0.1), outline(10.0, gain=1.05)],
    ids=["no support", "little of what is usual", "no better than before"],
)
def test_unclear_fits_change_nothing(evidence: Belief, finding: OutlineFinding) -> None:
    in_place(evidence)
    for _ in range(4):
        evidence.update_outline(finding)
    assert evidence.camera is State.OK


def test_blurred_images_need_a_larger_displacement(evidence: Belief) -> None:
    in_place(evidence)
    for _ in range(3):
        evidence.update_outline(outline(1.5 * LIMIT_PX), blurred=True)
    assert evidence.camera is State.OK
    for _ in range(2):
        evidence.update_outline(outline(4.0 * LIMIT_PX), blurred=True)
    assert evidence.camera is State.MOVED


def test_alarm_ends_after_confirmation_and_well_below_the_limit(evidence: Belief) -> None:
    for _ in range(2):
        evidence.update_outline(outline(3.0))
    assert evidence.camera is State.MOVED
    for _ in range(4):
        evidence.update_outline(outline(0.9 * LIMIT_PX))
    assert evidence.camera is State.MOVED
    evidence.update_outline(outline(0.1))
    assert evidence.camera is State.MOVED
    evidence.update_outline(outline(0.1))
    assert evidence.camera is State.OK


def test_lag(evidence: Belief) -> None:
    evidence.update_outline(outline(lag_ms=90.0))
    assert evidence.camera is State.UNSURE
    evidence.update_outline(outline(lag_ms=95.0))
    assert evidence.camera is State.OUT_OF_STEP
    # Slow motion does not take it back.
    for _ in range(2):
        evidence.update_outline(outline(lag_ms=90.0, gain=1.0))
    assert evidence.camera is State.OUT_OF_STEP
    evidence.update_outline(outline())
    evidence.update_outline(outline())
    assert evidence.camera is State.OK


def test_small_lag_and_lag_that_makes_no_difference(evidence: Belief) -> None:
    for _ in range(3):
        evidence.update_outline(outline(lag_ms=30.0))
        evidence.update_outline(outline(lag_ms=90.0, gain=1.0))
    assert evidence.camera is State.OK


def test_background_needs_three_images(evidence: Belief) -> None:
    in_place(evidence)
    for count in range(3):
        assert evidence.camera is State.OK
        evidence.update_background(background(9.0 + 0.1 * count), 9.0)
        evidence.update_support(0.0)
        assert evidence.background_moves
    assert evidence.camera is State.MOVED and evidence.background_moved
    # Nothing is known from where the camera stands now.
    assert evidence.outline is None


@pytest.mark.parametrize(
    "shifts",
    [(9.0, None, 9.0), (9.0, 3.0, 9.0), (1.9, 1.9, 1.9), (9.0, 9.0, 0.0)],
    ids=["not seen between", "not steady", "below the limit", "back again"],
)
def test_background_that_does_not_suffice(evidence: Belief, shifts: Any) -> None:
    in_place(evidence)
    for shift in shifts:
        evidence.update_background(background(shift), shift or 0.0)
        evidence.update_support(0.0)
    assert evidence.camera is State.OK


def test_background_that_comes_back(evidence: Belief) -> None:
    in_place(evidence)
    for shift in (9.0, 9.0, 9.0):
        evidence.update_support(0.0)
        evidence.update_background(background(shift), shift)
    assert evidence.camera is State.MOVED
    for shift in (0.2, 0.2, 0.2):
        evidence.update_background(background(shift), shift)
    assert evidence.camera is State.OK and not evidence.background_moved


def test_outline_refutes_a_background_that_moved_by_itself(evidence: Belief) -> None:
    in_place(evidence)
    for _ in range(3):
        evidence.update_background(background(9.0), 9.0)
        evidence.update_support(0.3)
    assert evidence.camera is State.OK
    assert evidence.background_refuted and not evidence.background_moved
    evidence.background_renewed()
    assert not evidence.background_refuted and not evidence.background_moves


def test_later_fits_refute_it_too(evidence: Belief) -> None:
    in_place(evidence)
    for _ in range(3):
        evidence.update_support(0.0)
        evidence.update_background(background(9.0), 9.0)
    assert evidence.camera is State.MOVED
    for _ in range(2):
        evidence.update_outline(outline(0.3))
    assert evidence.camera is State.OK and evidence.background_refuted


def test_camera_that_turned_about_the_robot_stays_moved(evidence: Belief) -> None:
    """The background says that the robot's outline is hardly displaced: no contradiction."""
    in_place(evidence)
    for _ in range(3):
        evidence.update_support(0.3)
        evidence.update_background(background(9.0), 0.5)
    for _ in range(4):
        evidence.update_outline(outline(0.3))
    assert evidence.camera is State.MOVED and not evidence.background_refuted


def test_visible_share(evidence: Belief) -> None:
    in_place(evidence)
    assert evidence.visible_share == pytest.approx(1.0)
    for _ in range(2):
        evidence.update_support(0.15)
    assert evidence.visible_share == pytest.approx(0.5, rel=0.05)


def test_what_is_usual_follows_slowly(evidence: Belief) -> None:
    in_place(evidence)
    for _ in range(20):
        evidence.update_support(0.15)
    assert evidence.visible_share < 0.6
    for _ in range(1000):
        evidence.update_support(0.15, in_motion=False)
    assert evidence.visible_share < 0.6
    for _ in range(1000):
        evidence.update_support(0.15)
    assert evidence.visible_share > 0.95
