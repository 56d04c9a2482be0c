# SPDX-License-Identifier: Apache-2.0
"""The descent on the mask loss."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry import se3
from calib_all_ros.solving.adam import AdamSettings, fit_adam
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem


def test_descent_finds_the_camera_from_nearby(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]
) -> None:
    start = Estimate(pillar_truth).moved(
        np.array([0.03, -0.02, 0.03, 0.02, -0.02, 0.03]), np.array(pillar_truth[:3, 3])
    )
    fit = fit_adam(pillar_problem, start, AdamSettings(steps=400, learning_rate=1e-3))
    degrees, metres = se3.difference(fit.estimate.T_camera_base, pillar_truth)
    start_degrees, start_metres = se3.difference(start.T_camera_base, pillar_truth)
    assert degrees < 0.1 * start_degrees
    assert metres < 0.1 * start_metres
    assert fit.iou.min() > 0.99
    assert fit.loss[fit.best_step] == fit.loss.min()


def test_best_iterate_is_kept(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]
) -> None:
    """From the truth, large steps only lead away."""
    fit = fit_adam(
        pillar_problem, Estimate(pillar_truth), AdamSettings(steps=5, learning_rate=0.05)
    )
    assert fit.best_step == 0
    assert fit.estimate.T_camera_base == pytest.approx(pillar_truth)


def test_a_single_frame_is_enough(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]
) -> None:
    start = Estimate(pillar_truth).moved(np.full(6, 0.02), pillar_truth[:3, 3])
    single = pillar_problem.subset(np.array([1]))
    fit = fit_adam(single, start, AdamSettings(steps=300, learning_rate=1e-3))
    assert fit.iou.shape == (1,) and fit.iou[0] > 0.99
    assert fit.loss[fit.best_step] < 0.05 * fit.loss[0]


def test_weight_decay_makes_rotation_vector_and_translation_smaller(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]
) -> None:
    """So strong that the masks do not matter; by Adam's rule each parameter moves as far."""
    settings = AdamSettings(steps=30, learning_rate=1e-3, weight_decay=1e9)
    start = Estimate(pillar_truth)
    fit = fit_adam(pillar_problem, start, settings)

    def size(estimate: Estimate) -> float:
        T = estimate.T_camera_base
        turn = Rotation.from_matrix(T[:3, :3]).as_rotvec()
        return float(turn @ turn + T[:3, 3] @ T[:3, 3])

    sizes = [size(estimate) for estimate, _ in fit.trace]
    assert (np.diff(sizes) < 0).all()


def test_weight_decay_of_the_published_code_hardly_matters(
    pillar_problem: SilhouetteProblem, pillar_truth: NDArray[np.float64]
) -> None:
    start = Estimate(pillar_truth).moved(np.full(6, 0.01), pillar_truth[:3, 3])
    without, published = (
        fit_adam(
            pillar_problem, start, AdamSettings(steps=40, learning_rate=1e-3, weight_decay=decay)
        )
        for decay in (0.0, 1e-6)
    )
    degrees, metres = se3.difference(
        without.estimate.T_camera_base, published.estimate.T_camera_base
    )
    assert 0 < metres < 1e-5 and degrees < 1e-3
