# SPDX-License-Identifier: Apache-2.0
"""Search for the camera when nothing is known about where it is.

Thousands of camera hypotheses are scored on small pictures of a few, very different robot
configurations; the best few, kept diverse, are refined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry.camera import Camera
from calib_all_ros.progress import Progress, silent
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.settings import SearchEffort
from calib_all_ros.solving.camera_samples import (
    image_moments,
    perturb,
    place_cameras,
    sample_moments,
    sample_rotations,
)
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Parameters
from calib_all_ros.solving.mask_measurements import prepare_targets
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.silhouette_fit import (
    Level,
    SilhouetteProblem,
    TargetPyramid,
    fit_silhouettes,
)
from calib_all_ros.solving.small_pictures import (
    ChangeTable,
    PosedRobot,
    posed_points,
    shrink_images,
)

# Size of the pictures that hypotheses are scored on, and of the details they leave out.
WIDTH_PX = 64
CHANGE_WIDTH_PX = 32
DETAIL_M = 0.025
# Images that are searched with masks; without masks, those of which all pairs are compared.
MASK_FRAMES = 5
CHANGE_FRAMES = 8
# Rounds of the search for change: size of the pictures over the first one's, variations of each
# candidate, standard deviation of their rotation (rad) and of their shift over the distance.
CHANGE_ROUNDS = (
    (1.0, 40, 0.2, 0.12),
    (1.0, 40, 0.12, 0.08),
    (2.0, 30, 0.08, 0.05),
    (2.0, 20, 0.05, 0.03),
    (3.0, 20, 0.03, 0.02),
    (3.0, 20, 0.015, 0.01),
)
# Points of the robot that hypotheses are placed by.
PLACED_POINTS = 300
# So many candidates are followed to the end to see whether they agree.
AGREEING_CANDIDATES = 6
BATCHES = 4
# Points of a link count fully once the link has moved this far over the frames.
FULL_MOTION_M = 0.15
# No wrong camera makes several silhouettes overlap so well, even on small pictures; two independent
# hypotheses that come to it need no third.
CONVINCING_OVERLAP = 0.9
CONVINCING_HYPOTHESES = 2
# A start that scores less than this share of the best has failed, and says nothing.
SUCCESSFUL_SHARE = 0.9
# Closer than this, as `view_separation` measures it, two poses are one.
SAME_VIEW = 0.3


@dataclass(frozen=True)
class StartAgreement:
    """What came of the starts.

    Attributes:
        tried: Starts that were refined.
        agreeing: Those of them that ended at the best pose, itself included.
        rival: Score of the best other pose over that of the best, 0 without one.
    """

    tried: int
    agreeing: int
    rival: float

    @property
    def unanimous(self) -> bool:
        """Whether all of several starts ended at the best pose."""
        return self.tried == self.agreeing > 1

    def joined(self, other: StartAgreement) -> StartAgreement:
        """Return what two rounds of starts say together."""
        return StartAgreement(
            self.tried + other.tried,
            self.agreeing + other.agreeing,
            max(self.rival, other.rival),
        )


NO_STARTS = StartAgreement(0, 0, 0.0)


def view_separation(
    first: NDArray[np.float64], second: NDArray[np.float64], centre: NDArray[np.float64]
) -> float:
    """Return how different two views are: 1 for 20 degrees or for 15 % of the distance.

    Args:
        first: (4, 4) ``T_camera_base``.
        second: (4, 4) the other.
        centre: (3,) of the robot, base frame.
    """
    cosine = (np.einsum("ij,ij->", first[:3, :3], second[:3, :3]) - 1.0) / 2.0
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    a = first[:3, :3] @ centre + first[:3, 3]
    b = second[:3, :3] @ centre + second[:3, 3]
    return float(angle / np.radians(20) + np.linalg.norm(a - b) / (0.15 * np.linalg.norm(a)))


def start_agreement(
    poses: Sequence[NDArray[np.float64]], scores: Sequence[float], centre: NDArray[np.float64]
) -> StartAgreement:
    """Compare refined starts.

    Args:
        poses: (4, 4) each, ``T_camera_base``.
        scores: How well each explains the images, higher is better.
        centre: (3,) of the robot, base frame.
    """
    best = int(np.argmax(scores))
    most = max(float(scores[best]), 1e-9)
    agreeing, rival = 0, 0.0
    for pose, score in zip(poses, scores, strict=True):
        if view_separation(pose, poses[best], centre) > SAME_VIEW:
            rival = max(rival, float(score) / most)
        elif score >= SUCCESSFUL_SHARE * most:
            agreeing += 1
    return StartAgreement(len(poses), agreeing, rival)


@dataclass(frozen=True)
class Candidate:
    """A camera pose that explains the small pictures, and how well, between 0 and 1."""

    T_camera_base: NDArray[np.float64]
    score: float


def search_masks(
    problem: SilhouetteProblem,
    effort: SearchEffort = SearchEffort(),  # noqa: B008
    seed: int = 0,
    on_progress: Progress = silent,
) -> tuple[list[Candidate], StartAgreement]:
    """Find camera poses that explain masks; best first, scores are mean overlaps.

    Args:
        problem: A few (about five) frames, as different as possible.
        effort: How hard to search.
        seed: Seed of the random hypotheses.
        on_progress: Called with "search" and its finished share.

    Returns:
        The candidates, and whether the refined hypotheses agreed.
    """
    rng = np.random.default_rng(seed)
    scale = WIDTH_PX / problem.camera.width
    camera = problem.camera.scaled(scale)
    masks = prepare_targets(problem.masks, scale).masks
    robot = PosedRobot(problem.surface.simplified(DETAIL_M), problem.motion.link_poses())
    points, _ = _sampled_points(problem.surface, problem.motion)
    moments = image_moments(masks.sum(axis=0).astype(np.float64), camera)
    centre = points.mean(axis=0)
    targets = TargetPyramid(problem.masks, problem.ignore)
    pose_only = Parameters(lag=False, mask_bias=False)
    rough = (Level(1 / 8, 12, 16.0, 5.0, detail_m=DETAIL_M),)
    refined: list[Candidate] = []
    # In easy recordings the first of several batches finds the camera, and finds it twice.
    for batch in range(BATCHES):
        rotations = sample_rotations(-(-effort.hypotheses // BATCHES), rng)
        poses = place_cameras(rotations, points, np.ones(len(points)), moments, rng)
        scores = robot.mask_overlap(poses, camera, masks)
        for index in _diverse(poses, scores, centre, -(-effort.candidates // BATCHES)):
            fit = fit_silhouettes(problem, Estimate(poses[index]), pose_only, rough, targets)
            refined.append(Candidate(fit.estimate.T_camera_base, float(fit.iou.mean())))
        on_progress("search", 0.8 * (batch + 1) / BATCHES)
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
    for candidate in _distinct(refined, centre, effort.finalists):
        fit = fit_silhouettes(
            problem, Estimate(candidate.T_camera_base), pose_only, closer, targets
        )
        finalists.append(Candidate(fit.estimate.T_camera_base, float(fit.iou.mean())))
    on_progress("search", 1.0)
    return sorted(finalists, key=lambda candidate: -candidate.score), agreement


def search_change(
    images: NDArray[np.uint8],
    surface: RobotSurface,
    motion: RobotMotion,
    camera: Camera,
    effort: SearchEffort = SearchEffort(),  # noqa: B008
    seed: int = 0,
    on_progress: Progress = silent,
) -> tuple[list[Candidate], StartAgreement]:
    """Find camera poses that explain what changes between images; best first.

    Args:
        images: (N, H, W, 3) about eight images of very different robot configurations.
        surface: The robot.
        motion: Its configuration at these images.
        camera: The pinhole camera of the images.
        effort: How hard to search.
        seed: Seed of the random hypotheses.
        on_progress: Called with "search" and its finished share.

    Returns:
        The candidates, and whether those that were followed to the end agreed.
    """
    rng = np.random.default_rng(seed)
    robot = PosedRobot(surface.simplified(DETAIL_M), motion.link_poses())
    points, mobility = _sampled_points(surface, motion)
    centre = np.average(points, axis=0, weights=mobility)

    small = camera.scaled(CHANGE_WIDTH_PX / camera.width)
    table = ChangeTable.of(shrink_images(images, small.width))
    rotations = sample_rotations(effort.hypotheses, rng)[rng.permutation(effort.hypotheses)]
    moments = sample_moments(table.change, table.most, small, len(rotations), rng)
    some = rng.permutation(len(points))[:PLACED_POINTS]
    poses = place_cameras(rotations, points[some], mobility[some], moments, rng)
    scores = robot.change_gain(poses, small, table)
    on_progress("search", 0.5)

    kept = _diverse(poses, scores, centre, effort.candidates)
    poses, scores = poses[kept], scores[kept]
    for done, (zoom, copies, angle, shift) in enumerate(CHANGE_ROUNDS):
        finer = camera.scaled(zoom * CHANGE_WIDTH_PX / camera.width)
        if finer.width != small.width:
            small = finer
            table = ChangeTable.of(shrink_images(images, small.width))
            scores = robot.change_gain(poses, small, table)
        varied = perturb(poses, centre, copies, angle, shift, rng)
        varied_scores = robot.change_gain(varied, small, table)
        best = varied_scores.reshape(len(poses), copies).argmax(axis=1)
        index = np.arange(len(poses)) * copies + best
        better = varied_scores[index] > scores
        poses = np.where(better[:, None, None], varied[index], poses)
        scores = np.where(better, varied_scores[index], scores)
        # Half of the candidates suffice after each round.
        order = np.argsort(-scores)[: max(AGREEING_CANDIDATES, len(scores) // 2)]
        poses, scores = poses[order], scores[order]
        on_progress("search", 0.5 + 0.5 * (done + 1) / len(CHANGE_ROUNDS))
    ranked = [Candidate(pose, float(score)) for pose, score in zip(poses, scores, strict=True)]
    agreement = start_agreement(list(poses), scores.tolist(), centre)
    return _distinct(ranked, centre, effort.finalists), agreement


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
