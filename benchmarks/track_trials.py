# SPDX-License-Identifier: Apache-2.0
"""The pose from a track alone, with parts of the track lost or drifting away from the mark.

The track is the projection of a point on the gripper, with noise: the tracker itself is not tried.
"""

from __future__ import annotations

import time
import traceback
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.robustness_grid import BLOCK, DRIFT, SCATTERED, GridTrial, evenly_spaced
from benchmarks.trial_scenes import BaseScene
from benchmarks.trials import FAILED, REFUSED
from calib_all_ros.geometry import se3
from calib_all_ros.solving.pose_errors import pose_errors
from calib_all_ros.solving.temporal_pnp import TemporalPnpError, solve_temporal_pnp

NOISE_PX = 2.0
# Marks sit about so far from the origin of their link.
NEAR_ORIGIN_M = 0.1
_SAMPLES = 4000


def track_attempt(trial: GridTrial, scene: BaseScene) -> dict[str, Any]:
    """Solve for the pose and compare it with the truth; return fields of `trials.Row`."""
    try:
        motion = scene.motion.subset(evenly_spaced(len(scene.motion), trial.frames))
        link, point = _mark(scene, np.random.default_rng(trial.scene.seed))
        followed = _true_track(scene, motion.link_poses()[:, link], point)
        pixels, visible = spoiled_track(trial, followed)
        began = time.perf_counter()
        try:
            solved = solve_temporal_pnp(
                pixels, visible, lambda lag_s: motion.link_poses(lag_s)[:, link], scene.camera.K
            )
        except TemporalPnpError as error:
            outcome: dict[str, Any] = {"status": REFUSED, "reasons": (str(error),)}
        else:
            errors = pose_errors(
                solved.T_camera_base, scene.T_camera_base, scene.robot, scene.motion
            )
            outcome = {
                "status": solved.termination,
                "rotation_deg": errors.rotation_deg,
                "position_mm": errors.position_mm,
                "add_mm": errors.add_mm,
                "quality": {"inliers": float(solved.inliers.mean())},
                "lag_ms": 1e3 * solved.lag_s,
            }
        detail = f"{np.count_nonzero(visible)} of {len(visible)} seen"
        return {**outcome, "detail": detail, "seconds": time.perf_counter() - began}
    except Exception:  # A benchmark goes on, and shows it.
        return {"detail": "", "status": FAILED, "reasons": (traceback.format_exc(limit=-4),)}


def _mark(scene: BaseScene, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]]:
    """Return the index of the gripper's link and a point on its surface, near its origin."""
    link = scene.robot.kinematics.link_names.index(scene.arm.gripper_links[0])
    points, links = scene.robot.surface.sample(_SAMPLES, int(rng.integers(2**31)))
    points = points[links == link].astype(np.float64)
    distances = np.linalg.norm(points, axis=1)
    nearest = points[distances <= max(NEAR_ORIGIN_M, float(distances.min()))]
    return link, np.asarray(nearest[rng.integers(len(nearest))])


def _true_track(
    scene: BaseScene, T_base_link: NDArray[np.float64], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (N, 2) pixels, NaN where they are out of the image; the scenes have no distortion."""
    in_camera = se3.transform(scene.T_camera_base @ T_base_link, point[None])[:, 0]
    pixels = scene.camera.project(in_camera)
    size = [scene.camera.width - 1, scene.camera.height - 1]
    inside = np.all((pixels >= 0.0) & (pixels <= size), axis=1)
    return np.where(inside[:, None], pixels, np.nan)


def spoiled_track(
    trial: GridTrial, pixels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the (N, 2) track with noise and the trial's fault, and (N,) where it is believed."""
    count = len(pixels)
    rng = trial.rng
    noisy = pixels + rng.normal(0.0, NOISE_PX, pixels.shape)
    visible = np.asarray(np.isfinite(pixels).all(axis=1), dtype=np.bool_)
    order, angle, place = rng.permutation(count), rng.uniform(-np.pi, np.pi), rng.random()
    if trial.factor == SCATTERED:
        visible[order[: round(trial.level * count)]] = False
    elif trial.factor == BLOCK:
        lost = round(trial.level * count)
        first = round(place * (count - lost))
        visible[first : first + lost] = False
    elif trial.factor == DRIFT:
        away = np.linspace(0.0, trial.level, count)[:, None]
        noisy = noisy + away * np.array([np.cos(angle), np.sin(angle)])
    return noisy, visible
