# SPDX-License-Identifier: Apache-2.0
"""Figures of the scene, once the pose is known: camera, light and dynamic objects.

A fault of the recording spoils the pose that is examined along with it, so nothing here rests on
the pose being right: it only says where not to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calib_all_ros.diagnosis.dynamic_objects import DynamicObjects, find_dynamic_objects
from calib_all_ros.diagnosis.scene_images import (
    LightCourse,
    SceneImages,
    light_course,
    scene_images,
)
from calib_all_ros.diagnosis.scene_motion import BackgroundMotion, background_motion, steadied
from calib_all_ros.solving.estimate import Estimate
from calib_all_ros.solving.observations import Observations

# Steps of the camera's motion below this are scatter, pixels of the images of the solve.
SMALLEST_STEP_PX = 0.5
# Of an affine motion, scatter below this share of its steps is the lens's perspective.
STEP_SCATTER = 0.1
# Blobs in an image count from this share of it on.
DYNAMIC_SHARE = 0.005
# Of images by brightness of the local light: robust against a few.
MOST = 0.9
# A level must last for so many values: a single one that differs is scatter.
SHORTEST = 2
MOST_STEPS = 3
# A step exceeds the scatter beside it by this factor.
CLEAR_STEP = 4.0
# A drift is believed where a line leaves so much less than levels do.
CLEAR_DRIFT = 0.7


@dataclass(frozen=True)
class Bump:
    """The camera was displaced between two images.

    Attributes:
        before: Number of the last image before, in the recording.
        after: Number of the first image after.
        before_s: When the former was taken, seconds after the first image.
        after_s: When the latter was.
        shift_px: Root mean square displacement of the background, full-size pixels.
        turn_deg: The angle that a turning camera needs for it.
    """

    before: int
    after: int
    before_s: float
    after_s: float
    shift_px: float
    turn_deg: float


@dataclass(frozen=True)
class CameraFigures:
    """How the camera moved.

    Attributes:
        known_share: Share of the images of which it is known.
        corners: How many corners of the background were followed.
        bumps: In the order of time.
        good_part_s: First and last image of the longest part without a bump, seconds.
        drift_px: How far the background drifted steadily from the first to the last image.
        shake_px: Root mean square displacement of the background beside bumps and drift.
        shake_deg: The angle that a turning camera needs for it.
    """

    known_share: float
    corners: int
    bumps: tuple[Bump, ...]
    good_part_s: tuple[float, float]
    drift_px: float
    shake_px: float
    shake_deg: float

    @property
    def shift_px(self) -> float:
        """Size of the largest bump."""
        return max((bump.shift_px for bump in self.bumps), default=0.0)


@dataclass(frozen=True)
class LightFigures:
    """How light and exposure changed; natural logarithms of grey values.

    Attributes:
        gain_spread: Standard deviation of the images' brightness.
        colour_spread: Standard deviation of the images' colour balance, the worst channel's.
        local: Smooth change over the image that is left after the gain, root mean square, in the
            images that have the most of it.
        cut_off_share: Share of the background that gets too dark or too bright, in those images.
        strongest: Number of the image with most local change.
    """

    gain_spread: float
    colour_spread: float
    local: float
    cut_off_share: float
    strongest: int


@dataclass(frozen=True)
class DynamicObjectFigures:
    """What moved beside the robot.

    Attributes:
        share: Mean share of the image that is neither background nor near the robot.
        largest_share: The largest share in one image.
        images: Numbers of the images in which there is something.
        image_share: Share of the images in which there is something.
        explained: Share of the drawn robot that differs from the background, as a robot drawn in
            the right place does.
        beside_share: Mean share of the image that differs next to the drawn robot.
        shadow_share: Mean share of the image that is in shadow.
        apart_share: Mean share of the image that something covers which moves apart from the
            largest thing that moves, wherever the robot is drawn.
        apart_image_share: Share of the images in which it covers more than a little.
    """

    share: float
    largest_share: float
    images: tuple[int, ...]
    image_share: float
    explained: float
    beside_share: float
    shadow_share: float
    apart_share: float
    apart_image_share: float


@dataclass(frozen=True)
class SceneFigures:
    """What the images say; None where nothing can be said.

    Attributes:
        camera: How the camera moved.
        light: How the light changed.
        dynamic_objects: What moved beside the robot.
    """

    camera: CameraFigures | None
    light: LightFigures | None
    dynamic_objects: DynamicObjectFigures | None

    def quality(self) -> dict[str, float]:
        """Return the figures by names with their units."""
        figures: dict[str, float] = {}
        if self.camera is not None:
            figures["background_shift_px"] = self.camera.shift_px
            figures["background_drift_px"] = self.camera.drift_px
            figures["background_shake_px"] = self.camera.shake_px
        if self.light is not None:
            figures["light_spread"] = self.light.gain_spread
            figures["light_local"] = self.light.local
        if self.dynamic_objects is not None:
            figures["stranger_share"] = self.dynamic_objects.share
            figures["moving_apart_share"] = self.dynamic_objects.apart_share
            figures["drawn_robot_seen_share"] = self.dynamic_objects.explained
        return figures


def examine_scene(observations: Observations, estimate: Estimate) -> SceneFigures:
    """Examine what the images show beside the robot.

    Args:
        observations: The images, also those beside the fitted ones.
        estimate: The final one.
    """
    scene = scene_images(observations, estimate)
    motion = background_motion(scene)
    images, unseen = steadied(scene, motion)
    light = light_course(images, scene.covered | unseen)
    dynamic_objects = None
    if light is not None:
        steady = light.corrected(images)
        dark = unseen | ~light.known[:, None, None]
        dynamic_objects = find_dynamic_objects(steady, scene.robot, scene.covered, dark)
    return SceneFigures(
        None if motion is None else _camera_figures(scene, motion),
        None if light is None else _light_figures(scene, light),
        None if dynamic_objects is None else _dynamic_figures(scene, dynamic_objects),
    )


def _camera_figures(scene: SceneImages, motion: BackgroundMotion) -> CameraFigures:
    known = np.flatnonzero(motion.known)
    displacement = motion.displacement_px[known]
    # Such that the mean over all components is that over the lengths.
    course = describe(np.sqrt(2.0) * displacement.reshape(len(known), -1), SMALLEST_STEP_PX)
    bumps = [
        Bump(
            before=int(scene.numbers[known[start - 1]]),
            after=int(scene.numbers[known[start]]),
            before_s=float(scene.seconds[known[start - 1]]),
            after_s=float(scene.seconds[known[start]]),
            shift_px=size,
            turn_deg=_degrees(size, scene),
        )
        for start, size in zip(course.starts, course.sizes, strict=True)
    ]
    ends = [0, *course.starts, len(known)]
    parts = [
        (float(scene.seconds[known[first]]), float(scene.seconds[known[end - 1]]))
        for first, end in pairwise(ends)
    ]
    shake = course.scatter if course.scatter > STEP_SCATTER * max(course.sizes, default=0) else 0.0
    return CameraFigures(
        known_share=float(np.mean(motion.known)),
        corners=len(motion.places),
        bumps=tuple(bumps),
        good_part_s=max(parts, key=lambda part: part[1] - part[0]),
        drift_px=course.drift,
        shake_px=shake,
        shake_deg=_degrees(shake, scene),
    )


def _degrees(size_px: float, scene: SceneImages) -> float:
    return float(np.degrees(np.arctan2(size_px, scene.focal_px)))


def _light_figures(scene: SceneImages, light: LightCourse) -> LightFigures:
    gain = light.log_gain[light.known]
    balance = gain - gain.mean(axis=1, keepdims=True)
    local = np.where(light.known, light.local, 0.0)
    return LightFigures(
        gain_spread=float(np.std(gain.mean(axis=1))),
        colour_spread=float(np.std(balance, axis=0).max()),
        local=float(np.quantile(local[light.known], MOST)),
        cut_off_share=float(np.quantile(light.cut_off[light.known], MOST)),
        strongest=int(scene.numbers[np.argmax(local)]),
    )


def _dynamic_figures(scene: SceneImages, found: DynamicObjects) -> DynamicObjectFigures:
    shown: NDArray[np.bool_] = found.share >= DYNAMIC_SHARE
    return DynamicObjectFigures(
        share=float(np.mean(found.share)),
        largest_share=float(np.max(found.share)),
        images=tuple(int(number) for number in scene.numbers[shown]),
        image_share=float(np.mean(shown)),
        explained=found.explained,
        beside_share=float(np.mean(found.beside)),
        shadow_share=float(np.mean(found.shadow)),
        apart_share=float(np.mean(found.apart)),
        apart_image_share=float(np.mean(found.apart >= DYNAMIC_SHARE)),
    )


@dataclass(frozen=True, eq=False)
class Course:
    """How a series went.

    Attributes:
        starts: Indices where a new level begins, ascending; empty without steps.
        sizes: (S,) root mean square size of each step.
        drift: Root mean square change from end to end of a steady drift; 0 without one.
        scatter: Root mean square distance of the values from their levels or drift.
    """

    starts: tuple[int, ...]
    sizes: tuple[float, ...]
    drift: float
    scatter: float


def describe(values: NDArray[np.floating], smallest: float) -> Course:
    """Split a series into levels, or find that it drifts.

    Binary segmentation: the step that leaves the least scatter is taken, then the parts are split
    again as long as steps stand out.

    Args:
        values: (N, D), N at least 2.
        smallest: Steps and drifts below this root mean square size are scatter.
    """
    starts = [0]
    while len(starts) <= MOST_STEPS:
        best = _best_split(values, starts, smallest)
        if best is None:
            break
        starts = sorted([*starts, best])
    levels = _levels(values, starts)
    scatter = _rms(values - levels)
    line = _line(values)
    drift = _rms(line[-1:] - line[:1])
    if drift >= smallest and _rms(values - line) < CLEAR_DRIFT * scatter:
        return Course((), (), drift, _rms(values - line))
    sizes = tuple(_rms((levels[i] - levels[i - 1])[None]) for i in starts[1:])
    return Course(tuple(starts[1:]), sizes, 0.0, scatter)


def _best_split(values: NDArray[np.floating], starts: list[int], smallest: float) -> int | None:
    """Return where the clearest further step is; None where none is clear."""
    best: tuple[float, int] | None = None
    for first, end in zip(starts, [*starts[1:], len(values)], strict=True):
        for split in range(first + SHORTEST, end - SHORTEST + 1):
            parts = values[first:split], values[split:end]
            middles = [np.median(part, axis=0) for part in parts]
            size = _rms((middles[1] - middles[0])[None])
            beside = max(
                float(np.median(np.linalg.norm(part - middle, axis=1)))
                for part, middle in zip(parts, middles, strict=True)
            ) / np.sqrt(values.shape[1])
            if size < smallest or size < CLEAR_STEP * beside:
                continue
            left = sum(float(np.abs(p - m).sum()) for p, m in zip(parts, middles, strict=True))
            won = float(np.abs(values[first:end] - np.median(values[first:end], axis=0)).sum())
            if best is None or won - left > best[0]:
                best = won - left, split
    return None if best is None else best[1]


def _levels(values: NDArray[np.floating], starts: list[int]) -> NDArray[np.float64]:
    levels = np.empty(values.shape)
    for first, end in zip(starts, [*starts[1:], len(values)], strict=True):
        levels[first:end] = np.median(values[first:end], axis=0)
    return levels


def _line(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (N, D) values on the line fitted to them."""
    time = np.linspace(-1.0, 1.0, len(values))
    design = np.stack([np.ones_like(time), time], axis=1)
    return np.asarray(design @ np.linalg.lstsq(design, values, rcond=None)[0])


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
