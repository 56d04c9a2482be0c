# SPDX-License-Identifier: Apache-2.0
"""Hypotheses on measurements whose fault is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calib_all_ros.diagnosis.hypotheses import (
    HypothesisTest,
    examine_hypotheses,
    hypothesis_findings,
)
from calib_all_ros.diagnosis.verdict import VerdictLimits
from calib_all_ros.results.records import Finding
from calib_all_ros.solving.estimate import (
    FIRST_JOINT,
    FOCAL_SCALE,
    LAG,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
)
from calib_all_ros.solving.frame_systems import FrameSystems
from calib_all_ros.solving.normal_equations import NormalEquations
from calib_all_ros.solving.pose_errors import PoseChange

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
    group = np.repeat(np.arange(FRAMES), PER_FRAME)
    sums = NormalEquations.of(
        J.reshape(len(group), -1), r.reshape(-1), np.ones(len(group)), group, FRAMES
    )
    return FrameSystems(
        **vars(sums),
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
    few = replace(
        systems, H=systems.H[:3], g=systems.g[:3], cost=systems.cost[:3],
        weight=systems.weight[:3], frame=systems.frame[:3],
    )  # fmt: skip
    assert examine_hypotheses(few, FITTED, np.eye(4), WIDTH, MOVING) == []


JOINT_NAMES = ("shoulder", "elbow", "wrist")
NUMBERS = np.array([0, 3, 7, 12, 20])
STAMPS_S = np.array([0.0, 1.0, 2.5, 4.0, 6.0])
LIMITS = VerdictLimits()


def outcome(
    name: str,
    value: tuple[float, ...],
    gain: float = 0.2,
    subject: int = -1,
    change: PoseChange = PoseChange(30.0, 0.2),  # noqa: B008
    sigma: float = 1e-4,
) -> HypothesisTest:
    return HypothesisTest(name, subject, np.array(value), np.full(len(value), sigma), gain, change)


def findings(
    *tests: HypothesisTest, misfit: bool = False, from_edges: bool = False
) -> list[Finding]:
    return hypothesis_findings(
        tests, JOINT_NAMES, NUMBERS, STAMPS_S, LIMITS, misfit=misfit, from_edges=from_edges
    )


@pytest.mark.parametrize(
    ("test", "cause", "words"),
    [
        (outcome("focal", (0.034,)), "wrong_intrinsics", "3.4 % longer"),
        (outcome("focal", (-0.02,)), "wrong_intrinsics", "2.0 % shorter"),
        (outcome("principal_point", (7.2, -12.0)), "wrong_intrinsics", "+7, -12 px"),
        (outcome("distortion", (-0.12,)), "wrong_intrinsics", "k1 about -0.120"),
        (outcome("joint", (0.021,), subject=1), "wrong_robot_model", "'elbow' being +0.021"),
        (outcome("origin", (0.03, 0.04, 0), subject=2), "wrong_robot_model", "'wrist' sitting 50"),
        (outcome("lag_drift", (0.012,)), "images_late", "+12.0 ms a second"),
        (outcome("pose_step", (0.02,) * 6, 0.5, 2), "camera_moved", "from image 7 on (2.5 s"),
    ],
)
def test_each_hypothesis_has_its_words(test: HypothesisTest, cause: str, words: str) -> None:
    (found,) = findings(test)
    assert found.cause == cause and words in found.evidence
    assert "by 30 mm and 0.2 deg" in found.evidence and found.advice


def test_a_step_is_cut_off_at_its_shorter_side() -> None:
    early, late = (findings(outcome("pose_step", (0.1,) * 6, 0.5, i))[0] for i in (1, 3))
    assert "--start 1.0" in early.advice and "--end 4.0" in late.advice


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        (PoseChange(LIMITS.rejected_change_mm + 1, 0.0), "rejected"),
        (PoseChange(0.0, LIMITS.rejected_change_deg + 0.1), "rejected"),
        (PoseChange(LIMITS.warning_change_mm + 1, 0.0), "warning"),
        (PoseChange(0.0, LIMITS.warning_change_deg + 0.1), "warning"),
    ],
)
def test_what_it_does_to_the_pose_decides(change: PoseChange, severity: str) -> None:
    assert findings(outcome("focal", (0.01,), change=change))[0].severity == severity


def test_what_hardly_moves_the_camera_is_not_held_against_it() -> None:
    assert findings(outcome("focal", (0.01,), change=PoseChange(1.0, 0.1))) == []
    (noted,) = findings(outcome("lag_drift", (0.01,), 0.6, change=PoseChange(1.0, 0.1)))
    assert noted.severity == "note"


def test_what_the_images_do_not_support_does_not_count() -> None:
    assert findings(outcome("joint", (0.03,), LIMITS.hypothesis_gain / 2, 1)) == []
    assert findings(outcome("joint", (0.03,), subject=1, sigma=0.0075)) == []
    assert findings(outcome("joint", (0.03,), 0.5, 1, sigma=0.0075))
    assert findings(outcome("focal", (0.03,), sigma=0.03)) == []


def test_a_focal_length_that_may_be_wrong_is_told_early() -> None:
    """Nothing else shows it, and the camera's distance changes with it."""
    assert findings(outcome("focal", (0.03,), sigma=0.012))[0].severity == "warning"
    assert findings(outcome("focal", (0.03,), sigma=0.003))[0].severity == "rejected"
    assert findings(outcome("focal", (0.03,), 0.015, sigma=0.003))[0].severity == "warning"
    assert findings(outcome("focal", (0.03,), 0.015, sigma=0.01)) == []


def test_edges_do_not_tell_small_errors_of_the_focal_length() -> None:
    """They read right ones wrong by as much."""
    small, large = outcome("focal", (0.013,)), outcome("focal", (0.017,))
    assert findings(small)[0].cause == "wrong_intrinsics"
    assert findings(small, from_edges=True) == []
    assert findings(large, from_edges=True)[0].cause == "wrong_intrinsics"


def test_what_a_wrong_parameter_draws_along_is_left_out() -> None:
    found = findings(outcome("joint", (0.03,), 0.1, 1), outcome("focal", (0.03,), 0.4))
    assert [finding.cause for finding in found] == ["wrong_intrinsics"]


def test_where_nothing_fits_small_corrections_mean_nothing() -> None:
    assert findings(outcome("focal", (0.03,), 0.1), misfit=True) == []
    assert findings(outcome("focal", (0.03,), 0.6), misfit=True)
