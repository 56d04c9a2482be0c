# SPDX-License-Identifier: Apache-2.0
"""Whether a joint counts the other way round than the robot's description says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.settings import SearchEffort
from calib_all_ros.solving.mask_measurer import mask_problem
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.observations import Observations
from calib_all_ros.solving.search import CHANGE_FRAMES, MASK_FRAMES, search_change, search_masks

# Small on purpose: what is compared is how well each variant can do at all.
_MASK_EFFORT = SearchEffort(hypotheses=1600, candidates=8, finalists=1)
_CHANGE_EFFORT = SearchEffort(hypotheses=1500, candidates=8, finalists=1)
# Joints that hardly move, or move about zero evenly, look alike either way.
LEAST_DIFFERENCE_RAD = 0.2
# What right descriptions reach on small pictures: with masks, and with changes between images.
PLAUSIBLE_OVERLAP = 0.65
PLAUSIBLE_CHANGE = 0.3


@dataclass(frozen=True)
class JointDirections:
    """How well the images are explained with each joint as recorded, and reversed.

    Attributes:
        recorded: Overlap that the best of few camera poses reaches, between 0 and 1.
        reversed_joint: Name of the joint whose reversal helps most, "" where none was tried.
        overlap: The same overlap with that joint reversed.
        plausible: Whether that overlap is one that a right description reaches.
    """

    recorded: float
    reversed_joint: str
    overlap: float
    plausible: bool


def examine_directions(observations: Observations, seed: int = 0) -> JointDirections:
    """Search for the camera with each joint reversed in turn.

    Args:
        observations: Frames whose robot could not be explained.
        seed: Seed of the searches.
    """
    recorded = _best_overlap(observations, observations.motion, seed)
    best = ("", 0.0)
    motion = observations.motion.subset(observations.solve)
    positions = motion.positions()
    for column, name in enumerate(motion.kinematics.joint_names):
        if name in motion.assumed_positions:
            continue
        if np.abs(positions[:, column]).max() < LEAST_DIFFERENCE_RAD:
            continue
        overlap = _best_overlap(observations, _reversed(observations.motion, name), seed)
        if overlap > best[1]:
            best = (name, overlap)
    least = PLAUSIBLE_CHANGE if observations.masks is None else PLAUSIBLE_OVERLAP
    return JointDirections(recorded, *best, plausible=best[1] >= least)


def _reversed(motion: RobotMotion, name: str) -> RobotMotion:
    series = {other: motion.joints.series(other) for other in motion.joints.names}
    stamps, positions = series[name]
    series[name] = stamps, -positions
    return replace(motion, joints=JointTrajectory.from_series(series))


def _best_overlap(observations: Observations, motion: RobotMotion, seed: int) -> float:
    if observations.masks is not None:
        frames = observations.spread(MASK_FRAMES)
        problem = replace(mask_problem(observations, frames), motion=motion.subset(frames))
        found, _ = search_masks(problem, _MASK_EFFORT, seed)
    else:
        frames = observations.spread(CHANGE_FRAMES)
        found, _ = search_change(
            observations.images[frames], observations.surface, motion.subset(frames),
            observations.camera, _CHANGE_EFFORT, seed,
        )  # fmt: skip
    return max(candidate.score for candidate in found)
