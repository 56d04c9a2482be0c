# SPDX-License-Identifier: Apache-2.0
"""The catalogue of faults: what is done to a sound recording, how strongly, what it is called.

`inject` turns a scene into a recording with one fault. A fault's seed chooses its direction, place
and time; growing strength then makes the same fault graver.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import fault_images as images
from benchmarks import fault_masks as masks
from benchmarks import fault_models as models
from benchmarks.takes import Take
from benchmarks.trial_scenes import BaseScene, SceneSpec
from calib_all_ros.geometry.camera import Camera

EVERYDAY_COPIES = 8
MASKS, IMAGES = "masks", "images"
ROUTES = (MASKS, IMAGES)
CLEAN, HARMLESS = "clean", "harmless"
Injector = Callable[[Take, float, np.random.Generator], Take]


def _same_scene(spec: SceneSpec, strength: float) -> SceneSpec:
    return spec


def _untouched(take: Take, strength: float, rng: np.random.Generator) -> Take:
    return take


@dataclass(frozen=True)
class Fault:
    """One kind of fault at growing strengths.

    Attributes:
        name: Unique.
        cause: Cause as a verdict names it; "clean", or "harmless" for what must not be rejected.
        strengths: From hardly visible to gross; what they count is said by `inject_into`.
        inject_into: Adds the fault to a recording.
        scene: The scene to take, for faults of motion and view.
        routes: Where it is tried.
        harmless_in: Routes on whose evidence it has no effect.
        in_other_scenes: Whether strengths only number copies, each to be tried in another scene.
    """

    name: str
    cause: str
    strengths: tuple[float, ...]
    inject_into: Injector = _untouched
    scene: Callable[[SceneSpec, float], SceneSpec] = _same_scene
    routes: tuple[str, ...] = ROUTES
    harmless_in: tuple[str, ...] = ()
    in_other_scenes: bool = False

    @property
    def needs_own_scene(self) -> bool:
        """Whether it cannot be shown in any scene."""
        return self.scene is not _same_scene

    def cause_in(self, route: str) -> str:
        """Return the cause, "harmless" in routes that it does not touch."""
        return HARMLESS if route in self.harmless_in else self.cause


def inject(fault: Fault, strength: float, scene: BaseScene) -> Take:
    """Return a recording of the scene with the fault; the scene's seed decides its particulars.

    Every other pair of seeds has slightly imperfect masks and stamps beside it.
    """
    rng = np.random.default_rng([scene.spec.seed, zlib.crc32(fault.name.encode())])
    take = Take.of(scene)
    if is_imperfect(scene.spec.seed) and fault.inject_into is not _everyday:
        take = _imperfect(take, np.random.default_rng([scene.spec.seed, zlib.crc32(b"imperfect")]))
    return fault.inject_into(take, strength, rng)


def is_imperfect(seed: int) -> bool:
    """Whether recordings of the scenes of a seed are imperfect without any fault."""
    return seed // 2 % 2 == 1


def _imperfect(take: Take, rng: np.random.Generator) -> Take:
    """Make masks as a good segmenter makes them, and let the images be a little late."""
    mild = masks.spoiled(take, rng.uniform(0.2, 0.6), rng)
    return models.late(replace(mild, detail=""), rng.uniform(0.0, 40.0), rng)


def _everyday(take: Take, copy: float, rng: np.random.Generator) -> Take:
    """Combine what is a little wrong in every recording; each copy draws its own amounts."""
    rng = np.random.default_rng([int(copy), int(rng.integers(2**31))])
    take = masks.spoiled(take, rng.uniform(0.2, 1.5), rng)
    if rng.random() < 0.5:
        take = images.small_occluder(take, rng.uniform(0.02, 0.1), rng)
    take = models.late(take, rng.uniform(0.0, 150.0), rng)
    take = models.wrong_focal_length(take, abs(rng.normal(0.0, 0.005)), rng)
    take = models.wrong_principal_point(take, abs(rng.normal(0.0, 2.0)), rng)
    take = models.joint_zero_off(take, abs(rng.normal(0.0, 0.002)), rng)
    return images.noisy(take, rng.uniform(0.5, 6.0), rng)


def _few_frames(take: Take, count: float, rng: np.random.Generator) -> Take:
    return take.frames(np.sort(rng.permutation(len(take))[: int(count)]))


def _short_stretch(take: Take, duration_s: float, rng: np.random.Generator) -> Take:
    """Keep the images of a stretch of so many seconds."""
    seconds = (take.image_stamps_ns - take.image_stamps_ns[0]) / 1e9
    begin = rng.uniform(0.0, seconds[-1] - duration_s)
    kept = np.flatnonzero((seconds >= begin) & (seconds <= begin + duration_s))
    return take.frames(kept)


def _cut_off(take: Take, visible_share: float, rng: np.random.Generator) -> Take:
    """Cut all images to a window at one side that shows so much of the robot, in all together."""
    seen = take.masks.sum(axis=0)
    vertical, from_end = rng.random(2) < 0.5
    counts = np.cumsum(seen.sum(axis=1 if vertical else 0)[:: -1 if from_end else 1])
    size = int(np.searchsorted(counts, visible_share * counts[-1])) + 1
    window = slice(len(counts) - size, len(counts)) if from_end else slice(0, size)
    rows, columns = (window, slice(None)) if vertical else (slice(None), window)
    pictures, shown = take.images[:, rows, columns], take.masks[:, rows, columns]
    K = take.camera.K.copy()
    K[1 if vertical else 0, 2] -= window.start
    camera = take.camera
    smaller = Camera(
        K, shown.shape[2], shown.shape[1], camera.distortion, camera.model, camera.frame_id
    )
    return replace(take, images=pictures, masks=shown, camera=smaller)


def _farther(spec: SceneSpec, factor: float) -> SceneSpec:
    return replace(spec, farther=factor)


def _smaller_motion(spec: SceneSpec, amplitude: float) -> SceneSpec:
    return replace(spec, amplitude=amplitude)


def _wrist_only(spec: SceneSpec, amplitude: float) -> SceneSpec:
    return replace(spec, amplitude=amplitude, wrist_only=True)


FAULTS = (
    Fault("clean", CLEAN, (1, 2, 3, 4, 5, 6), in_other_scenes=True),
    Fault("mild_masks", HARMLESS, (0.4, 0.7, 1), masks.spoiled, routes=(MASKS,)),
    Fault("small_lag", HARMLESS, (30, 80, 150), models.late),
    Fault("noise", HARMLESS, (4, 8), images.noisy),
    Fault("jpeg", HARMLESS, (60, 30), images.jpeg),
    Fault("small_occluder", HARMLESS, (0.05, 0.1), images.small_occluder),
    Fault("small_flicker", HARMLESS, (0.01, 0.03), images.flicker),
    Fault(
        "everyday",
        HARMLESS,
        tuple(range(1, EVERYDAY_COPIES + 1)),
        _everyday,
        in_other_scenes=True,
    ),
    Fault("mark_right", HARMLESS, (1, 2), models.marked),
    Fault("lag_constant", "images_late", (200, 300, 400, 500), models.late),
    Fault("lag_drifting", "images_late", (100, 250, 500, 1000), models.drifting),
    Fault("some_late", "images_late", (0.1, 0.25, 0.5, 0.75), models.some_late),
    Fault(
        "focal_length",
        "wrong_intrinsics",
        (0.01, 0.02, 0.04, 0.07, 0.1),
        models.wrong_focal_length,
    ),
    Fault("principal_point", "wrong_intrinsics", (5, 12, 25, 40, 60), models.wrong_principal_point),
    Fault("distortion", "wrong_intrinsics", (-0.03, -0.08, -0.15, -0.25), images.through_lens),
    Fault("another_arm", "wrong_robot_model", (1,), models.another_arm),
    Fault("longer_link", "wrong_robot_model", (0.03, 0.06, 0.12, 0.25), models.longer_link),
    Fault("missing_gripper", "wrong_robot_model", (1, 2, 3), models.missing_gripper),
    Fault("moving_base_frame", "wrong_robot_model", (1, 2, 4), models.moving_base_frame),
    Fault("joint_zero", "wrong_robot_model", (0.01, 0.03, 0.06, 0.12, 0.2), models.joint_zero_off),
    Fault("mirrored", "mirrored_joint", (1, 2, 4, 6), models.mirrored_joint),
    Fault("spoiled_masks", "bad_masks", (2, 3, 4, 6), masks.spoiled, routes=(MASKS,)),
    Fault("links_missing", "bad_masks", (1, 2, 3, 4), masks.links_missing, routes=(MASKS,)),
    Fault(
        "still_thing", "bad_masks", (0.1, 0.3, 0.6, 1), masks.still_thing_segmented, routes=(MASKS,)
    ),
    Fault(
        "moving_thing",
        "bad_masks",
        (0.1, 0.3, 0.6, 1),
        masks.moving_thing_segmented,
        routes=(MASKS,),
    ),
    Fault("few_frames", "too_little_motion", (5, 3, 2, 1), _few_frames),
    Fault("short_stretch", "too_little_motion", (2.0, 1.0, 0.5), _short_stretch),
    Fault("small_motion", "too_little_motion", (0.3, 0.1, 0.03), scene=_smaller_motion),
    Fault("wrist_only", "too_little_motion", (1.0, 0.3, 0.1), scene=_wrist_only),
    Fault("far_away", "degenerate_view", (2.5, 5, 8, 12), scene=_farther),
    Fault("cut_off", "degenerate_view", (0.4, 0.25, 0.15, 0.08), _cut_off),
    Fault("bumped", "camera_moved", (0.3, 0.7, 1.5, 3, 5), images.bumped),
    Fault("shaken", "camera_moved", (0.5, 1.5, 3, 5), images.shaken),
    Fault("person_in_front", "moving_object", (0.2, 0.4, 0.7, 1), images.person_in_front),
    Fault(
        "person_behind",
        "moving_object",
        (0.2, 0.4, 0.7, 1),
        images.person_behind,
        harmless_in=(MASKS,),
    ),
    Fault(
        "person_segmented",
        "moving_object",
        (0.2, 0.4, 0.7, 1),
        images.person_segmented,
        routes=(MASKS,),
    ),
    Fault("flicker", "light_changed", (0.1, 0.2, 0.4), images.flicker, harmless_in=(MASKS,)),
    Fault(
        "exposure_ramp",
        "light_changed",
        (0.2, 0.5, 1.0),
        images.exposure_ramp,
        harmless_in=(MASKS,),
    ),
    Fault(
        "light_switched",
        "light_changed",
        (0.2, 0.4, 0.7),
        images.light_switched,
        harmless_in=(MASKS,),
    ),
    Fault(
        "moving_shadow",
        "light_changed",
        (0.2, 0.4, 0.7),
        images.moving_shadow,
        harmless_in=(MASKS,),
    ),
    Fault("mark_other_link", "mark_not_on_link", (1, 2, 4), models.mark_on_other_link),
    Fault("mark_background", "mark_not_on_link", (1,), models.mark_on_background),
)
"""All of them."""


def fault_named(name: str) -> Fault:
    """Return a fault by its name."""
    return next(fault for fault in FAULTS if fault.name == name)
