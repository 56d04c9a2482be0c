# SPDX-License-Identifier: Apache-2.0
"""Hypotheses on measurements whose fault is known."""

from __future__ import annotations

import numpy as np
import pytest

from calib_all_ros.quality.hypotheses import HypothesisTest, examine_hypotheses
from calib_all_ros.solving.frame_systems import (
    FIRST_JOINT,
    FOCAL_SCALE,
    LAG,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
    FrameSystems,
)

FRAMES, PER_FRAME, JOINTS, WIDTH = 16, 60, 3, 640
COLUMNS = FIRST_JOINT + 4 * JOINTS
FITTED = np.arange(8)
MOVING = np.arange(JOINTS)
# Typical sizes of the derivatives, px per unit.
SIZES = np.concatenate(
    [np.full(6, 400.0), [60.0, 1.0, 150.0, 1.0, 1.0, 30.0], np.full(JOINTS, 300.0),
     np.full(3 * JOINTS, 400.0)]
)  # fmt: skip


def measured(truth: dict[int, float], seed: int = 0, drift: float = 0.0) -> FrameSystems:
    """Measurements that are off by what ``truth`` says of some parameters."""
    rng = np.random.default_rng(seed)
    J = rng.normal(size=(FRAMES, PER_FRAME, COLUMNS)) * SIZES
    departure = np.zeros((FRAMES, COLUMNS))
    for column, value in truth.items():
        departure[:, column] = value
    departure[:, LAG] += drift * (np.arange(FRAMES) - (FRAMES - 1) / 2)
    r = -np.einsum("fkp,fp->fk", J, departure) + rng.normal(0.0, 0.3, (FRAMES, PER_FRAME))
    return FrameSystems(
        H=np.einsum("fkp,fkq->fpq", J, J),
        g=np.einsum("fkp,fk->fp", J, r),
        cost=(r**2).sum(axis=1),
        weight=np.full(FRAMES, float(PER_FRAME)),
        frame=np.arange(FRAMES, dtype=np.int32),
        link=np.full(FRAMES, -1, np.int32),
        centre=np.array([0.0, 0.0, 1.5]),
        stamps_s=np.arange(FRAMES, dtype=float),
    )


def best(systems: FrameSystems) -> HypothesisTest:
    tests = examine_hypotheses(systems, FITTED, np.eye(4), WIDTH, MOVING)
    return max(tests, key=lambda test: test.gain)


@pytest.mark.parametrize(
    ("column", "value", "name", "subject"),
    [
        (FOCAL_SCALE, 0.02, "focal", -1),
        (PRINCIPAL_POINT[0], 4.0, "principal_point", -1),
        (RADIAL_DISTORTION, -0.1, "distortion", -1),
        (FIRST_JOINT + 1, 0.02, "joint", 1),
        (FIRST_JOINT + JOINTS + 6, 0.01, "origin", 2),
    ],
)
def test_the_fault_explains_most(column: int, value: float, name: str, subject: int) -> None:
    found = best(measured({column: value}))
    assert (found.name, found.subject) == (name, subject)
    assert found.gain > 0.5 and found.significance > 6.0
    assert np.abs(found.value).max() == pytest.approx(abs(value), rel=0.1)


def test_a_lag_that_grows() -> None:
    found = best(measured({}, drift=0.01))
    assert found.name == "lag_drift" and found.value[0] == pytest.approx(0.01, rel=0.1)


def test_noise_supports_nothing() -> None:
    for seed in range(5):
        tests = examine_hypotheses(measured({}, seed), FITTED, np.eye(4), WIDTH, MOVING)
        assert {"focal", "distortion", "joint", "pose_step"} <= {test.name for test in tests}
        assert max(test.gain for test in tests) < 0.02


def test_what_was_fitted_is_not_asked_again() -> None:
    fitted = np.append(FITTED, FOCAL_SCALE)
    tests = examine_hypotheses(measured({}), fitted, np.eye(4), WIDTH, MOVING)
    assert "focal" not in [test.name for test in tests]


def test_too_few_images_support_no_hypothesis() -> None:
    systems = measured({FOCAL_SCALE: 0.05})
    few = FrameSystems(
        systems.H[:3], systems.g[:3], systems.cost[:3], systems.weight[:3], systems.frame[:3],
        systems.link[:3], systems.centre, systems.stamps_s[:3],
    )  # fmt: skip
    assert examine_hypotheses(few, FITTED, np.eye(4), WIDTH, MOVING) == []
