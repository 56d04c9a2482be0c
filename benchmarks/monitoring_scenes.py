# SPDX-License-Identifier: Apache-2.0
"""Recordings with what happens to a watched camera added: bumps, people, light, stops, delays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import Case
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.camera import Camera
from calib_all_ros.geometry.joint_trajectory import JointTrajectory

Image = NDArray[np.uint8]
NS_PER_S = 1_000_000_000
# Noise of a camera; the renderings have hardly any.
SENSOR_SIGMA = 2.0
NOISE_MARGIN_PX = 64


@dataclass(frozen=True, eq=False)
class Shot:
    """One image as a camera delivers it.

    Attributes:
        image: (H, W, 3) RGB.
        mask: (H, W) where the robot is.
        stamp_ns: Its stamp.
    """

    image: Image
    mask: NDArray[np.bool_]
    stamp_ns: int


Shots = Iterable[Shot]
Effect = Callable[[Shots], Iterator[Shot]]


class Stage:
    """A recording at half its rate, played forth and back, so that no image comes twice.

    Attributes:
        case: The recording, its robot and the true pose.
        joints: Joint states of the whole play.
    """

    def __init__(self, case: Case, loops: int = 1, pause_s: tuple[float, float] = (0, 0)) -> None:
        """Load a recording with masks.

        Args:
            case: The recording.
            loops: How often to play it forth and back.
            pause_s: When the robot stops, and for how long; the image then repeats.
        """
        self.case = case
        recording = case.recording
        self._images = [recording.images[i] for i in range(len(recording))]
        self._masks = case.masks()
        stamps = recording.image_stamps_ns
        even = range(0, len(stamps) - 1, 2)
        odd = range(len(stamps) - 1, 0, -2)
        start, end = int(stamps[0]), int(stamps[-1])
        turn = [*(int(stamps[i]) for i in even), *(2 * end - int(stamps[i]) for i in odd)]
        frames = [*even, *odd] * loops
        plain = [2 * loop * (end - start) + stamp for loop in range(loops) for stamp in turn]
        begin, length = (round(s * NS_PER_S) for s in pause_s)
        hold = int(np.searchsorted(plain, start + begin, side="right")) - 1
        self._shots = _paused(frames, plain, hold, length)
        self.joints = _forth_and_back(recording.joints, start, end, loops, plain[hold], length)

    @property
    def camera(self) -> Camera:
        """The camera."""
        return self.case.recording.camera

    @property
    def T_camera_base(self) -> NDArray[np.float64]:
        """The (4, 4) true pose."""
        truth = self.case.truth
        assert truth is not None
        return truth

    def shots(self) -> Iterator[Shot]:
        """Play."""
        for frame, stamp in self._shots:
            yield Shot(self._images[frame], self._masks[frame], stamp)

    def picture(self, index: int) -> Image:
        """Return some image of the recording."""
        return self._images[index % len(self._images)]


def _paused(frames: list[int], stamps: list[int], hold: int, length: int) -> list[tuple[int, int]]:
    """Return (frame, stamp) of a play in which image ``hold`` is repeated for ``length`` ns."""
    interval = (stamps[-1] - stamps[0]) // (len(stamps) - 1)
    shots = list(zip(frames[: hold + 1], stamps[: hold + 1], strict=True))
    again = range(stamps[hold] + interval, stamps[hold] + length, interval) if length else ()
    shots += [(frames[hold], stamp) for stamp in again]
    later = zip(frames[hold + 1 :], stamps[hold + 1 :], strict=True)
    return shots + [(frame, stamp + length) for frame, stamp in later]


def _forth_and_back(
    joints: JointTrajectory, start: int, end: int, loops: int, stop: int, length: int
) -> JointTrajectory:
    """Return the joint states of a play in which the robot stops for ``length`` ns at ``stop``."""
    period = 2 * (end - start)
    series = {}
    for name in joints.names:
        stamps, positions = joints.series(name)
        use = (stamps > start) & (stamps < end)
        forth, there = stamps[use], positions[use]
        once = np.concatenate([forth, 2 * end - forth[::-1]])
        times = np.concatenate([once + loop * period for loop in range(loops)])
        values = np.tile(np.concatenate([there, there[::-1]]), loops)
        if length:
            held = np.arange(stop, stop + length, 10_000_000)
            standing = np.full(len(held), np.interp(stop, times, values))
            early, late = times < stop, times > stop
            times = np.concatenate([times[early], held, times[late] + length])
            values = np.concatenate([values[early], standing, values[late]])
        before = stamps <= start
        series[name] = (
            np.concatenate([stamps[before], times]),
            np.concatenate([positions[before], values]),
        )
    return JointTrajectory.from_series(series)


class Noise:
    """Gaussian noise, cut from one large sheet at a random place for every image."""

    def __init__(self, shape: tuple[int, ...], sigma: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        size = (shape[0] + NOISE_MARGIN_PX, shape[1] + NOISE_MARGIN_PX, 3)
        self._sheet = self._rng.normal(0.0, sigma, size).astype(np.float32)

    def __call__(self, image: Image) -> Image:
        """Return the image with noise."""
        row, column = self._rng.integers(0, NOISE_MARGIN_PX, 2)
        part = self._sheet[row : row + image.shape[0], column : column + image.shape[1]]
        return np.clip(image + part, 0, 255).astype(np.uint8)


def with_noise(sigma: float, seed: int) -> Effect:
    """Noise of a sensor."""

    def play(shots: Shots) -> Iterator[Shot]:
        noise: Noise | None = None
        for shot in shots:
            noise = noise or Noise(shot.image.shape, sigma, seed)
            yield replace(shot, image=noise(shot.image))

    return play


def rotated_view(camera: Camera, rotvec: NDArray[np.floating], begin_s: float) -> Effect:
    """Turn the camera by ``rotvec`` (radians, optical frame) from then on: a homography.

    What the turned camera would newly see at the border is filled with the border's colours.
    """
    R = se3.from_rotvec(rotvec, np.zeros(3))[:3, :3]
    H = camera.K @ R @ np.linalg.inv(camera.K)

    def play(shots: Shots) -> Iterator[Shot]:
        start: int | None = None
        for shot in shots:
            start = shot.stamp_ns if start is None else start
            if shot.stamp_ns - start < begin_s * NS_PER_S:
                yield shot
                continue
            size = shot.image.shape[1::-1]
            image = cv2.warpPerspective(shot.image, H, size, borderMode=cv2.BORDER_REPLICATE)
            mask = cv2.warpPerspective(shot.mask.astype(np.uint8), H, size) > 0
            yield Shot(np.asarray(image, dtype=np.uint8), mask, shot.stamp_ns)

    return play


def before_a_blank_wall(brightness: float) -> Effect:
    """Cut the robot out, shadows and all else aside, and put it before a plain wall."""

    def play(shots: Shots) -> Iterator[Shot]:
        for shot in shots:
            height, width = shot.mask.shape
            slope = np.linspace(0.9, 1.1, width)[None, :] * np.linspace(1.05, 0.95, height)[:, None]
            wall = (brightness * slope)[..., None]
            # The mask's staircase would be a sharper edge than a camera sees.
            share = cv2.GaussianBlur(shot.mask.astype(np.float32), (0, 0), 0.7)[..., None]
            image = share * shot.image + (1.0 - share) * wall
            yield replace(shot, image=np.clip(image, 0, 255).astype(np.uint8))

    return play


def person(texture: Image, share: float, begin_s: float, end_s: float) -> Effect:
    """Let somebody walk to and fro in front of the robot.

    Args:
        texture: Colours of their clothes, an image of the same size.
        share: How much of the robot they hide when they stand before it.
        begin_s: When they come.
        end_s: When they leave.
    """

    def play(shots: Shots) -> Iterator[Shot]:
        start: int | None = None
        half_width = 0.0
        centre = np.zeros(2)
        for shot in shots:
            start = shot.stamp_ns if start is None else start
            t = (shot.stamp_ns - start) / NS_PER_S
            if not begin_s <= t < end_s:
                yield shot
                continue
            if half_width == 0.0:
                row, column = np.nonzero(shot.mask)
                centre = np.array([column.mean(), row.mean()])
                half_width = _hiding_width(shot.mask, centre, share)
            sway = np.sin(2.0 * np.pi * (t - begin_s) / 4.0) * 0.5 * half_width
            body = _body(shot.mask.shape, centre[0] + sway, centre[1], half_width)
            image = shot.image.copy()
            # The clothes move with the person.
            moved = np.roll(texture, round(float(sway)), axis=1)
            image[body] = moved[body]
            yield Shot(image, shot.mask & ~body, shot.stamp_ns)

    return play


def _body(shape: tuple[int, ...], u: float, v: float, half_width: float) -> NDArray[np.bool_]:
    body = np.zeros(shape, np.uint8)
    middle = (round(u), round(v))
    axes = (max(1, round(half_width)), max(1, round(3.0 * half_width)))
    cv2.ellipse(body, middle, axes, 0.0, 0.0, 360.0, 1, -1)
    return body > 0


def _hiding_width(mask: NDArray[np.bool_], centre: NDArray[np.floating], share: float) -> float:
    low, high = 1.0, float(mask.shape[1])
    for _ in range(20):
        middle = 0.5 * (low + high)
        hidden = np.count_nonzero(mask & _body(mask.shape, centre[0], centre[1], middle))
        low, high = (middle, high) if hidden < share * np.count_nonzero(mask) else (low, middle)
    return high


def in_light(change: Callable[[float], tuple[float, float]]) -> Effect:
    """Change gain and gamma over time: ``change(seconds) -> (gain, gamma)``."""

    def play(shots: Shots) -> Iterator[Shot]:
        start: int | None = None
        for shot in shots:
            start = shot.stamp_ns if start is None else start
            gain, gamma = change((shot.stamp_ns - start) / NS_PER_S)
            levels = 255.0 * np.clip(gain * (np.arange(256) / 255.0) ** gamma, 0.0, 1.0)
            image = cv2.LUT(shot.image, levels.astype(np.uint8))
            yield replace(shot, image=np.asarray(image, dtype=np.uint8))

    return play


def blurred(sigma_px: float, begin_s: float = 0.0) -> Effect:
    """Put the lens out of focus."""

    def play(shots: Shots) -> Iterator[Shot]:
        start: int | None = None
        for shot in shots:
            start = shot.stamp_ns if start is None else start
            if shot.stamp_ns - start < begin_s * NS_PER_S:
                yield shot
                continue
            image = cv2.GaussianBlur(shot.image, (0, 0), sigma_px)
            yield replace(shot, image=np.asarray(image, dtype=np.uint8))

    return play


def delayed(lag_s: float) -> Effect:
    """Stamp the images later than they were taken."""

    def play(shots: Shots) -> Iterator[Shot]:
        for shot in shots:
            yield replace(shot, stamp_ns=shot.stamp_ns + round(lag_s * NS_PER_S))

    return play
