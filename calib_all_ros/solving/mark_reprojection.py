# SPDX-License-Identifier: Apache-2.0
"""Robust least squares on the reprojection of one mark that a moving link carries.

Ten parameters: the camera's pose, the mark's place on its link and the lag between images and
joints. The extra four have Gaussian priors and can be held fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from calib_all_ros.geometry import se3

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_ROTATION, _TRANSLATION, _LAG, _OFFSET = slice(0, 3), slice(3, 6), 6, slice(7, 10)
_POSE_SIZE = 6
_SIZE = 10
_ROTATION_SCALE_RAD = 0.1
_TRANSLATION_SCALE_M = 0.1
_NEAREST_M = 0.02
_STEP_S = 0.01


@dataclass(frozen=True, eq=False)
class LinkPath:
    """Poses of a link, tabulated over lags and interpolated between them.

    Entries are 10 ms apart; at 2 rad/s and 2 m/s^2 linear interpolation between them errs by
    0.05 mrad and 0.03 mm. Kinematics would be asked thousands of times otherwise.

    Attributes:
        lags_s: (L,) rising; a single one for a path that does not depend on the lag.
        table: (L, N, 4, 4) ``T_base_link``, NaN where unknown.
    """

    lags_s: Array
    table: Array

    @classmethod
    def tabulated(cls, link_poses: Callable[[float], Array], max_lag_s: float) -> LinkPath:
        """Return the path of ``link_poses``, (N, 4, 4) for a lag, from minus to plus the most."""
        steps = int(np.ceil(max_lag_s / _STEP_S))
        lags_s = np.linspace(-max_lag_s, max_lag_s, 2 * steps + 1)
        return cls(lags_s, np.stack([link_poses(float(lag_s)) for lag_s in lags_s]))

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) images at which the pose is known for every lag of the table."""
        return np.asarray(np.isfinite(self.table).all(axis=(0, 2, 3)))

    def subset(self, chosen: NDArray[np.bool_]) -> LinkPath:
        """Return the path at some of the images."""
        return LinkPath(self.lags_s, self.table[:, chosen])

    def poses(self, lag_s: float) -> Array:
        """Return (N, 4, 4) ``T_base_link``; lags beyond the table count as its end."""
        if len(self.lags_s) == 1:
            return np.asarray(self.table[0])
        position = np.interp(lag_s, self.lags_s, np.arange(len(self.lags_s)))
        entry = min(int(position), len(self.lags_s) - 2)
        share = position - entry
        return np.asarray((1 - share) * self.table[entry] + share * self.table[entry + 1])

    def rates(self, lag_s: float) -> Array:
        """Return the (N, 4, 4) derivative of the poses by the lag, per second."""
        if len(self.lags_s) == 1:
            return np.zeros_like(self.table[0])
        low = max(lag_s - _STEP_S, self.lags_s[0])
        high = min(lag_s + _STEP_S, self.lags_s[-1])
        return np.asarray((self.poses(high) - self.poses(low)) / (high - low))


@dataclass(frozen=True)
class ExtraParameters:
    """Which parameters besides the pose are free."""

    lag: bool
    offset: bool

    @property
    def indices(self) -> Indices:
        """Where the free parameters are among the ten."""
        extra = ([_LAG] if self.lag else []) + (list(range(_LAG + 1, _SIZE)) if self.offset else [])
        return np.array([*range(_POSE_SIZE), *extra], dtype=np.intp)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the free extra parameters."""
        flags = {"offset": self.offset, "lag": self.lag}
        return tuple(name for name, free in flags.items() if free)


@dataclass(frozen=True, eq=False)
class MarkEstimate:
    """A camera pose with the mark's place and the lag.

    Attributes:
        T_camera_base: (4, 4).
        point_in_link: (3,) metres.
        lag_s: how much later than the light the images are stamped.
        cost: what the robust least squares minimised; comparable between starts of one problem.
    """

    T_camera_base: Array
    point_in_link: Array
    lag_s: float
    cost: float = np.inf


@dataclass(frozen=True, eq=False)
class MarkProblem:
    """A track and the motion of the link that carries the mark.

    Attributes:
        pixels: (M, 2) undistorted, finite.
        path: of the link, at the M images.
        K: (3, 3).
        expected_point: (3,) expected place of the mark on its link, metres.
        pixel_sigma_px: noise of the track.
        lag_sigma_s: of the prior on the lag.
        offset_sigma_m: of the prior on the mark's place, on each axis.
        max_lag_s: bound of the lag.
    """

    pixels: Array
    path: LinkPath
    K: Array
    expected_point: Array
    pixel_sigma_px: float
    lag_sigma_s: float
    offset_sigma_m: float
    max_lag_s: float

    @property
    def scales(self) -> Array:
        """(10,) the size expected of each parameter."""
        return np.repeat(
            [_ROTATION_SCALE_RAD, _TRANSLATION_SCALE_M, self.lag_sigma_s, self.offset_sigma_m],
            [3, 3, 1, 3],
        )

    def points_base(self, point_in_link: Array, lag_s: float) -> Array:
        """Return the (M, 3) path of the mark in the base frame."""
        T = self.path.poses(lag_s)
        return np.asarray(T[:, :3, :3] @ point_in_link + T[:, :3, 3], dtype=np.float64)

    def subset(self, chosen: NDArray[np.bool_]) -> MarkProblem:
        """Return the problem of some of the M frames."""
        return MarkProblem(
            self.pixels[chosen],
            self.path.subset(chosen),
            self.K,
            self.expected_point,
            self.pixel_sigma_px,
            self.lag_sigma_s,
            self.offset_sigma_m,
            self.max_lag_s,
        )

    def errors_px(self, estimate: MarkEstimate) -> Array:
        """Return (M,) distances between seen and predicted mark; inf behind the camera."""
        points = self.points_base(estimate.point_in_link, estimate.lag_s)
        camera = se3.transform(estimate.T_camera_base, points)
        in_front = camera[:, 2] > _NEAREST_M
        camera[~in_front] = (0.0, 0.0, 1.0)
        image = camera @ self.K.T
        errors = np.linalg.norm(image[:, :2] / image[:, 2:] - self.pixels, axis=1)
        return np.where(in_front, errors, np.inf)

    def jacobian(self, estimate: MarkEstimate, extra: ExtraParameters) -> Array:
        """Return the (2M, P) derivative of the pixels by the free parameters, in their scales."""
        return np.asarray(
            self._linearised(_to_vector(estimate))[1][:, extra.indices] * self.scales[extra.indices]
        )

    def pose_covariance(self, estimate: MarkEstimate, extra: ExtraParameters) -> Array:
        """Return the (6, 6) covariance of the error of ``T_base_camera`` from the track's noise.

        The order is displacement of the camera along base axes in metres, then rotation about
        base axes in radians. The noise is the residuals' own where that exceeds the expected one.
        Every mark of a frame counts as independent, so this is optimistic.
        """
        free = extra.indices
        J = self.jacobian(estimate, extra)
        spread = float(np.mean(self.errors_px(estimate) ** 2)) / 2
        information = J.T @ J / max(spread, self.pixel_sigma_px**2)
        rows, _ = self._prior(free)
        information[rows, rows] += 1.0
        scales = self.scales[free]
        covariance = np.linalg.pinv(information) * np.outer(scales, scales)
        by_rotvec_and_translation = _camera_error(_to_vector(estimate))
        pose = covariance[:_POSE_SIZE, :_POSE_SIZE]
        return np.asarray(by_rotvec_and_translation @ pose @ by_rotvec_and_translation.T)

    def minimise(
        self, start: MarkEstimate, extra: ExtraParameters, *, kernel_px: float, steps: int
    ) -> MarkEstimate:
        """Return the estimate near ``start`` with the least robust cost.

        Args:
            start: where to begin; its extra parameters are kept where they are not free.
            extra: which parameters are free besides the pose.
            kernel_px: error at which a frame begins to lose influence (Cauchy kernel).
            steps: most evaluations.
        """
        free = extra.indices
        scales = self.scales[free]
        origin = _to_vector(start)
        prior_rows, prior_centres = self._prior(free)
        count = 2 * len(self.pixels)
        kernel = (kernel_px / self.pixel_sigma_px) ** 2

        def full(x: Array) -> Array:
            vector: Array = origin.copy()
            vector[free] = x * scales
            return vector

        def residuals(x: Array) -> Array:
            data = self._linearised(full(x), derivatives=False)[0] / self.pixel_sigma_px
            return np.concatenate([data, x[prior_rows] - prior_centres])

        def derivatives(x: Array) -> Array:
            data = self._linearised(full(x))[1][:, free] * scales / self.pixel_sigma_px
            return np.concatenate([data, np.eye(len(free))[prior_rows]])

        def cauchy_on_data(squared: Array) -> Array:
            rho: Array = np.stack([squared, np.ones_like(squared), np.zeros_like(squared)])
            ratio = 1.0 + squared[:count] / kernel
            rho[:, :count] = kernel * np.log(ratio), 1.0 / ratio, -1.0 / (kernel * ratio**2)
            return rho

        limit = np.where(free == _LAG, self.max_lag_s / self.lag_sigma_s, np.inf)
        found = least_squares(
            residuals,
            np.clip(origin[free] / scales, -limit * 0.999, limit * 0.999),
            derivatives,
            bounds=(-limit, limit),
            loss=cauchy_on_data,
            max_nfev=steps,
            xtol=1e-7,
            ftol=1e-7,
        )
        return _to_estimate(full(found.x), float(found.cost))

    def _prior(self, free: Indices) -> tuple[Indices, Array]:
        """Return which of the free parameters have a prior, and its centres in their scales."""
        rows = np.flatnonzero(free >= _LAG)
        centres = np.concatenate([np.zeros(7), self.expected_point]) / self.scales
        return rows, centres[free[rows]]

    def _linearised(self, vector: Array, *, derivatives: bool = True) -> tuple[Array, Array]:
        """Return the (2M,) reprojection errors in pixels and their (2M, 10) derivatives."""
        lag_s, point = float(vector[_LAG]), vector[_OFFSET]
        T = self.path.poses(lag_s)
        points = T[:, :3, :3] @ point + T[:, :3, 3]
        image, full = cv2.projectPoints(
            points, vector[_ROTATION], vector[_TRANSLATION], self.K, None
        )
        errors = (image.reshape(-1, 2) - self.pixels).ravel()
        if not derivatives:
            return errors, np.zeros((0, _SIZE))
        J = np.empty((len(errors), _SIZE))
        J[:, :_POSE_SIZE] = full[:, :_POSE_SIZE]
        # How the pixel answers to the camera point is how it answers to the translation.
        by_base_point = full[:, _TRANSLATION] @ cv2.Rodrigues(vector[_ROTATION])[0]
        by_base_point = by_base_point.reshape(-1, 2, 3)
        rates = self.path.rates(lag_s)
        velocity = rates[:, :3, :3] @ point + rates[:, :3, 3]
        J[:, _LAG] = np.einsum("nij,nj->ni", by_base_point, velocity).ravel()
        J[:, _OFFSET] = (by_base_point @ T[:, :3, :3]).reshape(-1, 3)
        return errors, J


def _camera_error(vector: Array) -> Array:
    """Return the (6, 6) derivative of the camera's displacement and rotation in the base frame."""
    rotvec, t = vector[_ROTATION], vector[_TRANSLATION]
    R, dR = cv2.Rodrigues(rotvec)
    dR = dR.reshape(3, 3, 3)
    derivative = np.zeros((6, 6))
    # The camera sits at -R^T t; its axes in the base frame are R^T.
    derivative[:3, _TRANSLATION] = -R.T
    for axis in range(3):
        derivative[:3, axis] = -dR[axis].T @ t
        spin = dR[axis].T @ R
        derivative[3:, axis] = spin[2, 1], spin[0, 2], spin[1, 0]
    return derivative


def _to_vector(estimate: MarkEstimate) -> Array:
    rotvec = cv2.Rodrigues(estimate.T_camera_base[:3, :3])[0].ravel()
    return np.concatenate(
        [rotvec, estimate.T_camera_base[:3, 3], [estimate.lag_s], estimate.point_in_link]
    )


def _to_estimate(vector: Array, cost: float) -> MarkEstimate:
    T = se3.from_rotvec(vector[_ROTATION], vector[_TRANSLATION])
    return MarkEstimate(T, vector[_OFFSET].copy(), float(vector[_LAG]), cost)
