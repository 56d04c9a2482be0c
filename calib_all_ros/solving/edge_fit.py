# SPDX-License-Identifier: Apache-2.0
"""Fit of the rendered outline to the edges in the images: the last tenths of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.masks.from_recording import Background, estimate_background, grown_silhouettes
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.edge_measurements import measurable, measure_edges
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.frame_systems import FEW_IMAGES, FrameSystems, linearise
from calib_all_ros.solving.gauss_newton import Parameters, step
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.outline import render_outline

BACKGROUND_MARGIN_PX = 3
CLOSE_PX = 1.0


@dataclass(frozen=True)
class EdgeSettings:
    """Schedule of the edge fit.

    Attributes:
        reaches_px: How far edges are looked for, one turn each.
        steps: Gauss-Newton steps a turn.
        kernel_px: Scale of the robust kernel at a reach of one pixel; it grows with its root.
        stop_px: A turn ends early when a step moves the outline by less.
        detail_m: Details of the robot's mesh smaller than this are left out.
    """

    reaches_px: tuple[float, ...] = (6.0, 5.0)
    steps: int = 6
    kernel_px: float = 0.15
    stop_px: float = 0.01
    detail_m: float = 0.001


@dataclass(frozen=True)
class EdgeFit:
    """The outcome.

    Attributes:
        estimate: The estimate after the last step.
        measured_share: Share of the outline in view at which an edge was found.
        close_share: Share of these edges that lie within a pixel of the outline.
        contour_px: (M,) median distance of outline and edges in each frame, NaN where not measured.
        systems: The measurements at the estimate, image by image.
        trace: The estimates on the way and their robust costs.
    """

    estimate: Estimate
    measured_share: float
    close_share: float
    contour_px: NDArray[np.float64]
    systems: FrameSystems | None
    trace: tuple[tuple[Estimate, float], ...]


@dataclass(frozen=True)
class EdgeSupport:
    """How far images support an outline, image by image.

    Attributes:
        close_share: (N,) share of the outline in view that has an edge within a pixel, NaN where
            no outline is in view.
        contour_px: (N,) median distance of outline and edges, NaN where none was found.
    """

    close_share: NDArray[np.float64]
    contour_px: NDArray[np.float64]


class EdgeExaminer:
    """Compares images with the robot at other estimates, the background known."""

    def __init__(
        self,
        images: NDArray[np.float32],
        surface: RobotSurface,
        motion: RobotMotion,
        camera: Camera,
        estimate: Estimate,
        use: NDArray[np.intp],
        hidden: NDArray[np.bool_] | None = None,
        reach_px: float = 6.0,
    ) -> None:
        """Learn the background; the arguments are those of `fit_edges`."""
        self._surface = surface
        self._motion = motion.subset(use)
        self._camera = camera
        self._images = images[use]
        self._hidden = hidden
        self._reach_px = reach_px
        self._background = _background_at(images, surface, motion, camera, estimate, reach_px)

    def support(self, estimate: Estimate) -> EdgeSupport:
        """Return how far the images support the outline at an estimate."""
        outline = render_outline(self._surface, self._motion, self._camera, estimate)
        edges = measure_edges(
            outline, self._images, self._background, self._reach_px, self._hidden
        ).biased(estimate.mask_bias_px)
        looked_at = measurable(outline, self._images.shape[1:3], self._reach_px, self._hidden)
        count = len(self._images)
        total = np.bincount(outline.frame[looked_at], minlength=count)
        frame = outline.frame[edges.index]
        close = np.bincount(frame[np.abs(edges.residual) < CLOSE_PX], minlength=count)
        share = np.where(total > 0, close / np.maximum(total, 1), np.nan)
        return EdgeSupport(share, edges.distances_px(outline))


def _background_at(
    images: NDArray[np.float32],
    surface: RobotSurface,
    motion: RobotMotion,
    camera: Camera,
    estimate: Estimate,
    reach_px: float,
) -> Background:
    """Learn the background from where the robot, drawn at an estimate, is not."""
    T_camera_link = estimate.T_camera_base @ estimate.link_poses(motion)
    rendered = silhouettes(surface, T_camera_link, estimate.camera(camera))
    covered = grown_silhouettes(rendered, BACKGROUND_MARGIN_PX)
    return estimate_background(images, covered, int(reach_px) + 4)


def fit_edges(
    images: NDArray[np.float32],
    surface: RobotSurface,
    motion: RobotMotion,
    camera: Camera,
    start: Estimate,
    use: NDArray[np.intp],
    hidden: NDArray[np.bool_] | None = None,
    parameters: Parameters = Parameters(mask_bias_sigma_px=0.3),  # noqa: B008
    settings: EdgeSettings = EdgeSettings(),
) -> EdgeFit:
    """Fit an estimate that is already within a few pixels to image edges.

    Args:
        images: (N, H, W, 3) colours of one exposure; all serve the background.
        surface: The robot.
        motion: Its configuration at the N images.
        camera: Their pinhole camera.
        start: Where to start.
        use: (M,) indices of the frames to fit.
        hidden: (H, W) pixels at which something stands in front of the robot.
        parameters: Which nuisances to estimate.
        settings: Schedule.
    """
    fine = surface.simplified(settings.detail_m)
    used = motion.subset(use)
    chosen = images[use]
    estimate = start
    trace = []
    for reach in settings.reaches_px:
        background = _background_at(images, fine, motion, camera, estimate, reach)
        kernel = settings.kernel_px * np.sqrt(reach)
        for _ in range(settings.steps):
            outline = render_outline(
                fine, used, camera, estimate, with_joints=parameters.joint_offsets
            )
            edges = measure_edges(outline, chosen, background, reach, hidden)
            biased = edges.biased(estimate.mask_bias_px)
            taken = step(estimate, outline, biased, camera, parameters, kernel)
            trace.append((estimate, taken.cost))
            estimate = taken.estimate
            if taken.shift_px < settings.stop_px:
                break
    outline = render_outline(fine, used, camera, estimate, with_joints=True)
    edges = measure_edges(outline, chosen, background, reach, hidden)
    biased = edges.biased(estimate.mask_bias_px)
    looked_at = measurable(outline, images.shape[1:3], reach, hidden)
    return EdgeFit(
        estimate,
        len(biased.index) / max(len(looked_at), 1),
        float(np.mean(np.abs(biased.residual) < CLOSE_PX)) if len(biased.index) else 0.0,
        biased.distances_px(outline),
        linearise(outline, biased, camera, estimate, used.stamps_ns, by_link=len(use) < FEW_IMAGES),
        tuple(trace),
    )
