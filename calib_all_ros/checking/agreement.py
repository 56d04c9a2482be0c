# SPDX-License-Identifier: Apache-2.0
"""Agreement of a given camera pose with images; nothing of the pose is changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.settings import RefinementSettings
from calib_all_ros.solving.estimate import POSE_SIZE, Estimate
from calib_all_ros.solving.gauss_newton import Parameters, step
from calib_all_ros.solving.mask_measurements import (
    measure_backward,
    measure_forward,
    outline_share,
    prepare_targets,
)
from calib_all_ros.solving.silhouette_fit import SilhouetteProblem, evaluate

# An outline runs along the mask's where it is this close.
TOLERANCE_PX = 2.0
_SCALE = 0.5
_DETAIL_M = 0.003
_STEPS = 6
# The pose may be far off: the kernel follows the residuals, within these pixels of the image.
_KERNEL_PX = (3.0, 60.0)
_STOP_S, _STOP_PX = 1e-4, 0.01


@dataclass(frozen=True, eq=False)
class Agreement:
    """How the robot, drawn at a pose, agrees with M images.

    Attributes:
        lag_s: How much later than their light the images were stamped, were this the pose.
        mask_bias_px: How far the seen outline lies outside the true one, were this the pose.
        iou: (M,) overlap of drawn and seen robot.
        contour_px: (M,) median distance of the two outlines, NaN where nothing could be measured.
        outline_share: (M,) share of the drawn outline that runs along the seen one.
    """

    lag_s: float
    mask_bias_px: float
    iou: NDArray[np.float64]
    contour_px: NDArray[np.float64]
    outline_share: NDArray[np.float64]

    def median_contour_px(self, used: NDArray[np.bool_]) -> float:
        """Median over some of the images, NaN where nothing could be measured."""
        measured = self.contour_px[used & np.isfinite(self.contour_px)]
        return float(np.median(measured)) if len(measured) else float("nan")


def agreement_at(
    problem: SilhouetteProblem,
    T_camera_base: NDArray[np.float64],
    used: NDArray[np.bool_],
    nuisances: RefinementSettings,
) -> Agreement:
    """Measure how a pose agrees with masks; lag and mask bias alone are fitted.

    Args:
        problem: The masks and the robot.
        T_camera_base: (4, 4).
        used: (M,) images that lag and bias are fitted to.
        nuisances: Which of the two to fit.
    """
    fitted = _fit_nuisances(
        problem.subset(np.flatnonzero(used)),
        Estimate(T_camera_base),
        Parameters(lag=nuisances.lag, mask_bias=nuisances.mask_bias),
    )
    iou, contour_px = evaluate(problem, fitted)
    outline = problem.outline(problem.camera, fitted, _DETAIL_M)
    targets = prepare_targets(problem.masks, 1.0, problem.ignore)
    share = outline_share(outline, targets, fitted.mask_bias_px, TOLERANCE_PX)
    return Agreement(fitted.lag_s, fitted.mask_bias_px, iou, contour_px, np.nan_to_num(share))


def _fit_nuisances(
    problem: SilhouetteProblem, estimate: Estimate, parameters: Parameters
) -> Estimate:
    """Fit lag and mask bias by Gauss-Newton steps from which the pose is struck out."""
    if not len(problem.masks) or not (parameters.lag or parameters.mask_bias):
        return estimate
    targets = prepare_targets(problem.masks, _SCALE, problem.ignore)
    camera = problem.camera.scaled(_SCALE)
    weights = problem.weights()
    for _ in range(_STEPS):
        outline = problem.outline(camera, estimate, _DETAIL_M)
        bias = estimate.mask_bias_px * _SCALE
        measured = measure_forward(outline, targets, bias, weights)
        measured = measured.joined(measure_backward(outline, targets, bias, weights))
        if not len(measured.residual):
            return estimate
        spread = 2.0 * float(np.median(np.abs(measured.residual)))
        kernel = float(np.clip(spread, _SCALE * _KERNEL_PX[0], _SCALE * _KERNEL_PX[1]))
        taken = step(estimate, outline, measured, camera, parameters, kernel, _SCALE)
        if taken.equations is None:
            return estimate
        held = np.arange(POSE_SIZE, len(taken.columns))
        moved = estimate.stepped(
            taken.columns[held], taken.equations.restricted(held).solve(), taken.centre, 0
        )
        lag, bias = moved.lag_s - estimate.lag_s, moved.mask_bias_px - estimate.mask_bias_px
        estimate = moved
        if abs(lag) < _STOP_S and abs(bias) < _STOP_PX:
            break
    return estimate
