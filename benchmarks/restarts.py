# SPDX-License-Identifier: Apache-2.0
"""Fit silhouettes, and try again from elsewhere when the fit got stuck.

A fit that has found the camera overlaps the masks almost entirely, one in a local minimum by
about a half; so a low overlap is reason enough to look around the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.solving.camera_samples import image_moments, perturb, place_cameras
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_measurements import prepare_targets
from calib_all_ros.solving.silhouette_fit import (
    FULL_SCHEDULE,
    Level,
    SilhouetteFit,
    SilhouetteProblem,
    TargetPyramid,
    fit_silhouettes,
)
from calib_all_ros.solving.small_pictures import PosedRobot, posed_points

_ROUGH = (Level(1 / 8, 15, 16.0, 4.0, detail_m=0.01),)


@dataclass(frozen=True)
class RestartSettings:
    """How to look around a start that led nowhere.

    Attributes:
        accepted_overlap: Mean overlap above which a fit is not doubted.
        hypotheses: Camera poses around the start that are scored on small pictures.
        turn_rad: Standard deviation of their rotation about each axis through the robot.
        shift: Standard deviation of their translation along each axis, over the distance.
        refined: Best ones, different from each other, that are refined at low resolution.
        apart_rad: Rotation by which these have to differ.
        finalists: How many of these are refined to the end.
        width_px: Width of the small pictures.
        detail_m: Details of the robot smaller than this are left out in them.
    """

    accepted_overlap: float = 0.9
    hypotheses: int = 400
    turn_rad: float = float(np.radians(12.0))
    shift: float = 0.1
    refined: int = 8
    apart_rad: float = float(np.radians(8.0))
    finalists: int = 2
    width_px: int = 64
    detail_m: float = 0.025


def fit_silhouettes_with_restarts(
    problem: SilhouetteProblem,
    start: Estimate,
    parameters: Parameters = Parameters(),  # noqa: B008
    schedule: tuple[Level, ...] = FULL_SCHEDULE,
    targets: TargetPyramid | None = None,
    restarts: RestartSettings = RestartSettings(),
    seed: int = 0,
) -> SilhouetteFit:
    """Fit as `silhouette_fit.fit_silhouettes`; where that fails, search around the start.

    Args:
        problem: The masks and the robot.
        start: Where to start; the search assumes it is right within some 20 degrees.
        parameters: Which nuisances to estimate.
        schedule: The image sizes to go through.
        targets: The prepared masks, when several fits share them.
        restarts: When and how to search.
        seed: Seed of the search.

    Returns:
        The fit with the largest overlap, the first one included.
    """
    targets = targets or TargetPyramid(problem.masks, problem.ignore)
    best = fit_silhouettes(problem, start, parameters, schedule, targets)
    if _overlap(best, problem) >= restarts.accepted_overlap:
        return best
    pose_only = Parameters(lag=False, mask_bias=False)
    rough = [
        fit_silhouettes(problem, Estimate(T), pose_only, _ROUGH, targets)
        for T in _promising_starts(problem, start, restarts, seed)
    ]
    rough.sort(key=lambda fit: -_overlap(fit, problem))
    for candidate in rough[: restarts.finalists]:
        fit = fit_silhouettes(problem, candidate.estimate, parameters, schedule, targets)
        if _overlap(fit, problem) > _overlap(best, problem):
            best = fit
        if _overlap(best, problem) >= restarts.accepted_overlap:
            break
    return best


def _overlap(fit: SilhouetteFit, problem: SilhouetteProblem) -> float:
    return float(np.average(fit.iou, weights=problem.weights()))


def _promising_starts(
    problem: SilhouetteProblem, start: Estimate, restarts: RestartSettings, seed: int
) -> list[NDArray[np.float64]]:
    """Return camera poses around the start that overlap the masks best, the best first.

    Half of them are placed such that the robot appears where the masks are and as large, which
    makes up for most of a wrong viewing direction; the others keep the distance of the start.
    """
    rng = np.random.default_rng(seed)
    scale = restarts.width_px / problem.camera.width
    camera = problem.camera.scaled(scale)
    masks = prepare_targets(problem.masks, scale).masks
    link_poses = start.link_poses(problem.motion)
    points_base = posed_points(problem.surface, link_poses).reshape(-1, 3)
    poses = perturb(
        start.T_camera_base[None],
        points_base.mean(axis=0),
        restarts.hypotheses,
        restarts.turn_rad,
        restarts.shift,
        rng,
    )
    half = len(poses) // 2
    if masks.any():
        moments = image_moments(masks.sum(axis=0).astype(np.float64), camera)
        weights = np.ones(len(points_base))
        poses[:half] = place_cameras(poses[:half, :3, :3], points_base, weights, moments, rng)
    robot = PosedRobot(problem.surface.simplified(restarts.detail_m), link_poses)
    scores = robot.mask_overlap(poses, camera, masks)
    chosen: list[NDArray[np.float64]] = []
    for index in np.argsort(-scores):
        R = Rotation.from_matrix(poses[index, :3, :3])
        turns = [(R * Rotation.from_matrix(T[:3, :3]).inv()).magnitude() for T in chosen]
        if all(turn > restarts.apart_rad for turn in turns):
            chosen.append(poses[index])
            if len(chosen) == restarts.refined:
                break
    return chosen
