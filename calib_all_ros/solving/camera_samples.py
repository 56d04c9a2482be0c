# SPDX-License-Identifier: Apache-2.0
"""Camera poses worth trying when nothing is known about where the camera is.

A view direction is guessed; where the camera then stands follows from where in the image the
robot was seen, and how large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calib_all_ros.geometry.camera import Camera

# The real root of x^4 = x + 1.
PLASTIC_3D = 1.2207440846057596
MATCHING_ROUNDS = 3
MIN_DEPTH_M = 0.15
# A pixel that is surely the robot's weighs no more than this, natural logarithm.
MOST_EXPLAINABLE = 30.0
# Size of a robot that is somewhere in the picture, over that of all there is to explain.
SOMEWHERE_SPREAD = (0.35, 1.2)


@dataclass(frozen=True)
class ImageMoments:
    """Where in the image the robot was seen, as a cloud of weighted pixels.

    Attributes:
        centre: (2,) weighted mean on the normalised image plane (z = 1); (H, 2) where H hypotheses
            have one each.
        spread: Root mean square distance from it, same unit; (H,) likewise.
    """

    centre: NDArray[np.float64]
    spread: float | NDArray[np.float64]


def image_moments(weights: NDArray[np.floating], camera: Camera) -> ImageMoments:
    """Summarise an (h, w) picture of non-negative weights."""
    height, width = weights.shape
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    x = (u - camera.K[0, 2]) / camera.K[0, 0]
    y = (v - camera.K[1, 2]) / camera.K[1, 1]
    total = max(float(weights.sum()), 1e-12)
    centre = np.array([(weights * x).sum(), (weights * y).sum()]) / total
    variance = (weights * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2)).sum() / total
    return ImageMoments(centre, float(np.sqrt(max(variance, 1e-6))))


def sample_moments(
    change: NDArray[np.floating],
    explainable: NDArray[np.floating],
    camera: Camera,
    count: int,
    rng: np.random.Generator,
) -> ImageMoments:
    """Guess where in the image the robot is, among other things that change.

    A third of the guesses takes the moments of all that a moving robot would explain, a third
    those of the change between two of the images, where others may have been still, and a third
    some place in which there is something to explain.

    Args:
        change: (P, h, w) probability of change between pairs of images.
        explainable: (h, w) how much of it a robot would explain.
        camera: Camera of these pictures.
        count: How many guesses to make.
        rng: Source of randomness.
    """
    weights = np.minimum(explainable, MOST_EXPLAINABLE).astype(np.float64) + 1e-9
    whole = image_moments(weights, camera)
    pairs = [image_moments(picture.astype(np.float64) ** 2, camera) for picture in change]
    centre, spread = np.tile(whole.centre, (count, 1)), np.full(count, float(whole.spread))
    kind = rng.integers(0, 3, count)
    chosen = rng.integers(0, len(pairs), count)
    by_pair = kind == 1
    centre[by_pair] = np.stack([moments.centre for moments in pairs])[chosen[by_pair]]
    spread[by_pair] = np.array([moments.spread for moments in pairs])[chosen[by_pair]]
    places = rng.choice(weights.size, count, p=weights.reshape(-1) / weights.sum())
    row, column = np.divmod(places, weights.shape[1])
    somewhere = np.stack([column, row], axis=1) - camera.K[:2, 2]
    centre[kind == 2] = (somewhere / np.diag(camera.K)[:2])[kind == 2]
    smallest, largest = SOMEWHERE_SPREAD
    shrunk = smallest * (largest / smallest) ** rng.random(count)
    spread[kind == 2] *= shrunk[kind == 2]
    return ImageMoments(centre, spread)


def sample_rotations(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (count, 3, 3) rotations ``R_camera_base``.

    Two thirds look at a robot that stands upright, from 30 degrees below to 85 above the horizon
    with the horizon tilted by up to 20 degrees; a third is uniform, for robots on walls and
    ceilings and for cameras on their side.
    """
    upright = 2 * count // 3
    sequence = _spread_points(count, rng)
    azimuth = 2 * np.pi * sequence[:upright, 0]
    elevation = np.arcsin(
        np.sin(np.radians(-30)) + sequence[:upright, 1] * (np.sin(np.radians(85)) + 0.5)
    )
    tilt = np.radians(40) * (sequence[:upright, 2] - 0.5)
    forward = -np.stack(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ],
        axis=1,
    )
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    level = np.stack([right, np.cross(forward, right), forward], axis=1)
    tilted = Rotation.from_rotvec(tilt[:, None] * [0.0, 0.0, 1.0]).as_matrix() @ level
    return np.concatenate([tilted, _uniform_rotations(sequence[upright:])])


def _spread_points(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (count, 3) points that fill the unit cube more evenly than independent ones.

    Roberts' R3 sequence ("The unreasonable effectiveness of quasirandom sequences", 2018), shifted
    at random. scipy.stats has such sequences too, but takes two seconds to import.
    """
    steps = PLASTIC_3D ** -np.arange(1.0, 4.0)
    return np.asarray((rng.random(3) + np.arange(count)[:, None] * steps) % 1.0)


def _uniform_rotations(unit_cube: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map the (N, 3) unit cube to uniform rotations (Shoemake, Graphics Gems III, 1992)."""
    a, b, c = unit_cube.T
    quaternions = np.stack(
        [
            np.sqrt(1 - a) * np.sin(2 * np.pi * b),
            np.sqrt(1 - a) * np.cos(2 * np.pi * b),
            np.sqrt(a) * np.sin(2 * np.pi * c),
            np.sqrt(a) * np.cos(2 * np.pi * c),
        ],
        axis=1,
    )
    return np.asarray(Rotation.from_quat(quaternions).as_matrix())


def place_cameras(
    rotations: NDArray[np.float64],
    points_base: NDArray[np.float64],
    weights: NDArray[np.float64],
    moments: ImageMoments,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Choose the translation of each view so that the robot appears where it was seen.

    Args:
        rotations: (H, 3, 3) ``R_camera_base``.
        points_base: (P, 3) points of the robot over all configurations, metres.
        weights: (P,) how much each point contributes to the picture.
        moments: Where the robot was seen.
        rng: Spreads half of the distances and directions, because a robot that is cut by the
            image border looks smaller and elsewhere.

    Returns:
        (H, 4, 4) ``T_camera_base``.
    """
    count = len(rotations)
    rotated = np.einsum("hij,pj->hpi", rotations, points_base).astype(np.float32)
    weight = (weights / weights.sum()).astype(np.float32)
    mean = np.einsum("p,hpi->hi", weight, rotated)
    spread = np.sqrt(np.einsum("p,hp->h", weight, ((rotated - mean[:, None])[..., :2] ** 2).sum(2)))
    loose = rng.random(count) < 0.5
    stretch = np.where(loose, np.exp(rng.normal(0.0, 0.3, count)), 1.0)
    shift = rng.normal(0.0, 0.5, (count, 2)) * np.reshape(moments.spread, (-1, 1))
    shift = np.where(loose[:, None], shift, 0.0)
    distance = spread / moments.spread
    offset = np.zeros((count, 2), dtype=np.float32)
    translation = np.empty((count, 3))
    for _ in range(MATCHING_ROUNDS):
        translation[:, 2] = distance - mean[:, 2]
        translation[:, :2] = (moments.centre - offset) * distance[:, None] - mean[:, :2]
        shifted = rotated + translation[:, None].astype(np.float32)
        z = np.maximum(shifted[..., 2], MIN_DEPTH_M)
        plane = shifted[..., :2] / z[..., None]
        seen = np.einsum("p,hpi->hi", weight, plane)
        size = np.sqrt(np.einsum("p,hp->h", weight, ((plane - seen[:, None]) ** 2).sum(2)))
        distance = np.maximum(distance * size / moments.spread, MIN_DEPTH_M)
        offset += (seen - moments.centre).astype(np.float32)
    distance = distance * stretch
    translation[:, 2] = distance - mean[:, 2]
    translation[:, :2] = (moments.centre + shift - offset) * distance[:, None] - mean[:, :2]
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:, :3, :3] = rotations
    T[:, :3, 3] = translation
    return T


def perturb(
    T_camera_base: NDArray[np.float64],
    centre_base: NDArray[np.float64],
    copies: int,
    angle_rad: float,
    shift: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return (copies * H, 4, 4) random variations of (H, 4, 4) poses.

    Args:
        T_camera_base: Poses to vary.
        centre_base: (3,) point of the robot about which it is turned in front of the camera.
        copies: Variations of each pose.
        angle_rad: Standard deviation of the rotation about each axis.
        shift: Standard deviation of the translation along each axis, over the camera's distance.
        rng: Source of randomness.
    """
    T = np.repeat(T_camera_base, copies, axis=0)
    R = Rotation.from_rotvec(rng.normal(0.0, angle_rad, (len(T), 3))).as_matrix()
    centre = np.einsum("hij,j->hi", T[:, :3, :3], centre_base) + T[:, :3, 3]
    distance = np.linalg.norm(centre, axis=1, keepdims=True)
    moved = centre + rng.normal(0.0, shift, (len(T), 3)) * distance
    varied: NDArray[np.float64] = T.copy()
    varied[:, :3, :3] = R @ T[:, :3, :3]
    varied[:, :3, 3] = np.einsum("hij,hj->hi", R, T[:, :3, 3] - centre) + moved
    return varied
