# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import trial_scenes
from benchmarks.faults import CLEAN, FAULTS, HARMLESS, MASKS, Fault, fault_named, inject
from benchmarks.takes import Take
from benchmarks.trial_scenes import BaseScene, SceneSpec, base_scene, link_labels
from calib_all_ros.geometry import se3
from calib_all_ros.geometry.joint_trajectory import JointTrajectory
from calib_all_ros.robot.description import Robot
from calib_all_ros.simulation.simulator import SimulatedRecording
from calib_all_ros.solving.motion import RobotMotion

IN_ANY_SCENE = [fault for fault in FAULTS if not fault.needs_own_scene]


@pytest.fixture(scope="module")
def scene(
    demo_robot: Robot, simulated: SimulatedRecording, simulated_motion: RobotMotion
) -> BaseScene:
    labels = link_labels(demo_robot, simulated_motion, simulated.camera, simulated.T_camera_base)
    return BaseScene(
        SceneSpec("demo", 1),
        demo_robot,
        simulated.camera,
        simulated.T_camera_base,
        simulated.images,
        labels,
        simulated.image_stamps_ns,
        simulated_motion.joints,
    )


def strongest(name: str, scene: BaseScene) -> Take:
    fault = fault_named(name)
    return inject(fault, fault.strengths[-1], scene)


def changes(take: Take, scene: BaseScene) -> set[str]:
    """Which parts of a recording differ from the sound one."""
    sound = Take.of(scene)
    arrays = ("images", "masks", "image_stamps_ns")
    changed = {n for n in arrays if not np.array_equal(getattr(take, n), getattr(sound, n))}
    changed |= {n for n in ("robot", "mark") if getattr(take, n) is not getattr(sound, n)}
    if take.camera is not sound.camera:
        changed.add("camera")
    if positions(take.joints) != positions(sound.joints):
        changed.add("joints")
    return changed


def positions(joints: JointTrajectory) -> dict[str, bytes]:
    return {name: joints.series(name)[1].tobytes() for name in joints.names}


def test_labels_agree_with_the_simulated_masks(
    scene: BaseScene, simulated: SimulatedRecording
) -> None:
    assert np.array_equal(scene.masks, simulated.masks)


@pytest.mark.parametrize("fault", IN_ANY_SCENE, ids=lambda fault: fault.name)
def test_the_same_seed_gives_the_same_fault(fault: Fault, scene: BaseScene) -> None:
    first, second = (inject(fault, fault.strengths[-1], scene) for _ in range(2))
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.masks, second.masks)
    assert np.array_equal(first.image_stamps_ns, second.image_stamps_ns)
    assert np.array_equal(first.camera.K, second.camera.K)
    assert (first.detail, first.mark) == (second.detail, second.mark)


CHANGED = {
    "clean": set(),
    "mild_masks": {"masks"},
    "small_lag": {"image_stamps_ns"},
    "noise": {"images"},
    "jpeg": {"images"},
    "small_occluder": {"images", "masks"},
    "small_flicker": {"images"},
    "everyday": {"images", "masks", "image_stamps_ns", "camera", "joints"},
    "mark_right": {"mark"},
    "lag_constant": {"image_stamps_ns"},
    "lag_drifting": {"image_stamps_ns"},
    "some_late": {"images", "masks"},
    "focal_length": {"camera"},
    "principal_point": {"camera"},
    "distortion": {"images", "masks"},
    "longer_link": {"robot"},
    "missing_gripper": {"robot"},
    "moving_base_frame": {"robot"},
    "joint_zero": {"joints"},
    "mirrored": {"joints"},
    "spoiled_masks": {"masks"},
    "links_missing": {"masks"},
    "still_thing": {"masks"},
    "moving_thing": {"masks"},
    "few_frames": {"images", "masks", "image_stamps_ns"},
    "short_stretch": {"images", "masks", "image_stamps_ns"},
    "cut_off": {"images", "masks", "camera"},
    "bumped": {"images", "masks"},
    "shaken": {"images", "masks"},
    "person_in_front": {"images", "masks"},
    "person_behind": {"images"},
    "person_segmented": {"images", "masks"},
    "flicker": {"images"},
    "exposure_ramp": {"images"},
    "light_switched": {"images"},
    "moving_shadow": {"images"},
    "mark_other_link": {"mark"},
    "mark_background": {"mark"},
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_fault_changes_what_it_is_about_and_nothing_else(name: str, scene: BaseScene) -> None:
    take = strongest(name, scene)
    assert changes(take, scene) == CHANGED[name]
    if name == "moving_base_frame":
        assert take.truths == ()
    else:
        assert np.array_equal(take.truths[0], scene.T_camera_base)
        assert len(take.truths) == (2 if name == "bumped" else 1)


def test_scenes_of_some_seeds_are_a_little_imperfect(scene: BaseScene) -> None:
    imperfect = replace(scene, spec=SceneSpec("demo", 3))
    take = inject(fault_named("clean"), 1, imperfect)
    assert changes(take, imperfect) == {"masks", "image_stamps_ns"}
    overlap = (take.masks & scene.masks).sum() / (take.masks | scene.masks).sum()
    assert 0.7 < overlap < 1.0
    assert 0 <= (take.image_stamps_ns - scene.image_stamps_ns).max() <= 40_000_000


def test_every_fault_is_covered() -> None:
    elsewhere = {"another_arm"}
    assert {fault.name for fault in IN_ANY_SCENE} == set(CHANGED) | elsewhere


@pytest.mark.parametrize(
    "name",
    ["noise", "distortion", "shaken", "person_in_front", "flicker", "moving_shadow", "some_late"],
)
def test_images_change_more_with_growing_strength(name: str, scene: BaseScene) -> None:
    fault = fault_named(name)
    seen = [inject(fault, strength, scene).images.astype(int) for strength in fault.strengths]
    change = [float(np.abs(images - scene.images).mean()) for images in seen]
    assert change == sorted(change) and change[0] > 0


@pytest.mark.parametrize("name", ["spoiled_masks", "links_missing", "still_thing", "moving_thing"])
def test_masks_change_more_with_growing_strength(name: str, scene: BaseScene) -> None:
    fault = fault_named(name)
    wrong = [(inject(fault, s, scene).masks ^ scene.masks).mean() for s in fault.strengths]
    assert wrong == sorted(wrong) and wrong[0] > 0


def test_a_bump_moves_what_is_seen_as_the_second_truth_says(scene: BaseScene) -> None:
    take = inject(fault_named("bumped"), 1.5, scene)
    frame = int(take.detail.split()[-1])
    before, after = take.truths
    assert np.degrees(np.arccos(0.5 * (np.trace((after @ se3.invert(before))[:3, :3]) - 1))) == (
        pytest.approx(1.5)
    )
    assert np.array_equal(take.masks[:frame], scene.masks[:frame])
    labels = link_labels(scene.robot, scene.motion.subset(np.array([frame])), scene.camera, after)[
        0
    ]
    seen = take.masks[frame]
    assert (seen & (labels > 0)).sum() / (seen | (labels > 0)).sum() > 0.97


def test_a_lens_moves_what_is_seen_as_its_camera_would(scene: BaseScene) -> None:
    take = inject(fault_named("distortion"), -0.25, scene)
    distorted = replace(scene.camera, distortion=np.array([-0.25, 0, 0, 0, 0]), model="plumb_bob")
    labels = link_labels(
        scene.robot, scene.motion.subset(np.array([5])), distorted, scene.T_camera_base
    )[0]
    assert ((labels > 0) ^ take.masks[5]).mean() < 0.1 * take.masks[5].mean()
    assert ((labels > 0) ^ take.masks[5]).mean() < ((scene.masks[5]) ^ take.masks[5]).mean()


def test_a_cut_off_view_keeps_the_rays_of_its_pixels(scene: BaseScene) -> None:
    take = inject(fault_named("cut_off"), 0.25, scene)
    assert take.masks.sum() == pytest.approx(0.25 * scene.masks.sum(), rel=0.15)
    first = (scene.camera.K - take.camera.K)[:2, 2].astype(int)
    height, width = take.masks.shape[1:]
    rows, columns = slice(first[1], first[1] + height), slice(first[0], first[0] + width)
    assert np.array_equal(take.images, scene.images[:, rows, columns])
    assert (take.camera.width, take.camera.height) == (width, height)


def test_late_images_show_an_earlier_robot(scene: BaseScene) -> None:
    take = strongest("some_late", scene)
    shown = [
        next(i for i in range(len(take)) if np.array_equal(image, scene.images[i]))
        for image in take.images
    ]
    lateness = np.arange(len(take)) - shown
    assert set(lateness) == {0, 1, 2, 3}
    assert (lateness > 0).mean() == pytest.approx(0.75, abs=0.05)


def test_links_missing_leaves_out_whole_links(scene: BaseScene) -> None:
    take = inject(fault_named("links_missing"), 1, scene)
    link = scene.robot.kinematics.link_names.index(take.detail)
    assert np.array_equal(take.masks, scene.masks & (scene.link_labels != link + 1))


def test_a_segmented_person_is_in_the_masks(scene: BaseScene) -> None:
    take = strongest("person_segmented", scene)
    assert (take.masks | ~scene.masks).all()
    added = take.masks & ~scene.masks
    assert np.abs(take.images.astype(int) - scene.images)[added].mean() > 10


def test_a_joint_zero_is_off_by_the_strength_in_one_joint_but_the_first(scene: BaseScene) -> None:
    take = inject(fault_named("joint_zero"), 0.12, scene)
    off = {
        name: take.joints.series(name)[1] - scene.joints.series(name)[1]
        for name in scene.joints.names
        if not np.array_equal(take.joints.series(name)[1], scene.joints.series(name)[1])
    }
    assert list(off) == [take.detail] and take.detail in scene.arm.arm_joints[1:]
    assert np.allclose(np.abs(off[take.detail]), 0.12)


def test_a_longer_link_moves_only_what_comes_after_it(scene: BaseScene) -> None:
    take = inject(fault_named("longer_link"), 0.12, scene)
    joint = take.detail.split()[-1]
    zero = np.zeros((1, len(scene.robot.kinematics.joint_names)))
    moved = take.robot.kinematics.forward(zero) - scene.robot.kinematics.forward(zero)
    for link, change in zip(scene.robot.kinematics.link_names, moved[0], strict=True):
        after = joint in scene.robot.kinematics.moving_joints(link)
        assert bool(np.abs(change).max() > 1e-9) == after


def test_a_mark_lies_on_the_link_that_it_is_said_to_be_on_or_not(scene: BaseScene) -> None:
    names = scene.robot.kinematics.link_names
    for name, right in (("mark_right", True), ("mark_other_link", False)):
        take = strongest(name, scene)
        assert take.mark is not None
        u, v = (round(value) for value in take.mark.pixel)
        on = names[scene.link_labels[take.mark.frame, v, u] - 1]
        assert (on == take.mark.link) == right


def test_another_arm_gets_the_recorded_positions(scene: BaseScene) -> None:
    take = strongest("another_arm", scene)
    assert take.robot is not scene.robot
    first = take.robot.kinematics.joint_names[0]
    recorded = scene.joints.series(scene.arm.arm_joints[0])[1]
    assert np.array_equal(take.joints.series(first)[1], recorded)


def test_faults_of_light_are_harmless_to_recorded_masks() -> None:
    for fault in FAULTS:
        if fault.cause == "light_changed":
            assert fault.cause_in(MASKS) == HARMLESS
            assert fault.cause_in("images") == "light_changed"
    assert fault_named("clean").cause_in(MASKS) == CLEAN


def test_a_scene_is_rendered_once_and_moves_as_little_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_scenes, "FRAMES", 4)
    monkeypatch.setattr(trial_scenes, "WIDTH", 120)
    monkeypatch.setattr(trial_scenes, "HEIGHT", 90)
    spec = SceneSpec("demo", 1, amplitude=0.1, wrist_only=True)
    scene = base_scene(spec, tmp_path)
    swing = np.ptp(scene.motion.positions(), axis=0)
    names = np.array(scene.robot.kinematics.joint_names)
    wrist = np.isin(names, scene.arm.arm_joints[-3:])
    assert (swing[~wrist] < 1e-3).all() and swing[wrist].max() > 0.01
    assert scene.masks.any()
    file = next(tmp_path.iterdir())
    written = file.stat().st_mtime_ns
    again = base_scene(spec, tmp_path)
    assert file.stat().st_mtime_ns == written
    assert np.array_equal(again.images, scene.images)
