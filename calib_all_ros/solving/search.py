# SPDX-License-Identifier: Apache-2.0
"""Find the camera when nothing is known about where it is.

Thousands of camera hypotheses are scored on small pictures of a few, very different robot
configurations; the best few, kept diverse, are refined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.change import change_probability, shrink_images
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.hypotheses import (
    evidence_from_weights,
    perturb,
    place_cameras,
    sample_rotations,
)
from calib_all_ros.solving.mask_measurements import prepare_targets
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import (
    Level,
    SilhouetteProblem,
    TargetPyramid,
    fit_silhouettes,
)
from calib_all_ros.solving.silhouette_scores import PosedRobot, posed_points
from calib_all_ros.solving.start_agreement import (
    StartAgreement,
    start_agreement,
    view_separation,
)

Progress = Callable[[float], None]
# So many candidates are followed to the end to see whether they agree.
AGREEING_CANDIDATES = 6
BATCHES = 4
# Points of a link count fully once the link has moved this far over the frames.
FULL_MOTION_M = 0.15
# No wrong camera makes several silhouettes overlap so well, even on small pictures; two independent
# hypotheses that come to it need no third.
CONVINCING_OVERLAP = 0.9
CONVINCING_HYPOTHESES = 2


@dataclass(frozen=True)
class SearchSettings:
    """How hard to search.

    Attributes:
        hypotheses: Camera poses scored first.
        width_px: Width of the pictures they are scored on.
        detail_m: Details of the robot smaller than this are left out in these pictures.
        mask_frames: Frames used with masks.
        change_frames: Frames used without masks; all pairs of them are compared.
        candidates: Diverse best hypotheses that are refined.
        finalists: Refined candidates that are followed further.
    """

    hypotheses: int = 6000
    width_px: int = 64
    detail_m: float = 0.025
    mask_frames: int = 5
    change_frames: int = 8
    candidates: int = 24
    finalists: int = 3


@dataclass(frozen=True)
class Candidate:
    """A camera pose that explains the small pictures, and how well, between 0 and 1."""

    T_camera_base: NDArray[np.float64]
    score: float


def search_masks(
    problem: SilhouetteProblem,
    settings: SearchSettings = SearchSettings(),
    seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[list[Candidate], StartAgreement]:
    """Find camera poses that explain masks; best first, scores are mean overlaps.

    Args:
        problem: A few (about five) frames, as different as possible.
        settings: Effort.
        seed: Seed of the random hypotheses.
        on_progress: Called with the finished share of the work.

    Returns:
        The candidates, and whether the refined hypotheses agreed.
    """
    rng = np.random.default_rng(seed)
    scale = settings.width_px / problem.camera.width
    camera = problem.camera.scaled(scale)
    masks = prepare_targets(problem.masks, scale).masks
    robot = PosedRobot(problem.surface.simplified(settings.detail_m), problem.motion.link_poses())
    points, _ = _sampled_points(problem.surface, problem.motion)
    evidence = evidence_from_weights(masks.sum(axis=0).astype(np.float64), camera)
    centre = points.mean(axis=0)
    targets = TargetPyramid(problem.masks, problem.ignore)
    pose_only = Parameters(lag=False, mask_bias=False)
    rough = (Level(1 / 8, 12, 16.0, 5.0, detail_m=settings.detail_m),)
    refined: list[Candidate] = []
    # In easy recordings the first of several batches finds the camera, and finds it twice.
    for batch in range(BATCHES):
        rotations = sample_rotations(-(-settings.hypotheses // BATCHES), rng)
        poses = place_cameras(rotations, points, np.ones(len(points)), evidence, rng)
        scores = robot.mask_overlap(poses, camera, masks)
        for index in _diverse(poses, scores, centre, -(-settings.candidates // BATCHES)):
            fit = fit_silhouettes(problem, Estimate(poses[index]), pose_only, rough, targets)
            refined.append(Candidate(fit.estimate.T_camera_base, float(fit.iou.mean())))
        if on_progress:
            on_progress(0.8 * (batch + 1) / BATCHES)
        convincing = sum(candidate.score >= CONVINCING_OVERLAP for candidate in refined)
        if convincing >= CONVINCING_HYPOTHESES:
            break
    agreement = start_agreement(
        [candidate.T_camera_base for candidate in refined],
        [candidate.score for candidate in refined],
        centre,
    )
    refined.sort(key=lambda candidate: -candidate.score)
    closer = (
        Level(1 / 8, 12, 8.0, 4.0, detail_m=0.01),
        Level(1 / 4, 8, 6.0, 4.0, detail_m=0.005),
    )
    finalists = []
    for candidate in _distinct(refined, centre, settings.finalists):
        fit = fit_silhouettes(
            problem, Estimate(candidate.T_camera_base), pose_only, closer, targets
        )
        finalists.append(Candidate(fit.estimate.T_camera_base, float(fit.iou.mean())))
    if on_progress:
        on_progress(1.0)
    return sorted(finalists, key=lambda candidate: -candidate.score), agreement


def search_change(
    images: NDArray[np.uint8],
    surface: RobotSurface,
    motion: RobotMotion,
    camera: Camera,
    settings: SearchSettings = SearchSettings(),
    seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[list[Candidate], StartAgreement]:
    """Find camera poses that explain what changes between images; best first.

    Args:
        images: (N, H, W, 3) about eight images of very different robot configurations.
        surface: The robot.
        motion: Its configuration at these images.
        camera: The pinhole camera of the images.
        settings: Effort.
        seed: Seed of the random hypotheses.
        on_progress: Called with the finished share of the work.

    Returns:
        The candidates, and whether those that were followed to the end agreed.
    """
    rng = np.random.default_rng(seed)
    robot = PosedRobot(surface.simplified(settings.detail_m), motion.link_poses())
    points, mobility = _sampled_points(surface, motion)
    centre = np.average(points, axis=0, weights=mobility)

    small = camera.scaled(settings.width_px / camera.width)
    pairs, change = change_probability(shrink_images(images, small.width))
    evidence = evidence_from_weights(change.mean(axis=0).astype(np.float64) ** 2, small)
    rotations = sample_rotations(settings.hypotheses, rng)
    poses = place_cameras(rotations, points, mobility, evidence, rng)
    scores = robot.change_overlap(poses, small, pairs, change)
    if on_progress:
        on_progress(0.5)

    kept = _diverse(poses, scores, centre, settings.candidates)
    poses, scores = poses[kept], scores[kept]
    rounds = (
        (1.0, 40, 0.15, 0.08), (1.0, 30, 0.08, 0.05), (1.0, 20, 0.05, 0.03),
        (1.5, 20, 0.03, 0.02), (1.5, 20, 0.015, 0.01),
    )  # fmt: skip
    for done, (zoom, copies, angle, shift) in enumerate(rounds):
        finer = camera.scaled(zoom * settings.width_px / camera.width)
        if finer.width != small.width:
            small = finer
            pairs, change = change_probability(shrink_images(images, small.width))
            scores = robot.change_overlap(poses, small, pairs, change)
        varied = perturb(poses, centre, copies, angle, shift, rng)
        varied_scores = robot.change_overlap(varied, small, pairs, change)
        best = varied_scores.reshape(len(poses), copies).argmax(axis=1)
        index = np.arange(len(poses)) * copies + best
        better = varied_scores[index] > scores
        poses = np.where(better[:, None, None], varied[index], poses)
        scores = np.where(better, varied_scores[index], scores)
        # Half of the candidates suffice after each round.
        order = np.argsort(-scores)[: max(AGREEING_CANDIDATES, len(scores) // 2)]
        poses, scores = poses[order], scores[order]
        if on_progress:
            on_progress(0.5 + 0.5 * (done + 1) / len(rounds))
    ranked = [Candidate(pose, float(score)) for pose, score in zip(poses, scores, strict=True)]
    agreement = start_agreement(list(poses), scores.tolist(), centre)
    return _distinct(ranked, centre, settings.finalists), agreement


def _sampled_points(
    surface: RobotSurface, motion: RobotMotion
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (P, 3) surface points over all frames, base frame, and (P,) how mobile they are."""
    posed = posed_points(surface, motion.link_poses())
    travel = np.linalg.norm(posed.std(axis=0), axis=1)
    mobility = np.clip(travel / FULL_MOTION_M, 0.01, 1.0)
    return posed.reshape(-1, 3), np.tile(mobility, len(posed))


def _diverse(
    poses: NDArray[np.float64],
    scores: NDArray[np.float64],
    centre: NDArray[np.float64],
    count: int,
) -> NDArray[np.intp]:
    """Return indices of the best poses, no two of them alike."""
    chosen: list[int] = []
    for index in np.argsort(-scores):
        if all(view_separation(poses[index], poses[other], centre) > 1.0 for other in chosen):
            chosen.append(int(index))
            if len(chosen) == count:
                break
    return np.array(chosen, dtype=np.intp)


def _distinct(
    candidates: list[Candidate], centre: NDArray[np.float64], count: int
) -> list[Candidate]:
    poses = np.stack([candidate.T_camera_base for candidate in candidates])
    scores = np.array([candidate.score for candidate in candidates])
    return [candidates[index] for index in _diverse(poses, scores, centre, count)]
