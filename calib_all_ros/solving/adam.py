# SPDX-License-Identifier: Apache-2.0
"""Gradient descent of silhouettes on the squared mask loss: the refinement of CalibAll.

The paper (section 3.3, as EasyHeC before it) renders the robot with nvdiffrast and runs Adam for
10,000 iterations. It serves as the yardstick for `silhouette_fit`, and as the answer to "what would
the paper's method have said?". Three things differ from the published code: all frames are fitted
together, the parameters are a twist about the robot instead of the logarithm of the pose, in which
rotation and translation hang together, and the best iterate is kept instead of the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.progress import Progress, silent
from calib_all_ros.rendering.nvdiffrast import Nvdiffrast
from calib_all_ros.settings import AdamSettings
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
from calib_all_ros.solving.mask_loss import MaskObjective, NvdiffrastMaskLoss, RasterisedMaskLoss
from calib_all_ros.solving.mask_measurements import intersection_over_union
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem

__all__ = ["AdamFit", "AdamSettings", "fit_adam"]

# Decay of the mean gradient and of the mean squared gradient (Kingma and Ba 2015).
BETA1, BETA2 = 0.9, 0.999
# Keeps the division finite; the loss is a mean over pixels.
EPSILON = 1e-12
DETAIL_M = 0.001
# Of a long descent so many estimates are kept.
TRACED_STEPS = 200
# How far the refinement is once the descent is done.
DESCENT_SHARE = 0.6


@dataclass(frozen=True)
class AdamFit:
    """The outcome.

    Attributes:
        estimate: The iterate with the smallest loss.
        loss: (steps + 1,) mean squared difference of the masks at every iterate.
        best_step: Index of the iterate that was kept.
        iou: (N,) overlap of rendered and observed silhouettes.
        trace: Some of the estimates on the way, and their losses.
    """

    estimate: Estimate
    loss: NDArray[np.float64]
    best_step: int
    iou: NDArray[np.float64]
    trace: tuple[tuple[Estimate, float], ...]


def fit_adam(
    problem: SilhouetteProblem,
    start: Estimate,
    settings: AdamSettings = AdamSettings(),  # noqa: B008
    on_progress: Progress = silent,
) -> AdamFit:
    """Fit the camera pose to masks by Adam; the best iterate is kept, not the last.

    Args:
        problem: The masks and the robot; drawn by nvdiffrast, the descent runs on its GPU.
        start: Where to start; its nuisances stay as they are.
        settings: Settings of the descent.
        on_progress: Called with "refine" and the share of the whole refinement that is done.
    """
    objective = _objective(problem, start)
    centre = _centre(problem, start)
    estimate = best = start
    losses = np.empty(settings.steps + 1)
    best_step = 0
    trace = []
    every = -(-settings.steps // TRACED_STEPS)
    mean = np.zeros(POSE_SIZE)
    square = np.zeros(POSE_SIZE)
    # The published loss is a sum over the pixels of an image.
    decay = settings.weight_decay / problem.masks[0].size
    for step in range(settings.steps + 1):
        loss = objective.evaluate(estimate.T_camera_base, centre)
        losses[step] = loss.value
        if loss.value < losses[best_step]:
            best, best_step = estimate, step
        if step % every == 0:
            trace.append((estimate, loss.value))
            on_progress("refine", DESCENT_SHARE * step / settings.steps)
        gradient = loss.gradient
        if decay:
            gradient = gradient + decay * _pull_of_size(estimate.T_camera_base, centre)
        mean += (1.0 - BETA1) * (gradient - mean)
        square += (1.0 - BETA2) * (gradient**2 - square)
        unbiased_mean = mean / (1.0 - BETA1 ** (step + 1))
        unbiased_square = square / (1.0 - BETA2 ** (step + 1))
        move = unbiased_mean / (np.sqrt(unbiased_square) + EPSILON)
        # The twist is taken about a fixed point that moves with the robot.
        twist = -settings.learning_rate * move
        estimate = estimate.moved(twist, centre)
        centre = centre + twist[3:]
    T = best.T_camera_base @ best.link_poses(problem.motion)
    links, _ = problem.renderer(problem.surface, T, best.camera(problem.camera), want_depth=False)
    return AdamFit(
        estimate=best,
        loss=losses,
        best_step=best_step,
        iou=intersection_over_union(links >= 0, problem.masks, problem.ignore),
        trace=tuple(trace),
    )


def _objective(problem: SilhouetteProblem, start: Estimate) -> MaskObjective:
    if isinstance(problem.renderer, Nvdiffrast):
        return NvdiffrastMaskLoss(problem, start, problem.renderer, DETAIL_M)
    return RasterisedMaskLoss(problem, start, DETAIL_M)


def _centre(problem: SilhouetteProblem, estimate: Estimate) -> NDArray[np.float64]:
    """Return the (3,) mean position of the links, optical frame: what a twist turns about."""
    T_base_link = estimate.link_poses(problem.motion)
    seen = np.unique(problem.surface.simplified(DETAIL_M).link_of_vertex)
    middle = T_base_link[:, seen, :3, 3].mean(axis=(0, 1))
    T = estimate.T_camera_base
    return np.asarray(T[:3, :3] @ middle + T[:3, 3])


def _pull_of_size(
    T_camera_base: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how half the squared size of a pose grows with the twist of `Estimate.moved`.

    The size is that of rotation vector and translation together; a small rotation before a large
    one changes the length of its vector by the component along it.
    """
    turn = Rotation.from_matrix(T_camera_base[:3, :3]).as_rotvec()
    shift = T_camera_base[:3, 3]
    return np.concatenate([turn - np.cross(centre, shift), shift])
