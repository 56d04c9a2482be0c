# SPDX-License-Identifier: Apache-2.0
"""The camera's pose from one tracked mark on a moving link: temporal PnP.

The 2D track of the mark and the 3D path of the link that carries it are the correspondences of a
Perspective-n-Point problem. :func:`solve_epnp` solves it as CalibAll does (section 3.2), with
EPnP (Lepetit et al., 2009). That trusts the mark to sit in the link's origin, images and joints to
share one clock, and the whole track to be good. :func:`solve_temporal_pnp` does not: it
estimates the mark's position on the link and the time lag jointly with the pose, with a robust
loss, started from RANSAC with SQPnP (Terzakis and Lourakis, 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calib_all_ros.errors import CalibAllError
from calib_all_ros.geometry import se3
from calib_all_ros.solving.mark_reprojection import (
    ExtraParameters,
    LinkPath,
    MarkEstimate,
    MarkProblem,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# First and last part of the track that a start uses, besides all of it.
_TRACK_PARTS = ((0.0, 0.75), (0.0, 0.5), (0.25, 1.0), (0.5, 1.0))
_SMALLEST_SPREAD_M = 1e-3
_EPNP_POINTS = 4
_RANSAC_ROUNDS = 100
# Which extra parameters may be free, the fewest first.
_MODELS = (
    ExtraParameters(lag=False, offset=False),
    ExtraParameters(lag=True, offset=False),
    ExtraParameters(lag=False, offset=True),
    ExtraParameters(lag=True, offset=True),
)
_WIDE_KERNEL = 5.0
_FIRST_STEPS = 5
_ROUGH_STEPS = 12
_LAST_STEPS = 60


class TemporalPnpError(CalibAllError):
    """The track cannot give a camera pose."""


@dataclass(frozen=True)
class TemporalPnpSettings:
    """How temporal PnP weighs its evidence.

    Attributes:
        pixel_sigma_px: noise expected of a good track.
        offset_sigma_m: how far from the expected point the mark may be on its link.
        lag_sigma_s: how large a lag between images and joints is to be expected.
        max_lag_s: lags beyond this are not considered.
        min_points: fewest visible frames to attempt a solution.
        folds: number of blocks, each held out once, in the choice of extra parameters.
        held_out_gain: share by which the held-out error must fall to keep an extra parameter.
        max_condition: extra parameters that make the problem worse conditioned are not kept.
        kernel_px: error at which a frame begins to lose influence.
        inlier_sigmas: errors up to this many ``pixel_sigma_px`` are those of a good track.
        ransac_px: reprojection thresholds of the RANSAC starts.
        start_offset_m: the starts assume the mark this far from the expected point on each axis.
        continued: how many of the starts are pursued after a few steps.
        polished: how many of the best starts are optimised to the end.
    """

    pixel_sigma_px: float = 2.0
    offset_sigma_m: float = 0.05
    lag_sigma_s: float = 0.05
    max_lag_s: float = 0.3
    min_points: int = 6
    folds: int = 5
    held_out_gain: float = 0.02
    max_condition: float = 150.0
    kernel_px: float = 4.0
    inlier_sigmas: float = 3.5
    ransac_px: tuple[float, ...] = (6.0, 20.0)
    start_offset_m: float = 0.05
    continued: int = 10
    polished: int = 3

    def __post_init__(self) -> None:
        for name in ("pixel_sigma_px", "offset_sigma_m", "lag_sigma_s", "max_lag_s", "kernel_px"):
            if not getattr(self, name) > 0:
                raise TemporalPnpError(f"{name} must be positive, got {getattr(self, name)}")
        if self.min_points < 5 or self.folds < 2 or not self.ransac_px:
            raise TemporalPnpError("temporal PnP needs min_points >= 5, folds >= 2 and ransac_px")


@dataclass(frozen=True, eq=False)
class TemporalPnpResult:
    """The camera's pose from a tracked mark.

    Attributes:
        T_camera_base: (4, 4).
        point_in_link: (3,) the mark in the frame of its link, metres.
        lag_s: how much later than the light the images are stamped.
        inliers: (N,) frames whose mark lies where the solution says.
        reprojection_rms_px: of the inliers.
        held_out_rms_px: of the inliers, each predicted without its block of frames; NaN where the
            track is too short to hold any out.
        covariance: (6, 6) of the error of ``T_base_camera`` (displacement along base axes, then
            rotation about them), given the track's noise and the priors of both extra parameters,
            kept or not. Frames count as independent, so it is optimistic.
        condition_number: of the problem solved, in units of what is expected of each parameter.
        free: the extra parameters kept: "offset", "lag".
        termination: "converged"; "ill-conditioned" when the motion hardly determines the pose;
            "unverified" when the track is too short to hold any of it out.
    """

    T_camera_base: Array
    point_in_link: Array
    lag_s: float
    inliers: Mask
    reprojection_rms_px: float
    held_out_rms_px: float
    covariance: Array
    condition_number: float
    free: tuple[str, ...]
    termination: str


def solve_temporal_pnp(
    pixels: Array,
    visible: Mask,
    link_poses: Callable[[float], Array],
    K: Array,
    settings: TemporalPnpSettings | None = None,
    *,
    expected_point_in_link: Array | None = None,
) -> TemporalPnpResult:
    """Return the camera pose, the mark's place on its link and the time lag from a track.

    Args:
        pixels: (N, 2) track of the mark, without lens distortion; NaN where unknown.
        visible: (N,) frames in which the track is believed.
        link_poses: given a lag in seconds, returns (N, 4, 4) ``T_base_link`` at the joint times
            "image stamp minus lag"; NaN for frames where the joints are unknown.
        K: (3, 3) intrinsic matrix.
        settings: how to weigh; the defaults where None.
        expected_point_in_link: (3,) where the mark is expected on its link, metres; the link's
            origin where None.

    Raises:
        TemporalPnpError: too few visible frames, a mark that hardly moves, or a track that fits no
            camera pose.
    """
    settings = settings or TemporalPnpSettings()
    pixels = np.asarray(pixels, dtype=np.float64)
    frames, path, lag_allowed = _usable_frames(pixels, visible, link_poses, settings)
    expected = np.zeros(3) if expected_point_in_link is None else expected_point_in_link
    problem = MarkProblem(
        pixels=pixels[frames],
        path=path,
        K=np.asarray(K, dtype=np.float64),
        expected_point=np.asarray(expected, dtype=np.float64),
        pixel_sigma_px=settings.pixel_sigma_px,
        lag_sigma_s=settings.lag_sigma_s,
        offset_sigma_m=settings.offset_sigma_m,
        max_lag_s=settings.max_lag_s,
    )
    check_spread(problem.points_base(problem.expected_point, 0.0), settings.min_points)
    fits = _fit_models(problem, lag_allowed, settings)
    extra, held_out_rms = _choose(problem, fits, settings)
    return _result(problem, frames, len(pixels), extra, fits[extra], held_out_rms, settings)


def _usable_frames(
    pixels: Array,
    visible: Mask,
    link_poses: Callable[[float], Array],
    settings: TemporalPnpSettings,
) -> tuple[NDArray[np.intp], LinkPath, bool]:
    """Return the frames to solve with, the link's path there, and whether the lag may be free.

    The frames must not depend on the lag: a lag that makes a bad frame leave would look better.
    """
    if pixels.ndim != 2 or pixels.shape[1] != 2 or np.shape(visible) != (len(pixels),):
        raise TemporalPnpError(
            f"a track needs (N, 2) pixels and (N,) visible, got {pixels.shape} and "
            f"{np.shape(visible)}"
        )

    still = LinkPath.tabulated(link_poses, 0.0)
    seen = np.asarray(visible, dtype=bool) & np.isfinite(pixels).all(axis=1) & still.known
    if seen.sum() < settings.min_points:
        raise TemporalPnpError(
            f"the mark is visible in {seen.sum()} frames with known joints, temporal PnP needs "
            f"{settings.min_points}; choose a mark that is easier to follow or solve without one"
        )
    path = LinkPath.tabulated(link_poses, settings.max_lag_s)
    covered = seen & path.known
    if covered.sum() < max(settings.min_points, seen.sum() // 2):
        return np.flatnonzero(seen), still.subset(seen), False
    return np.flatnonzero(covered), path.subset(covered), True


def _fit_models(
    problem: MarkProblem, lag_allowed: bool, settings: TemporalPnpSettings
) -> dict[ExtraParameters, MarkEstimate]:
    """Return the best fit with each choice of extra parameters.

    The model with all of them has the widest basin, so it goes through all starts; the others
    begin at its best ones.
    """
    models = [model for model in _MODELS if lag_allowed or not model.lag]
    richest = models[-1]
    wide, narrow = settings.kernel_px * _WIDE_KERNEL, settings.kernel_px
    rough = [
        problem.minimise(start, richest, kernel_px=wide, steps=_FIRST_STEPS)
        for start in mark_starts(
            problem, settings.start_offset_m, settings.ransac_px, settings.min_points
        )
    ]
    rough = [
        problem.minimise(fit, richest, kernel_px=wide, steps=_ROUGH_STEPS)
        for fit in sorted(rough, key=lambda fit: fit.cost)[: settings.continued]
    ]
    rough = [fit for fit in rough if np.isfinite(problem.errors_px(fit)).mean() > 0.5]
    if not rough:
        raise TemporalPnpError(
            "the track fits no camera pose with the robot in front of it; choose another mark"
        )
    best = sorted(rough, key=lambda fit: fit.cost)[: settings.polished]
    fits = {}
    for model in models:
        polished = []
        for fit in best:
            start = MarkEstimate(
                fit.T_camera_base,
                fit.point_in_link if model.offset else problem.expected_point,
                fit.lag_s if model.lag else 0.0,
            )
            start = problem.minimise(start, model, kernel_px=wide, steps=_ROUGH_STEPS)
            polished.append(problem.minimise(start, model, kernel_px=narrow, steps=_LAST_STEPS))
        fits[model] = min(polished, key=lambda fit: fit.cost)
    return fits


def _choose(
    problem: MarkProblem,
    fits: dict[ExtraParameters, MarkEstimate],
    settings: TemporalPnpSettings,
) -> tuple[ExtraParameters, float]:
    """Return the extra parameters worth keeping, and the rms error of held-out frames in pixels.

    Frames that no fit explains are bad tracks; they say nothing about the parameters.
    """
    gate = settings.inlier_sigmas * settings.pixel_sigma_px
    good = np.any([problem.errors_px(fit) < gate for fit in fits.values()], axis=0)
    chosen = next(iter(fits))
    if good.sum() < settings.min_points + settings.folds:
        return chosen, float("nan")
    held_out = {
        extra: _held_out_errors(problem, extra, fit, good, settings) for extra, fit in fits.items()
    }
    kernel = settings.kernel_px
    scores = {
        extra: float(np.mean(np.log1p((errors / kernel) ** 2)))
        for extra, errors in held_out.items()
    }
    for extra, fit in fits.items():
        conditioned = _condition(problem, fit, extra) < settings.max_condition
        if conditioned and scores[extra] < (1 - settings.held_out_gain) * scores[chosen]:
            chosen = extra
    errors = held_out[chosen]
    inliers = problem.errors_px(fits[chosen])[good] < gate
    return chosen, _rms(errors[inliers]) if inliers.any() else float("nan")


def _held_out_errors(
    problem: MarkProblem,
    extra: ExtraParameters,
    fit: MarkEstimate,
    good: Mask,
    settings: TemporalPnpSettings,
) -> Array:
    """Return the error of each good frame when its block of the track is left out of the fit."""
    errors = np.full(len(good), np.nan)
    for block in np.array_split(np.flatnonzero(good), settings.folds):
        kept = good.copy()
        kept[block] = False
        without = problem.subset(kept).minimise(
            fit, extra, kernel_px=settings.kernel_px, steps=_ROUGH_STEPS
        )
        errors[block] = problem.errors_px(without)[block]
    return errors[good]


def _condition(problem: MarkProblem, fit: MarkEstimate, extra: ExtraParameters) -> float:
    return float(np.linalg.cond(problem.jacobian(fit, extra)))


def _result(
    problem: MarkProblem,
    frames: NDArray[np.intp],
    frame_count: int,
    extra: ExtraParameters,
    fit: MarkEstimate,
    held_out_rms: float,
    settings: TemporalPnpSettings,
) -> TemporalPnpResult:
    errors = problem.errors_px(fit)
    good = errors < settings.inlier_sigmas * settings.pixel_sigma_px
    if good.sum() < settings.min_points:
        raise TemporalPnpError(
            f"only {good.sum()} of {len(errors)} visible frames agree on a camera pose, temporal "
            f"PnP needs {settings.min_points}; choose another mark or solve without one"
        )
    inliers = np.zeros(frame_count, dtype=bool)
    inliers[frames[good]] = True
    consistent = problem.subset(good)
    condition = _condition(consistent, fit, extra)
    return TemporalPnpResult(
        T_camera_base=fit.T_camera_base,
        point_in_link=fit.point_in_link,
        lag_s=fit.lag_s,
        inliers=inliers,
        reprojection_rms_px=_rms(errors[good]),
        held_out_rms_px=held_out_rms,
        covariance=consistent.pose_covariance(fit, _MODELS[-1]),
        condition_number=condition,
        free=extra.names,
        termination=_termination(condition, held_out_rms, settings),
    )


def _termination(condition: float, held_out_rms: float, settings: TemporalPnpSettings) -> str:
    if condition >= settings.max_condition:
        return "ill-conditioned"
    return "converged" if np.isfinite(held_out_rms) else "unverified"


def _rms(errors: Array) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def mark_starts(
    problem: MarkProblem, offset_m: float, ransac_px: tuple[float, ...], fewest: int
) -> list[MarkEstimate]:
    """Return poses with the mark assumed at several places around the expected one.

    RANSAC resists single bad frames. Trackers rather lose the mark for good, and what they report
    from then on is a still point which agrees with itself; so parts of the track are tried, too.

    Args:
        problem: the track and the motion of its link.
        offset_m: the mark is assumed at the expected point and this far from it on each axis.
        ransac_px: reprojection thresholds of RANSAC, tried one by one on the whole track.
        fewest: shortest part of the track to be tried, in frames.
    """
    steps = offset_m * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    count = len(problem.pixels)
    parts = [slice(0, count)] + [
        slice(int(first * count), int(last * count))
        for first, last in _TRACK_PARTS
        if int(last * count) - int(first * count) >= fewest
    ]
    starts = []
    for step in steps:
        point = problem.expected_point + step
        points = problem.points_base(point, 0.0)
        found = [sqpnp(points[part], problem.pixels[part], problem.K, None) for part in parts]
        found += [sqpnp(points, problem.pixels, problem.K, limit) for limit in ransac_px]
        starts += [MarkEstimate(T, point, 0.0) for T in found if T is not None]
    return starts


def solve_epnp(points_base: Array, pixels: Array, K: Array) -> Array:
    """Return ``T_camera_base`` from points and their pixels with EPnP, trusting all of them.

    Args:
        points_base: (N, 3) points in the base frame, metres.
        pixels: (N, 2) where they are seen, without lens distortion.
        K: (3, 3) intrinsic matrix.

    Raises:
        TemporalPnpError: fewer than four points, points on one line, values that are not finite,
            or a solution with points behind the camera.
    """
    points = np.ascontiguousarray(points_base, dtype=np.float64)
    image = np.ascontiguousarray(pixels, dtype=np.float64)
    if points.ndim != 2 or points.shape[1:] != (3,) or image.shape != (len(points), 2):
        raise TemporalPnpError(
            f"EPnP needs (N, 3) points and (N, 2) pixels, got {points.shape} and {image.shape}"
        )
    if not (np.isfinite(points).all() and np.isfinite(image).all()):
        raise TemporalPnpError("EPnP needs finite points and pixels; leave out unknown frames")
    check_spread(points, _EPNP_POINTS)
    try:
        found, rotvec, translation = cv2.solvePnP(points, image, K, None, flags=cv2.SOLVEPNP_EPNP)
    except cv2.error as error:
        raise TemporalPnpError(f"EPnP rejects these points ({error.err})") from error
    if not found:
        raise TemporalPnpError("EPnP finds no camera pose for these points")
    T_camera_base = _pose(rotvec, translation)
    if T_camera_base is None or (se3.transform(T_camera_base, points)[:, 2] <= 0).any():
        raise TemporalPnpError("EPnP puts points behind the camera: the track does not fit the arm")
    return T_camera_base


def sqpnp(points: Array, pixels: Array, K: Array, ransac_px: float | None) -> Array | None:
    """Return ``T_camera_base`` from all points, or from those that RANSAC keeps; None if none.

    Points are (N, 3) in the base frame, pixels (N, 2). The solver is SQPnP (Terzakis and
    Lourakis, 2020); ``ransac_px`` is the reprojection threshold of RANSAC, None to use all points.
    """
    try:
        if ransac_px is None:
            found, rotvec, translation = cv2.solvePnP(
                points, pixels, K, None, flags=cv2.SOLVEPNP_SQPNP
            )
        else:
            found, rotvec, translation, _ = cv2.solvePnPRansac(
                points,
                pixels,
                K,
                None,
                iterationsCount=_RANSAC_ROUNDS,
                reprojectionError=ransac_px,
                flags=cv2.SOLVEPNP_SQPNP,
            )
    except cv2.error:
        # SQPnP asserts that its points do not coincide, and RANSAC may hand it such.
        return None
    return _pose(rotvec, translation) if found else None


def check_spread(points: Array, fewest: int) -> None:
    """Raise TemporalPnpError where (N, 3) points are too few, or on one line."""
    if len(points) < fewest:
        raise TemporalPnpError(f"PnP needs {fewest} points, got {len(points)}")
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points))
    if spread[1] < _SMALLEST_SPREAD_M:
        raise TemporalPnpError(
            f"the mark moves along a line or not at all (spread {spread[0] * 100:.1f} cm by "
            f"{spread[1] * 100:.1f} cm); record a motion in more directions"
        )


def _pose(rotvec: Any, translation: Any) -> Array | None:
    """Return the 4x4 transform of OpenCV's answer, None where that is not finite."""
    if not (np.isfinite(rotvec).all() and np.isfinite(translation).all()):
        return None
    return se3.from_rotvec(rotvec.ravel(), translation.ravel())
