# SPDX-License-Identifier: Apache-2.0
"""Fit of rendered silhouettes to masks: multi-frame, two-sided, coarse to fine, robust.

The image pyramid gives the basin of convergence (an eighth of the size pulls in errors of 25 cm
and 15 degrees), the full size gives the accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.rendering.rasteriser import render
from calib_all_ros.rendering.renderer import Renderer
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Measurements, Parameters, Step, step
from calib_all_ros.solving.mask_measurements import (
    MaskTargets,
    intersection_over_union,
    measure_backward,
    measure_forward,
    prepare_targets,
)
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.outline import Outline, render_outline

# At smaller sizes a pixel is larger than any bias or scale worth estimating.
LEAST_NUISANCE_SCALE = 1 / 4


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
        termination: "converged" or "step limit".
        trace: Every estimate that was visited, and its cost.
    """

    estimate: Estimate
    iou: NDArray[np.float64]
    cost: float
    contour_px: NDArray[np.float64]
    termination: str
    trace: tuple[tuple[Estimate, float], ...] = ()


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
) -> SilhouetteFit:
    """Fit the camera pose, and the nuisances asked for, to masks.

    Args:
        problem: The masks and the robot.
        start: Where to start.
        parameters: Which nuisances to estimate. At sizes below a quarter only the pose and lag
            move: a pixel there is larger than any bias worth estimating.
        schedule: The image sizes to go through.
        targets: The prepared masks, when several fits share them.
    """
    targets = targets or TargetPyramid(problem.masks, problem.ignore)
    weights = problem.weights()
    estimate, trace = start, []
    for level in schedule:
        camera, observed = problem.camera.scaled(level.scale), targets.at(level.scale)
        free = (
            parameters
            if level.scale >= LEAST_NUISANCE_SCALE
            else Parameters(lag=parameters.lag, mask_bias=False)
        )
        best: tuple[float, Step, Estimate, Measurements, Outline] | None = None
        converged = False
        for kernel in np.geomspace(level.first_kernel_px, level.last_kernel_px, level.steps):
            outline = problem.outline(
                camera, estimate, level.detail_m, with_joints=free.joint_offsets
            )
            bias = estimate.biases_px() * level.scale
            measured = measure_forward(outline, observed, bias, weights)
            if level.backward:
                measured = measured.joined(measure_backward(outline, observed, bias, weights))
            taken = step(estimate, outline, measured, camera, free, kernel, level.scale)
            trace.append((estimate, taken.cost))
            # Costs under different kernels do not compare; the overlap always does.
            overlap = intersection_over_union(outline.masks, observed.masks, observed.ignore)
            score = float(np.average(overlap, weights=weights))
            if best is None or score > best[0]:
                best = score, taken, estimate, measured, outline
            estimate = taken.estimate
            converged = taken.shift_px < level.stop_px
            if converged:
                break
        if not converged:
            assert best is not None
            _, taken, estimate, measured, outline = best
    contour_px = measured.distances_px(outline)
    outline = problem.outline(camera, estimate)
    return SilhouetteFit(
        estimate=estimate,
        iou=intersection_over_union(outline.masks, observed.masks, observed.ignore),
        cost=taken.cost,
        contour_px=contour_px,
        termination="converged" if converged else "step limit",
        trace=tuple(trace),
    )


def evaluate(
    problem: SilhouetteProblem, estimate: Estimate
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare an estimate with full-size masks.

    Returns:
        iou: (N,) overlap of rendered and observed silhouettes.
        contour_px: (N,) median distance of the outlines, NaN where not measured.
    """
    targets = prepare_targets(problem.masks, 1.0, problem.ignore)
    outline = problem.outline(problem.camera, estimate)
    measured = measure_forward(outline, targets, estimate.biases_px(), problem.weights())
    iou = intersection_over_union(outline.masks, targets.masks, targets.ignore)
    return iou, measured.distances_px(outline)
