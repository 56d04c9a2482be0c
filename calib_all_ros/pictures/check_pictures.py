# SPDX-License-Identifier: Apache-2.0
"""The robot at a pose that was checked, and at the one that the images ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calib_all_ros.checking.check import ExtrinsicsCheck
from calib_all_ros.pictures.overlay import (
    AFTER,
    BEFORE,
    TARGET,
    LegendEntry,
    draw_outline,
    save_png,
    with_caption,
)
from calib_all_ros.pictures.results import MAX_OVERLAYS
from calib_all_ros.rendering.rasteriser import silhouettes
from calib_all_ros.solving.estimate import Estimate


def write_check_pictures(folder: Path, check: ExtrinsicsCheck) -> list[Path]:
    """Draw at most ``MAX_OVERLAYS`` images, those that contradict the given pose most first.

    Args:
        folder: Where to write ``overlay_*.png``.
        check: What was found.

    Returns:
        The files.

    Raises:
        ResultError: A file cannot be written.
    """
    reference = check.reference
    observations, result = reference.solution.observations, reference.solution.result
    recorded = observations.masks is not None
    order = np.argsort(-np.nan_to_num(check.given.contour_px, nan=np.inf), kind="stable")
    files = []
    for rank, row in enumerate(order[:MAX_OVERLAYS]):
        position = observations.solve[row]
        problem = reference.problem.subset(np.array([row]))
        image = draw_outline(observations.images[position], result.masks[row], TARGET)
        drawn = (
            (check.T_camera_base, check.given.lag_s, BEFORE, True),
            (reference.T_camera_base, check.best.lag_s, AFTER, False),
        )
        for T_camera_base, lag_s, colour, dashed in drawn:
            estimate = Estimate(T_camera_base, lag_s)
            T_camera_link = T_camera_base @ estimate.link_poses(problem.motion)
            mask = silhouettes(problem.surface, T_camera_link, problem.camera)[0]
            image = draw_outline(image, mask, colour, dashed=dashed)
        number = int(observations.frames[position])
        caption = (
            f"frame {number}: outline off by {check.given.contour_px[row]:.2f} px as given, "
            f"{check.best.contour_px[row]:.2f} px at best"
        )
        if not result.used[row]:
            caption += ", LEFT OUT"
        legend = [
            LegendEntry("recorded mask" if recorded else "robot as seen", TARGET),
            LegendEntry("given", BEFORE, dashed=True),
            LegendEntry("best", AFTER),
        ]
        files.append(folder / f"overlay_{rank:02d}_frame{number:06d}.png")
        save_png(files[-1], with_caption(image, caption, legend))
    return files
