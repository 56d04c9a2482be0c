# SPDX-License-Identifier: Apache-2.0
"""Fit the rendered silhouettes to masks: multi-frame, two-sided, coarse to fine, robust.

The image pyramid gives the basin of convergence (an eighth of the size pulls in errors of 25 cm
and 15 degrees), the full size gives the accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import render
from calib_all_ros.rendering.renderer import Renderer
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import LinearSystem, Parameters, Step, step
from calib_all_ros.solving.mask_measurements import (
    MaskTargets,
    intersection_over_union,
    measure_backward,
    measure_forward,
    prepare_targets,
)
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.outline import Outline, render_outline


@dataclass(frozen=True)
class Level:
    """One size of the image pyramid.

    Attributes:
        scale: Image size over full size.
        steps: At most so many Gauss-Newton steps.
        first_kernel_px: Scale of the robust kernel at the first step, in this level's pixels.
        last_kernel_px: The same at the last step.
        backward: Also measure the masks' outlines against the rendered ones.
        detail_m: Details of the robot's mesh smaller than this are left out.
        stop_px: Converged when a step moves the outline by less, in this level's pixels.
    """

    scale: float
    steps: int
    first_kernel_px: float
    last_kernel_px: float
    backward: bool = True
    detail_m: float = 0.001
    stop_px: float = 0.1


FULL_SCHEDULE = (
    Level(1 / 8, 20, 16.0, 4.0, detail_m=0.01),
    Level(1 / 4, 10, 6.0, 4.0, detail_m=0.005),
    Level(1 / 2, 8, 4.0, 3.0, detail_m=0.003),
    Level(1.0, 12, 3.0, 1.5, stop_px=0.004),
)
"""For a start that may be 25 cm and 15 degrees off."""

POLISH_SCHEDULE = (
    Level(1 / 4, 6, 6.0, 4.0, detail_m=0.005),
    Level(1 / 2, 8, 4.0, 3.0, detail_m=0.003),
    Level(1.0, 12, 3.0, 1.5, stop_px=0.004),
)
"""For a start that is a few centimetres off."""


@dataclass(frozen=True)
class SilhouetteProblem:
    """Masks, and the robot that should explain them.

    Attributes:
        surface: The robot's mesh, without links that the masks do not cover.
        motion: The robot's configuration at the N images.
        camera: The pinhole camera of the masks.
        masks: (N, H, W) observed robot pixels.
        ignore: (N, H, W) pixels whose mask value is unknown, or None.
        frame_weight: (N,) weight of each frame, or None for ones.
        renderer: What draws the robot.
    """

    surface: RobotSurface
    motion: RobotMotion
    camera: Camera
    masks: NDArray[np.bool_]
    ignore: NDArray[np.bool_] | None = None
    frame_weight: NDArray[np.float64] | None = None
    renderer: Renderer = render

    def outline(
        self,
        camera: Camera,
        estimate: Estimate,
        detail_m: float = 0.0,
        *,
        with_joints: bool = False,
    ) -> Outline:
        """Render the robot at an estimate and return its outline.

        Args:
            camera: The problem's camera, perhaps scaled.
            estimate: Where the robot is.
            detail_m: Details of the robot's mesh smaller than this are left out.
            with_joints: Also differentiate with respect to the joints.
        """
        return render_outline(
            self.surface.simplified(detail_m),
            self.motion,
            camera,
            estimate,
            with_joints=with_joints,
            renderer=self.renderer,
        )

    def weights(self) -> NDArray[np.float64]:
        """Return the (N,) frame weights."""
        return np.ones(len(self.masks)) if self.frame_weight is None else self.frame_weight

    def subset(self, indices: NDArray[np.intp]) -> SilhouetteProblem:
        """Return the problem reduced to some of its frames."""
        return replace(
            self,
            motion=self.motion.subset(indices),
            masks=self.masks[indices],
            ignore=None if self.ignore is None else self.ignore[indices],
            frame_weight=None if self.frame_weight is None else self.frame_weight[indices],
        )


@dataclass(frozen=True)
class SilhouetteFit:
    """The outcome of a fit.

    Attributes:
        estimate: The best estimate that was visited at the last level.
        iou: (N,) overlap of rendered and observed silhouettes.
        cost: Robust cost at the last level, between 0 and 1.
        contour_px: (N,) median distance of the outlines, NaN where not measured.
        system: The linearised measurements at the last level.
        termination: "converged" or "step limit".
    """

    estimate: Estimate
    iou: NDArray[np.float64]
    cost: float
    contour_px: NDArray[np.float64]
    system: LinearSystem | None
    termination: str


class TargetPyramid:
    """Masks prepared at each size once, for several fits to the same masks."""

    def __init__(self, masks: NDArray[np.bool_], ignore: NDArray[np.bool_] | None = None) -> None:
        self._masks = masks
        self._ignore = ignore
        self._targets: dict[float, MaskTargets] = {}

    def at(self, scale: float) -> MaskTargets:
        """Return the masks prepared at ``scale`` times their size."""
        if scale not in self._targets:
            self._targets[scale] = prepare_targets(self._masks, scale, self._ignore)
        return self._targets[scale]


def fit_silhouettes(
    problem: SilhouetteProblem,
    start: Estimate,
    parameters: Parameters = Parameters(),  # noqa: B008
    schedule: tuple[Level, ...] = FULL_SCHEDULE,
    targets: TargetPyramid | None = None,
    on_step: Callable[[Estimate, float], None] | None = None,
) -> SilhouetteFit:
    """Fit the camera pose, and the nuisances asked for, to masks.

    Args:
        problem: The masks and the robot.
        start: Where to start.
        parameters: Which nuisances to estimate. At sizes below a quarter only the pose and lag
            move: a pixel there is larger than any bias worth estimating.
        schedule: The image sizes to go through.
        targets: The prepared masks, when several fits share them.
        on_step: Called with every estimate and its cost.
    """
    targets = targets or TargetPyramid(problem.masks, problem.ignore)
    estimate = start
    for level in schedule:
        taken, estimate, converged = _fit_level(
            problem, estimate, parameters, level, targets.at(level.scale), on_step
        )
    last = targets.at(schedule[-1].scale)
    camera = problem.camera.scaled(schedule[-1].scale)
    outline = problem.outline(camera, estimate)
    return SilhouetteFit(
        estimate=estimate,
        iou=intersection_over_union(outline.masks, last.masks, last.ignore),
        cost=taken.cost,
        contour_px=frame_distance_px(taken.system, len(problem.masks)),
        system=taken.system,
        termination="converged" if converged else "step limit",
    )


def evaluate(
    problem: SilhouetteProblem, estimate: Estimate, kernel_px: float = 2.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare an estimate with full-size masks.

    Returns:
        iou: (N,) overlap of rendered and observed silhouettes.
        contour_px: (N,) median distance of the outlines, NaN where not measured.
    """
    targets = prepare_targets(problem.masks, 1.0, problem.ignore)
    outline = problem.outline(problem.camera, estimate)
    measured = measure_forward(outline, targets, estimate.biases_px(), problem.weights())
    system = step(estimate, outline, measured, problem.camera, Parameters(), kernel_px).system
    iou = intersection_over_union(outline.masks, targets.masks, targets.ignore)
    return iou, frame_distance_px(system, len(problem.masks))


def _fit_level(
    problem: SilhouetteProblem,
    estimate: Estimate,
    parameters: Parameters,
    level: Level,
    targets: MaskTargets,
    on_step: Callable[[Estimate, float], None] | None,
) -> tuple[Step, Estimate, bool]:
    """Return the step taken from the estimate that was kept, that estimate, and convergence."""
    camera = problem.camera.scaled(level.scale)
    weights = problem.weights()
    if level.scale < 1 / 4:
        parameters = replace(
            parameters,
            mask_bias=False,
            image_biases=False,
            focal_scale=False,
            frame_lags=False,
            joint_offsets=False,
        )
    kernels = np.geomspace(level.first_kernel_px, level.last_kernel_px, level.steps)
    best: tuple[float, Step, Estimate] | None = None
    for kernel in kernels:
        outline = problem.outline(
            camera, estimate, level.detail_m, with_joints=parameters.joint_offsets
        )
        bias = estimate.biases_px() * level.scale
        measured = measure_forward(outline, targets, bias, weights)
        if level.backward:
            measured = measured.joined(measure_backward(outline, targets, bias, weights))
        taken = step(estimate, outline, measured, camera, parameters, kernel, level.scale)
        if on_step:
            on_step(estimate, taken.cost)
        # Costs under different kernels do not compare; the overlap always does.
        overlap = intersection_over_union(outline.masks, targets.masks, targets.ignore)
        score = -float(np.average(overlap, weights=weights))
        if best is None or score < best[0]:
            best = (score, taken, estimate)
        estimate = taken.estimate
        if taken.shift_px < level.stop_px:
            return taken, estimate, True
    assert best is not None
    return best[1], best[2], False


def frame_distance_px(system: LinearSystem | None, count: int) -> NDArray[np.float64]:
    """Return the (count,) median distance of each frame's outlines, NaN where not measured.

    The median, because neither a hole in a mask nor the robust kernel's opinion of it should
    decide how well the rest agrees.
    """
    if system is None:
        return np.full(count, np.nan)
    return median_distance_px(system.residual, system.frame, count)


def median_distance_px(
    residual: NDArray[np.float64], frame: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    """Return the (count,) median size of each frame's (K,) residuals, NaN where it has none."""
    distances = np.full(count, np.nan)
    for number in np.unique(frame):
        distances[number] = np.median(np.abs(residual[frame == number]))
    return distances
