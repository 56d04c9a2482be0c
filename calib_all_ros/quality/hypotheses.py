# SPDX-License-Identifier: Apache-2.0
"""What else could be wrong, judged by what the residuals would gain if it were corrected.

Each hypothesis frees parameters beside those of the fit. It counts when it predicts images that
it was not fitted to better than the fit does (cross-validation over the images), and when its
parameters differ from nothing by several of their standard deviations (jackknife over the
images). What it would do to the pose tells how much it matters.

Agreement of a pose with its own silhouettes is blind to a wrong focal length, because the
distance makes up for it. The hypotheses are not: a parameter that only rescales one image cannot
fit near and far parts of the robot, or another image with the robot at another depth, at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.quality.pose_changes import PoseChange, pose_change
from calib_all_ros.solving.estimate import POSE_SIZE
from calib_all_ros.solving.frame_systems import (
    FIRST_JOINT,
    FOCAL_SCALE,
    LAG,
    MASK_BIAS,
    PRINCIPAL_POINT,
    RADIAL_DISTORTION,
    FrameSystems,
)
from calib_all_ros.solving.gauss_newton import CORRELATED_PIXELS

FOLDS = 4
MIN_IMAGES = 4
# Wide on purpose: what is asked is what the images say.
LAG_SIGMA_S = 0.3
BIAS_SIGMA_PX = 3.0
FOCAL_SIGMA = 0.2
POINT_SIGMA_SHARE = 0.1
DISTORTION_SIGMA = 0.3
JOINT_SIGMA = 0.3
DRIFT_SIGMA = 0.3
STEP_SIGMA = 0.2
ORIGIN_SIGMA_M = 0.1


@dataclass(frozen=True)
class HypothesisTest:
    """What freeing further parameters would change.

    Attributes:
        name: "focal", "principal_point", "distortion", "joint", "origin", "lag_drift" or
            "pose_step".
        subject: The joint's index (the one whose origin sits elsewhere, for "origin"), or the
            number of the first image after a step; else -1.
        value: (Q,) the parameters: a factor less one; pixels; k1; rad or m; s/s; rad and m.
        sigma: (Q,) their standard deviations.
        gain: By which share the squared residuals of held-out images fall; negative where they
            grow.
        change: By how much the camera would be elsewhere.
    """

    name: str
    subject: int
    value: NDArray[np.float64]
    sigma: NDArray[np.float64]
    gain: float
    change: PoseChange

    @property
    def significance(self) -> float:
        """The largest parameter over its standard deviation."""
        return float(np.max(np.abs(self.value) / np.maximum(self.sigma, 1e-12)))


@dataclass(frozen=True)
class _Design:
    """Freed parameters as factors on the columns of `FrameSystems`, group by group."""

    factors: NDArray[np.float64]
    sigma: NDArray[np.float64]


def examine_hypotheses(
    systems: FrameSystems,
    fitted: NDArray[np.intp],
    T_camera_base: NDArray[np.float64],
    image_width_px: int,
    moving_joints: NDArray[np.intp],
) -> list[HypothesisTest]:
    """Test all hypotheses.

    Args:
        systems: The measurements of each image, at the result.
        fitted: The parameters that the fit estimated (`estimated_columns`).
        T_camera_base: The result.
        image_width_px: Width of the images.
        moving_joints: Joints whose offsets can show.

    Returns:
        One test each; none where there are too few images.
    """
    if len(np.unique(systems.frame)) < MIN_IMAGES:
        return []
    base = _base_design(systems, fitted)
    tests = []

    def test(name: str, subject: int, extra: _Design) -> None:
        outcome = _compare(systems, base, extra)
        if outcome is None:
            return
        value, sigma, gain, twist = outcome
        change = pose_change(twist, T_camera_base, systems.centre)
        tests.append(HypothesisTest(name, subject, value, sigma, gain, change))

    free = set(fitted.tolist())
    if FOCAL_SCALE not in free:
        test("focal", -1, _constant(systems, [FOCAL_SCALE], [FOCAL_SIGMA]))
    point = [POINT_SIGMA_SHARE * image_width_px] * 2
    test("principal_point", -1, _constant(systems, list(PRINCIPAL_POINT), point))
    test("distortion", -1, _constant(systems, [RADIAL_DISTORTION], [DISTORTION_SIGMA]))
    for joint in moving_joints:
        column = FIRST_JOINT + int(joint)
        if column not in free:
            test("joint", int(joint), _constant(systems, [column], [JOINT_SIGMA]))
        origin = systems.origin_columns(int(joint))
        test("origin", int(joint), _constant(systems, origin, [ORIGIN_SIGMA_M] * 3))
    if len(systems) >= 2 * MIN_IMAGES:
        test("lag_drift", -1, _drift(systems))
        images = np.unique(systems.frame)
        for first in images[2:-1]:
            test("pose_step", int(first), _step(systems, int(first)))
    return tests


def prior_sigmas(parameters: int) -> NDArray[np.float64]:
    """Return the (P,) standard deviations that regularise the tests; the pose is free."""
    sigma = np.full(parameters, JOINT_SIGMA)
    sigma[:POSE_SIZE] = 10.0
    sigma[LAG] = LAG_SIGMA_S
    sigma[MASK_BIAS] = BIAS_SIGMA_PX
    sigma[FOCAL_SCALE] = FOCAL_SIGMA
    sigma[list(PRINCIPAL_POINT)] = 50.0
    sigma[RADIAL_DISTORTION] = DISTORTION_SIGMA
    sigma[FIRST_JOINT + (parameters - FIRST_JOINT) // 4 :] = ORIGIN_SIGMA_M
    return sigma


def _base_design(systems: FrameSystems, fitted: NDArray[np.intp]) -> _Design:
    sigmas = prior_sigmas(systems.H.shape[1])
    return _constant(systems, list(fitted), sigmas[fitted].tolist())


def _constant(systems: FrameSystems, columns: list[int], sigma: list[float]) -> _Design:
    factors = np.zeros((len(systems), systems.H.shape[1], len(columns)))
    factors[:, columns, np.arange(len(columns))] = 1.0
    return _Design(factors, np.array(sigma))


def _drift(systems: FrameSystems) -> _Design:
    """A lag that grows with time."""
    times = systems.stamps_s[systems.frame]
    factors = np.zeros((len(systems), systems.H.shape[1], 1))
    factors[:, LAG, 0] = times - times.mean()
    return _Design(factors, np.array([DRIFT_SIGMA]))


def _step(systems: FrameSystems, first: int) -> _Design:
    """Another pose from an image on."""
    factors = np.zeros((len(systems), systems.H.shape[1], POSE_SIZE))
    after = systems.frame >= first
    factors[:, np.arange(POSE_SIZE), np.arange(POSE_SIZE)] = after[:, None]
    return _Design(factors, np.full(POSE_SIZE, STEP_SIGMA))


def _compare(
    systems: FrameSystems, base: _Design, extra: _Design
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, NDArray[np.float64]] | None:
    """Return value, sigma, held-out gain, and the (6,) twist that the pose would make."""
    size = base.factors.shape[2]
    both = _Design(
        np.concatenate([base.factors, extra.factors], axis=2),
        np.concatenate([base.sigma, extra.sigma]),
    )
    everything = np.ones(len(systems), dtype=bool)
    try:
        alone = _solve(systems, base, everything)
        solution = _solve(systems, both, everything)
        images = np.unique(systems.frame)
        left_out = np.stack([_solve(systems, both, systems.frame != i)[size:] for i in images])
        cost_alone = cost_both = 0.0
        for fold in range(FOLDS):
            held = np.isin(systems.frame, images[fold::FOLDS])
            cost_alone += _cost(systems, base, _solve(systems, base, ~held), held)
            cost_both += _cost(systems, both, _solve(systems, both, ~held), held)
    except np.linalg.LinAlgError:
        return None
    count = len(images)
    scatter = left_out - left_out.mean(axis=0)
    sigma = np.sqrt((count - 1) / count * (scatter**2).sum(axis=0))
    gain = 1.0 - cost_both / cost_alone if cost_alone > 0.0 else 0.0
    twist = solution[:POSE_SIZE] - alone[:POSE_SIZE]
    return solution[size:], sigma, float(gain), twist


def _solve(
    systems: FrameSystems, design: _Design, chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    S, H = design.factors[chosen], systems.H[chosen]
    A = np.einsum("gpq,gpr,grs->qs", S, H, S, optimize=True)
    b = np.einsum("gpq,gp->q", S, systems.g[chosen])
    noise = systems.variance_px2 * CORRELATED_PIXELS
    A[np.diag_indices_from(A)] += noise / design.sigma**2
    return np.asarray(-np.linalg.solve(A, b))


def _cost(
    systems: FrameSystems,
    design: _Design,
    solution: NDArray[np.float64],
    chosen: NDArray[np.bool_],
) -> float:
    delta = design.factors[chosen] @ solution
    quadratic = np.einsum("gp,gpr,gr->", delta, systems.H[chosen], delta, optimize=True)
    linear = 2.0 * np.einsum("gp,gp->", delta, systems.g[chosen])
    return float(systems.cost[chosen].sum() + linear + quadratic)
