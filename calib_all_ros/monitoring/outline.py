# SPDX-License-Identifier: Apache-2.0
"""Agreement of a drawn outline with the edges of an image, chance taken off."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.monitoring.edges import (
    delayed_agreement,
    shifted_agreement,
    strongest_along_normal,
)
from calib_all_ros.robot.kinematics import Kinematics
from calib_all_ros.robot.surface import RobotSurface
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.gauss_newton import Measurements, Parameters, step
from calib_all_ros.solving.motion import RobotMotion
from calib_all_ros.solving.outline import Outline, render_outline

DETAIL_M = 0.005
MIN_POINTS = 40
# Outline pixels whose displacement is searched, as a share of the image's width.
REACH_SHARE = 0.1
# The robot has moved when one in ten points of its surface is displaced by this, working pixels.
MOTION_PX = 2.0
MOTION_QUANTILE = 0.9
MOTION_POINTS = 150
LAGS_S = np.linspace(-0.3, 0.3, 25)
SNIPPET_STEP_NS = 20_000_000
SNIPPET_REACH_NS = 320_000_000
# Turns of the fit: how far edges are looked for, and the scale of the robust kernel, working px.
TURNS = ((6.0, 3.0), (5.0, 2.0), (4.0, 1.5), (3.0, 1.0), (3.0, 1.0))
FREE = Parameters(lag=True, mask_bias=False, lag_sigma_s=0.15)
STOP_PX = 0.1
# Whether a gap of the joint states is too long has been judged before.
_ANY_GAP_NS = 2**62
MAX_POINTS = 240
# An edge belongs to the outline when it is this close, working pixels.
CLOSE_PX = 1.0
# Displacements at which an outline meets edges by chance only, working pixels.
ELSEWHERE_PX = 12.0 * np.array(
    [[1, 0], [0, 1], [-1, 0], [0, -1], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7], [-0.7, -0.7]]
)
BORDER_PX = 2.0


@dataclass(frozen=True)
class OutlineImage:
    """One image against the outline drawn at the calibrated pose.

    Attributes:
        stamp_ns: Stamp of the image.
        edges: (H, W, 2) its moving edges.
        outline: The outline.
        index: (M,) indices of the outline points that are compared.
        shifts: (2R + 1, 2R + 1) agreement at every displacement, see `shifted_agreement`.
        lags: (K,) agreement at every lag of `LAGS_S`.
        support: How much better the outline, at the displacement that is known of, agrees with
            the edges than by chance.
        agreement: How well it agrees with them at the calibrated pose, 0 to 1.
        snippet: Joint positions around the instant of the image: (T,) stamps and (T, J) rows.
    """

    stamp_ns: int
    edges: NDArray[np.float32]
    outline: Outline
    index: NDArray[np.intp]
    shifts: NDArray[np.float32]
    lags: NDArray[np.float32]
    support: float
    agreement: float
    snippet: tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class OutlineFinding:
    """What several images say together.

    Attributes:
        stamp_ns: Stamp of the newest of them.
        estimate: The fitted pose and the lag beyond the calibrated one.
        shift_px: Root mean square displacement of the outline by the fitted pose.
        mean_shift_px: (2,) its mean displacement.
        distance_m: Median distance of the outline from the camera.
        support: How much better the outline agrees with the edges at the fit than by chance.
        agreement: How well it agrees with them, 0 to 1.
        agreement_before: The same at the calibrated pose.
    """

    stamp_ns: int
    estimate: Estimate
    shift_px: float
    mean_shift_px: NDArray[np.float64]
    distance_m: float
    support: float
    agreement: float
    agreement_before: float


class OutlineWitness:
    """Compares images with the robot's outline at a calibrated pose.

    All pixels are those of the camera given.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        surface: RobotSurface,
        camera: Camera,
        T_camera_base: NDArray[np.float64],
        joint_names: tuple[str, ...],
        assumed: dict[str, float],
        window: int,
    ) -> None:
        """Prepare.

        Args:
            kinematics: The robot.
            surface: What of it is drawn.
            camera: Pinhole camera of the images.
            T_camera_base: (4, 4) calibrated pose.
            joint_names: Joints that are known.
            assumed: Positions of the others.
            window: How many images are kept.
        """
        self._kinematics = kinematics
        self._surface = surface.simplified(DETAIL_M)
        self._camera = camera
        self._calibrated = Estimate(T_camera_base)
        self._names = joint_names
        self._assumed = assumed
        self.reach_px = round(REACH_SHARE * camera.width)
        self.kept: deque[OutlineImage] = deque(maxlen=window)
        self._sample = surface.sample(MOTION_POINTS, seed=0)
        self._sample_px: NDArray[np.float64] | None = None

    def look(
        self,
        edges: NDArray[np.float32],
        stamp_ns: int,
        joints: JointTrajectory,
        known_shift_px: NDArray[np.float64],
    ) -> OutlineImage | None:
        """Compare one image; None when too little of the robot is in view.

        Args:
            edges: (H, W, 2) moving edges of the image.
            stamp_ns: The instant it shows, on the joint states' clock.
            joints: Joint states around it.
            known_shift_px: (2,) displacement at which the outline's support is looked for.
        """
        snippet = self._snippet(stamp_ns, joints)
        outline = render_outline(
            self._surface, self._motion([(stamp_ns, snippet)]), self._camera, self._calibrated
        )
        index = in_view(outline, self._camera)
        if len(index) < MIN_POINTS:
            return None
        pixels, normals = edge_points(outline, index)
        support, _ = support_and_agreement(pixels + known_shift_px, normals, edges)
        return OutlineImage(
            stamp_ns=stamp_ns,
            edges=edges,
            outline=outline,
            index=index,
            shifts=shifted_agreement(pixels, normals, edges, self.reach_px),
            lags=delayed_agreement(pixels, normals, outline.d_pixels_d_lag[index], edges, LAGS_S),
            support=support,
            agreement=mean_agreement(pixels, normals, edges),
            snippet=snippet,
        )

    @property
    def peak_px(self) -> float:
        """How far from zero the images kept agree best."""
        shifts = np.mean([image.shifts for image in self.kept], axis=0)
        return float(np.abs(_peak(shifts)).max())

    def keep(self, image: OutlineImage) -> bool:
        """Keep an image if the robot stands elsewhere than in the last one kept."""
        points, link = self._sample
        motion = self._motion([(image.stamp_ns, image.snippet)])
        poses = self._calibrated.T_camera_base @ motion.link_poses()[0, link]
        in_camera = np.einsum("pij,pj->pi", poses[:, :3, :3], points) + poses[:, :3, 3]
        pixels = self._camera.project(in_camera)
        if self._sample_px is not None:
            moved = np.linalg.norm(pixels - self._sample_px, axis=1)
            if np.nanquantile(moved, MOTION_QUANTILE) < MOTION_PX:
                return False
        self._sample_px = pixels
        self.kept.append(image)
        return True

    def forget(self) -> None:
        """Drop the images kept."""
        self.kept.clear()
        self._sample_px = None

    def fit(self) -> OutlineFinding:
        """Fit pose and lag to the images kept, of which there must be one or more."""
        images = list(self.kept)
        motion = self._motion([(image.stamp_ns, image.snippet) for image in images])
        edges = np.stack([image.edges for image in images])
        shifts = np.mean([image.shifts for image in images], axis=0)
        estimate = self._start(images, shifts)
        for reach, kernel in TURNS:
            outline = render_outline(self._surface, motion, self._camera, estimate)
            measured = match_edges(outline, edges, self._camera, reach)
            taken = step(estimate, outline, measured, self._camera, FREE, kernel)
            estimate = taken.estimate
            if taken.shift_px < STOP_PX:
                break
        points = _joined(images)
        shift = self._displacement(points, estimate)
        after = render_outline(self._surface, motion, self._camera, estimate)
        matched = [
            support_and_agreement(
                *edge_points(after, in_view(after, self._camera, number)), picture
            )
            for number, picture in enumerate(edges)
        ]
        support, agreement = np.mean(matched, axis=0)
        return OutlineFinding(
            stamp_ns=images[-1].stamp_ns,
            estimate=estimate,
            shift_px=float(np.sqrt(np.nanmean((shift**2).sum(axis=1)))),
            mean_shift_px=np.nanmean(shift, axis=0),
            distance_m=float(np.median(points[:, 2])),
            support=float(support),
            agreement=float(agreement),
            agreement_before=float(np.mean([image.agreement for image in images])),
        )

    def _displacement(self, points: NDArray[np.float64], estimate: Estimate) -> NDArray[np.float64]:
        """Return the (M, 2) image displacements of (M, 3) points in the optical frame."""
        T = estimate.T_camera_base @ se3.invert(self._calibrated.T_camera_base)
        return self._camera.project(se3.transform(T, points)) - self._camera.project(points)

    def _start(self, images: list[OutlineImage], shifts: NDArray[np.floating]) -> Estimate:
        """Return the better of a displaced and a late start."""
        lags = np.mean([image.lags for image in images], axis=0)
        if lags.max() > shifts.max():
            return Estimate(self._calibrated.T_camera_base, float(LAGS_S[int(np.argmax(lags))]))
        centre = np.median(_joined(images), axis=0)
        focal = np.diag(self._camera.K)[:2]
        shift = np.append(_peak(shifts) / focal * centre[2], 0.0)
        return self._calibrated.moved(np.concatenate([np.zeros(3), shift]), centre)

    def _snippet(
        self, stamp_ns: int, joints: JointTrajectory
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        start, end = joints.span(self._names)
        offsets = np.arange(-SNIPPET_REACH_NS, SNIPPET_REACH_NS + 1, SNIPPET_STEP_NS)
        instants = np.unique(np.clip(stamp_ns + offsets, start, end))
        rows, _ = joints.at(instants, self._names, max_gap_ns=_ANY_GAP_NS)
        return instants, rows

    def _motion(
        self, parts: list[tuple[int, tuple[NDArray[np.int64], NDArray[np.float64]]]]
    ) -> RobotMotion:
        joints = JointTrajectory(
            self._names,
            np.concatenate([stamps for _, (stamps, _) in parts]),
            np.concatenate([rows for _, (_, rows) in parts]),
        )
        stamps = np.array([stamp for stamp, _ in parts], dtype=np.int64)
        return RobotMotion(self._kinematics, joints, stamps, self._assumed)


def _joined(images: list[OutlineImage]) -> NDArray[np.float64]:
    """Return the (M, 3) compared points of all images in the optical frame."""
    return np.concatenate([image.outline.points[image.index] for image in images])


def _peak(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (2,) displacement of the highest agreement."""
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    reach = scores.shape[0] // 2
    return np.array([column - reach, row - reach], dtype=np.float64)


def in_view(outline: Outline, camera: Camera, number: int = 0) -> NDArray[np.intp]:
    """Return at most `MAX_POINTS` indices of outline points of one frame inside the image."""
    begin, end = np.searchsorted(outline.frame, [number, number + 1])
    u, v = outline.pixels[begin:end].T
    border = np.minimum(np.minimum(u, v), np.minimum(camera.width - 1 - u, camera.height - 1 - v))
    sloped = np.abs(outline.normals[begin:end]).sum(axis=1) > 0
    index = begin + np.flatnonzero((border >= BORDER_PX) & sloped)
    every = max(1, -(-len(index) // MAX_POINTS))
    return np.asarray(index[::every])


def edge_points(
    outline: Outline, index: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (M, 2) points on the true edge, which is outside of the outline pixels' centres."""
    normals = outline.normals[index]
    outside = 0.5 * np.abs(normals).max(axis=1, keepdims=True)
    return outline.pixels[index] + outside * normals, normals


def match_edges(
    outline: Outline, edges: NDArray[np.float32], camera: Camera, reach_px: float
) -> Measurements:
    """Measure how far the edges are from the outline of N frames, along its normals.

    Args:
        outline: Outline in all frames.
        edges: (N, H, W, 2) their moving edges.
        camera: Pinhole camera of the frames.
        reach_px: How far edges are looked for on either side.
    """
    parts = []
    for number, picture in enumerate(edges):
        index = in_view(outline, camera, number)
        pixels, normals = edge_points(outline, index)
        distance, agreement = strongest_along_normal(pixels, normals, picture, reach_px)
        found = agreement > 0.0
        parts.append(Measurements(index[found], normals[found], -distance[found], agreement[found]))
    return reduce(Measurements.joined, parts)


def support_and_agreement(
    pixels: NDArray[np.float64], normals: NDArray[np.float64], edges: NDArray[np.float32]
) -> tuple[float, float]:
    """Return how much better the outline agrees with the edges than by chance, and how well.

    Chance is what it finds at displacements that are certainly wrong.
    """
    here = mean_agreement(pixels, normals, edges)
    elsewhere = [mean_agreement(pixels + offset, normals, edges) for offset in ELSEWHERE_PX]
    return here - float(np.mean(elsewhere)), here


def mean_agreement(
    pixels: NDArray[np.float64], normals: NDArray[np.float64], edges: NDArray[np.float32]
) -> float:
    """Return how well (M, 2) points agree with edges close to them, 0 to 1."""
    return float(np.mean(strongest_along_normal(pixels, normals, edges, CLOSE_PX)[1]))
