# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.geometry import se3
from calib_all_ros.solving.start_agreement import (
    StartAgreement,
    start_agreement,
    view_separation,
)

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
